"""The nearest voxel of another mask, and the distance to it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.spatial import KDTree

FEW = 1 / 20
"""The share of a window's voxels below which a tree is faster than a distance transform."""

Mask = NDArray[np.bool_]


class Nearest(NamedTuple):
    """The nearest voxels for each voxel of a mask, in the order of ``np.argwhere``.

    Attributes:
        distance_mm: ``(n,)``, to the nearest voxel of the other mask.
        voxel: ``(n, 3)``, the indices of that voxel.
    """

    distance_mm: NDArray[np.float64]
    voxel: NDArray[np.int64]


def around(mask: Mask) -> tuple[slice, ...]:
    """Return the smallest box that holds a mask ``(X, Y, Z)``; empty slices for an empty mask."""
    sides = [np.flatnonzero(mask.any(axis=other)) for other in ((1, 2), (0, 2), (0, 1))]
    return tuple(slice(int(s[0]), int(s[-1]) + 1) if len(s) else slice(0, 0) for s in sides)


def nearest(mask: Mask, other: Mask, spacing_mm: tuple[float, float, float]) -> Nearest:
    """Find the nearest voxel of ``other`` for each voxel of ``mask``, exactly.

    Args:
        mask: ``(X, Y, Z)``.
        other: ``(X, Y, Z)``, not empty.
        spacing_mm: A voxel's sides.
    """
    window = around(mask | other)
    corner = np.array([side.start for side in window])
    one, two = mask[window], other[window]
    few = int(one.sum()) + int(two.sum()) < FEW * one.size
    found = (_by_tree if few else _by_transform)(one, two, np.array(spacing_mm))
    return Nearest(found.distance_mm, found.voxel + corner)


def _by_tree(mask: Mask, other: Mask, spacing_mm: NDArray[np.float64]) -> Nearest:
    voxels = _places(other)
    distance, index = KDTree(voxels * spacing_mm).query(_places(mask) * spacing_mm)
    return Nearest(distance, voxels[index])


def _by_transform(mask: Mask, other: Mask, spacing_mm: NDArray[np.float64]) -> Nearest:
    distance, place = distance_transform_edt(~other, sampling=spacing_mm, return_indices=True)
    return Nearest(distance[mask], place[:, mask].T.astype(np.int64))


def _places(mask: Mask) -> NDArray[np.int64]:
    """``np.argwhere``, several times faster where few voxels are marked."""
    return np.stack(np.unravel_index(np.flatnonzero(mask), mask.shape), axis=1)
