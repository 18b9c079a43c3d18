"""A patient's BIDS files, with the same bytes every time."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from benchmark.data.phantom.patient import Phantom
from benchmark.data.phantom.settings import Triple


def write_patient(root: Path, identity: str, phantom: Phantom) -> None:
    """Write the image and both masks in the BIDS folders."""
    derivatives = root / "derivatives"
    for folder, name, data in (
        (root, "angio", phantom.image),
        (derivatives / "vessels", "desc-vessel_mask", phantom.vessels),
        (derivatives / "brain", "desc-brain_mask", phantom.brain),
    ):
        path = folder / identity / "anat" / f"{identity}_{name}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_encoded(data, phantom.spacing_mm))


def _encoded(data: NDArray[np.integer], spacing_mm: Triple) -> bytes:
    """RAS NIfTI-1. Gzip here, since nibabel would store the clock and the name."""
    affine = np.diag([*spacing_mm, 1.0])
    affine[:3, 3] = -0.5 * (np.array(data.shape) - 1) * spacing_mm
    image = nib.Nifti1Image(data, affine)
    image.header.set_xyzt_units("mm")
    return gzip.compress(image.to_bytes(), compresslevel=3, mtime=0)
