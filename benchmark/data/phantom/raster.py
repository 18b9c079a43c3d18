"""Tubes to voxels: how much of each voxel a vessel covers.

A voxel is taken as a disc of its own cross-section, radius a = √(area / π). A tube of radius r
whose centreline passes at distance d covers of it: min(1, (r/a)²) for d ≤ |r − a|, nothing for
d ≥ r + a, and a smooth step between.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.data.phantom.head import Pose
from benchmark.data.phantom.settings import Triple
from benchmark.data.phantom.vessels import Segment

Array = NDArray[np.float64]
LABEL_AT = 0.5


class Drawn(NamedTuple):
    """Vessels on the voxel grid; all ``(X, Y, Z)``.

    Attributes:
        coverage: The share of a voxel that is vessel, float32 in [0, 1].
        radius_mm: Radius of the vessel that covers most of it, float32; 0 where none does.
        label: What an annotator would mark, bool.
    """

    coverage: NDArray[np.float32]
    radius_mm: NDArray[np.float32]
    label: NDArray[np.bool_]


def draw(
    segments: Sequence[Segment], pose: Pose, shape: tuple[int, int, int], spacing_mm: Triple
) -> Drawn:
    """Draws every segment; a voxel belongs to the vessel that covers most of it."""
    drawn = Drawn(np.zeros(shape, np.float32), np.zeros(shape, np.float32), np.zeros(shape, bool))
    for segment in segments:
        points = pose.to_world(segment.points)
        _draw_one(drawn, points, segment.radius_mm, np.array(spacing_mm), segment.intracranial)
    return drawn


def _draw_one(drawn: Drawn, points: Array, radius: Array, spacing: Array, labelled: bool) -> None:
    points, radius = _resampled(points, radius, 0.5 * float(spacing.min()))
    voxel = float(np.sqrt(spacing[0] * spacing[1] / np.pi))
    index, distance, nearest = _neighbours(points, radius, spacing, voxel, drawn.coverage.shape)
    r = radius[nearest]
    most = np.minimum(1.0, (r / voxel) ** 2)
    step = np.clip((r + voxel - distance) / (2 * np.minimum(r, voxel)), 0, 1)
    share = (most * step**2 * (3 - 2 * step)).astype(np.float32)
    _merge(drawn, index, share, r.astype(np.float32))
    if labelled:
        drawn.label.flat[index[(step >= LABEL_AT)]] = True


def _merge(
    drawn: Drawn, index: NDArray[np.intp], share: NDArray[np.float32], r: NDArray[np.float32]
) -> None:
    order = np.argsort(share, kind="stable")
    index, share, r = index[order], share[order], r[order]
    wins = share > drawn.coverage.flat[index]
    # With repeated indices the last assignment stays: the largest share, since they are sorted.
    drawn.coverage.flat[index[wins]] = share[wins]
    drawn.radius_mm.flat[index[wins]] = r[wins]


def _resampled(points: Array, radius: Array, step_mm: float) -> tuple[Array, Array]:
    lengths = np.linalg.norm(np.diff(points, axis=0), axis=1)
    at = np.concatenate([[0.0], np.cumsum(lengths)])
    fine = np.linspace(0, at[-1], max(2, int(np.ceil(at[-1] / step_mm)) + 1))
    columns = [np.interp(fine, at, points[:, i]) for i in range(3)]
    return np.stack(columns, axis=1), np.interp(fine, at, radius)


def _neighbours(
    points: Array, radius: Array, spacing: Array, voxel: float, shape: tuple[int, ...]
) -> tuple[NDArray[np.intp], Array, NDArray[np.intp]]:
    """Voxels near the points: their flat index, distance and which point."""
    reach = np.ceil((radius.max() + voxel) / spacing).astype(int)
    stencil = np.stack(
        np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij"), axis=-1
    ).reshape(-1, 3)
    base = np.rint(points / spacing).astype(np.intp)
    voxels = base[:, None] + stencil
    distance = np.sqrt((((voxels * spacing) - points[:, None]) ** 2).sum(axis=-1))
    near = (distance < radius[:, None] + voxel) & ((voxels >= 0) & (voxels < shape)).all(axis=-1)
    x, y, z = voxels[near].T
    flat = np.ravel_multi_index((x, y, z), shape)
    return flat, distance[near], np.nonzero(near)[0]
