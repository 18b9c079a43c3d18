"""Reading of one NIfTI volume: it is brought to its place, or refused with a sentence."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.core.errors import DataError
from benchmark.data.geometry import check_same_grid, sides, turn_onto, turned, voxel_grid_of
from benchmark.data.labels import EVERY_LABEL, MaskLabels, classified
from benchmark.data.nifti_file import NiftiFile, read_nifti

LEAST_RANGE = 2.0**-12
"""The least range of intensities over their distance from 0. float32 then keeps 4,096 steps of
it."""


class Volume(NamedTuple):
    """One volume in memory.

    Attributes:
        data: Voxels ``(X, Y, Z)`` in RAS orientation.
        spacing_mm: A voxel's sides.
        affine: Voxel to world in mm, ``(4, 4)``, of ``data``.
        orientation: The axes of the file itself, such as ``LPS``.
        notes: What is odd in the file but can still be read, a sentence each.
        ignored: For a mask, the voxels with an ignored label, bool; ``None`` where no label is
            ignored.
    """

    data: NDArray[Any]
    spacing_mm: tuple[float, float, float]
    affine: NDArray[np.float64]
    orientation: str
    notes: tuple[str, ...] = ()
    ignored: NDArray[np.bool_] | None = None


def read_volume(path: Path) -> Volume:
    """Read an image as float32, bring it to RAS, and check every voxel.

    Args:
        path: A NIfTI-1 or NIfTI-2 file, compressed with gzip or not.

    Raises:
        DataError: For a file that is missing, damaged, not 3-D, larger than its content or the
            memory, without an affine, or with NaN or infinite voxels.
    """
    volume = _placed(path, read_nifti(path, np.dtype(np.float32)))
    _check_intensities(path, volume.data)
    return volume


def _check_intensities(path: Path, voxels: NDArray[np.float32]) -> None:
    """Refuses what is no number, and what lies too far from 0 for float32 to tell it apart."""
    low, high = float(voxels.min()), float(voxels.max())
    if not (math.isfinite(low) and math.isfinite(high)):  # a NaN is the least and the greatest
        bad = int(np.count_nonzero(~np.isfinite(voxels)))
        raise DataError(f"{path}: {bad} voxels are NaN or infinite; every voxel must be a number.")
    if low < high and high - low < max(abs(low), abs(high)) * LEAST_RANGE:
        raise DataError(
            f"{path}: the intensities go from {low:g} to {high:g}, too far from 0 for their "
            "differences to be kept; subtract a constant from all voxels."
        )


def read_mask(path: Path, labels: MaskLabels = EVERY_LABEL, like: Volume | None = None) -> Volume:
    """Read a segmentation. Its ``data`` are bool: the voxels with a vessel's label.

    Args:
        path: A NIfTI file of labels: whole numbers, or within 1e-3 of them.
        labels: What the labels mean.
        like: The image that it belongs to. The mask is brought to that image's voxels, however its
            own axes are ordered. Without, it is brought to RAS.

    Raises:
        DataError: As ``read_volume``, for an image in the place of a mask, for a mask without
            background, and for one that has other voxels than the image.
    """
    file = read_nifti(path)
    volume = _placed(path, file, like)
    found = classified(path, volume.data, labels, scaling=file.scaling)
    return volume._replace(
        data=found.vessels, ignored=found.ignored, notes=volume.notes + found.notes
    )


def _placed(path: Path, file: NiftiFile, like: Volume | None = None) -> Volume:
    """The file's voxels in RAS, or in the order of an image with the same ones."""
    grid = voxel_grid_of(path, file)
    turn = grid.to_ras if like is None else turn_onto(grid.affine, like.affine)
    data, affine = turned(file.voxels, grid.affine, turn)
    if like is not None:
        check_same_grid(path, (data.shape, affine), (like.data.shape, like.affine))
    return Volume(data, sides(affine), affine, grid.orientation, file.notes + grid.notes)
