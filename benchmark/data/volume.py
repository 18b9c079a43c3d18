"""One NIfTI file, read whole or refused with a sentence."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from numpy.typing import NDArray

from benchmark.core.errors import DataError

_UNREADABLE = (ImageFileError, OSError, EOFError, zlib.error, ValueError)


class Volume(NamedTuple):
    """Voxels ``(X, Y, Z)`` in RAS orientation, and a voxel's sides in mm."""

    data: NDArray[np.float32]
    spacing_mm: tuple[float, float, float]


def read_volume(path: Path) -> Volume:
    """Reads a 3-D NIfTI file, brings it to RAS, and checks every voxel.

    Raises:
        DataError: For a file that is missing, truncated, not 3-D, or holds NaN or infinite voxels.
    """
    try:
        image = nib.as_closest_canonical(nib.load(path))
        data = np.asarray(image.dataobj, dtype=np.float32)
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file.") from None
    except _UNREADABLE as error:
        raise DataError(f"{path}: the file cannot be read whole ({_reason(error)}).") from error
    if data.ndim != 3:
        raise DataError(f"{path}: expected a 3-D volume, got {data.ndim} dimensions.")
    bad = int(data.size - np.isfinite(data).sum())
    if bad:
        raise DataError(f"{path}: {bad} voxels are NaN or infinite; every voxel must be a number.")
    x, y, z = (float(side) for side in image.header.get_zooms()[:3])
    return Volume(data, (x, y, z))


def _reason(error: BaseException) -> str:
    return str(error).strip().rstrip(".").splitlines()[0] if str(error).strip() else "truncated"
