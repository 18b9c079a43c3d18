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
Places = NDArray[np.int64]
Box = tuple[slice, ...]


class Nearest(NamedTuple):
    """The nearest voxels for each voxel of a mask, in the order of ``np.argwhere``.

    Attributes:
        distance_mm: ``(n,)``, to the nearest voxel of the other mask.
        voxel: ``(n, 3)``, the indices of that voxel.
    """

    distance_mm: NDArray[np.float64]
    voxel: Places


def around(*masks: Mask) -> Box:
    """Return the smallest box that holds all masks ``(X, Y, Z)``; empty slices if all are empty."""
    marked = [_marked_planes(mask) for mask in masks]
    sides = [np.flatnonzero(np.logical_or.reduce(each)) for each in zip(*marked, strict=True)]
    return tuple(slice(int(s[0]), int(s[-1]) + 1) if len(s) else slice(0, 0) for s in sides)


def cropped(mask: Mask, box: Box) -> Mask:
    """Return the part of a mask in a box, with the last axis contiguous in memory.

    Where few voxels are marked, they are written one by one: turning the axes of all of them in
    memory takes several times as long.
    """
    part = mask[box]
    if part.flags.c_contiguous or np.count_nonzero(part) >= FEW * part.size:
        return np.ascontiguousarray(part)
    order = np.argsort(part.strides)[::-1]
    turned = np.ascontiguousarray(part.transpose(order))
    out = np.zeros(part.shape, np.bool_)
    out.transpose(order)[tuple(_places(turned).T)] = True
    return out


def nearest(mask: Mask, other: Mask, spacing_mm: tuple[float, float, float]) -> Nearest:
    """Find the nearest voxel of ``other`` for each voxel of ``mask``, exactly.

    A voxel of both masks is its own nearest, so that only the others are searched for.

    Args:
        mask: ``(X, Y, Z)``.
        other: ``(X, Y, Z)``, not empty.
        spacing_mm: A voxel's sides.
    """
    window = around(mask, other)
    one, two = cropped(mask, window), cropped(other, window)
    few = np.count_nonzero(one) + np.count_nonzero(two) < FEW * one.size
    voxel = _places(one)
    distance_mm = np.zeros(len(voxel))
    apart = ~two[one]
    if apart.any():
        find = _by_tree if few else _by_transform
        distance_mm[apart], voxel[apart] = find(voxel[apart], two, np.array(spacing_mm))
    return Nearest(distance_mm, voxel + np.array([side.start for side in window]))


def _by_tree(places: Places, other: Mask, spacing_mm: NDArray[np.float64]) -> Nearest:
    voxels = _places(other)
    distance, index = KDTree(voxels * spacing_mm).query(places * spacing_mm)
    return Nearest(distance, voxels[index])


def _by_transform(places: Places, other: Mask, spacing_mm: NDArray[np.float64]) -> Nearest:
    """The transform gives every voxel its nearest; distances are computed for ``places`` alone."""
    every = distance_transform_edt(
        ~other, sampling=spacing_mm, return_distances=False, return_indices=True
    )
    voxel = every[:, *places.T].T.astype(np.int64)
    squared = ((voxel - places) * spacing_mm) ** 2
    return Nearest(np.sqrt(squared[:, 0] + squared[:, 1] + squared[:, 2]), voxel)


def _marked_planes(mask: Mask) -> list[NDArray[np.bool_]]:
    """Which planes across each axis hold a marked voxel; the slowest axis is reduced first."""
    slow = int(np.argmax(np.abs(mask.strides)))
    others = tuple(axis for axis in range(3) if axis != slow)
    plane = np.logical_or.reduce(mask, axis=slow)
    rest = [np.logical_or.reduce(plane, axis=axis) for axis in (1, 0)]
    return [*rest[:slow], np.logical_or.reduce(mask, axis=others), *rest[slow:]]


def _places(mask: Mask) -> Places:
    """``np.argwhere``, several times faster where few voxels are marked."""
    return np.stack(np.unravel_index(np.flatnonzero(mask), mask.shape), axis=1)
