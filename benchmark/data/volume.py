"""One NIfTI file, read whole or refused with a sentence."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from benchmark.core.errors import DataError

GZIP_RATIO = 1032
"""Deflate cannot shrink further than this."""

MOST_LABELS = 256
"""A segmentation has no more classes than this; an image passed off as a mask does."""


class Volume(NamedTuple):
    """One file in memory.

    Attributes:
        data: Voxels ``(X, Y, Z)`` in RAS orientation.
        spacing_mm: A voxel's sides.
        affine: Voxel to world, ``(4, 4)``, of ``data``.
        orientation: The axes of the file itself, as ``LPS``.
    """

    data: NDArray[Any]
    spacing_mm: tuple[float, float, float]
    affine: NDArray[np.float64]
    orientation: str


def read_volume(path: Path) -> Volume:
    """Reads an image as float32, brings it to RAS, and checks every voxel.

    Raises:
        DataError: For a file that is missing, truncated, not 3-D, larger than its content or the
            memory, or holds NaN or infinite voxels.
    """
    volume = _read(path, np.dtype(np.float32))
    bad = int(volume.data.size - np.isfinite(volume.data).sum())
    if bad:
        raise DataError(f"{path}: {bad} voxels are NaN or infinite; every voxel must be a number.")
    return volume


def read_mask(path: Path) -> Volume:
    """Reads a segmentation: any label above 0 is inside; ``data`` is bool.

    Raises:
        DataError: As ``read_volume``, and for an image passed off as a mask.
    """
    volume = read_volume(path)
    whole = bool((volume.data == np.rint(volume.data)).all())
    if not whole or volume.data.min() < 0 or np.ptp(volume.data) >= MOST_LABELS:
        low, high = volume.data.min(), volume.data.max()
        raise DataError(
            f"{path}: this is an image (values from {low:g} to {high:g}), not a mask; a mask holds "
            f"labels, whole numbers from 0 to {MOST_LABELS - 1}."
        )
    return volume._replace(data=volume.data > 0)


def _read(path: Path, dtype: np.dtype[Any]) -> Volume:
    try:
        image = nib.load(path)
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file.") from None
    except Exception as error:  # nibabel answers a damaged file with errors of many kinds
        raise _unreadable(path, error) from error
    _check_header(path, image)
    try:
        canonical = nib.as_closest_canonical(image)
        data = np.asarray(canonical.dataobj, dtype=dtype)
        orientation = "".join(str(axis) for axis in nib.aff2axcodes(image.affine))
    except Exception as error:
        raise _unreadable(path, error) from error
    data = data.reshape(data.shape[:3])
    x, y, z = (float(side) for side in canonical.header.get_zooms()[:3])
    return Volume(data, (x, y, z), canonical.affine, orientation)


def _check_header(path: Path, image: Any) -> None:
    """Refuses what the header alone shows to be unusable, before anything is allocated."""
    shape = tuple(int(side) for side in image.shape)
    if len(shape) < 3 or max(shape[3:], default=1) > 1:
        raise DataError(f"{path}: expected a 3-D volume, got the shape {_times(shape)}.")
    if min(shape) < 1:
        raise DataError(f"{path}: the shape {_times(shape)} holds no voxel.")
    dtype = image.get_data_dtype()
    if dtype.kind not in "iufb":
        raise DataError(f"{path}: voxels of type {dtype} are no intensities; use whole or real.")
    sides = [float(side) for side in image.header.get_zooms()[:3]]
    if not (np.isfinite(image.affine).all() and all(0 < side < np.inf for side in sides)):
        raise DataError(f"{path}: the voxel sides {sides} mm must be finite and above 0.")
    voxels = int(np.prod(shape, dtype=object))
    _check_size(path, shape, voxels * dtype.itemsize, voxels)


def _check_size(path: Path, shape: tuple[int, ...], promised: int, voxels: int) -> None:
    held = path.stat().st_size * (GZIP_RATIO if path.suffix == ".gz" else 1)
    if promised > held:
        raise DataError(
            f"{path}: the header promises {_times(shape)} voxels, more than the file holds."
        )
    needed = 16 * voxels  # the file's type, float64 where scaled, float32, and masks
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > memory:
        raise DataError(
            f"{path}: {_times(shape)} voxels need {needed / 2**30:.1f} GiB, "
            f"and this machine has {memory / 2**30:.1f}."
        )


def _times(shape: tuple[int, ...]) -> str:
    return "x".join(str(side) for side in shape)


def _unreadable(path: Path, error: Exception) -> DataError:
    words = str(error).strip().rstrip(".").splitlines()
    return DataError(
        f"{path}: the file cannot be read whole ({words[0] if words else 'truncated'})."
    )
