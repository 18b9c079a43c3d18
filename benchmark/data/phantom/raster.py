"""From tubes to voxels: how much of each voxel a vessel covers, and how bright its blood is.

A voxel is taken as a disc of its own cross-section, radius a = √(area / π). A tube of radius r
whose centreline passes at distance d covers of it: min(1, (r/a)²) for d ≤ |r − a|, nothing for
d ≥ r + a, and a smooth step between. Blood's signal falls as flow slows in thin vessels:
flow = flow of the segment / (1 + (r_slow / r)²).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.data.phantom.curves import arc_length
from benchmark.data.phantom.forest import Segment
from benchmark.data.phantom.grid import Grid
from benchmark.data.phantom.head import Pose

Points = NDArray[np.float64]
Index = NDArray[np.intp]


class Drawn(NamedTuple):
    """Vessels on the voxel grid, all ``(X, Y, Z)``.

    Attributes:
        coverage: The share of a voxel that is vessel, float32 in [0, 1].
        flow: Signal of the blood in it over fast arterial blood's, float32.
        label: The voxels that an annotator would mark, bool.
    """

    coverage: NDArray[np.float32]
    flow: NDArray[np.float32]
    label: NDArray[np.bool_]


def draw(
    segments: Sequence[Segment],
    pose: Pose,
    grid: Grid,
    *,
    slow_radius_mm: float,
    labelled_signal: float = 0.0,
    labelled_step: float = 0.5,
) -> Drawn:
    """Draw every segment. A voxel belongs to the vessel that covers most of it.

    A voxel is labelled where the step reaches ``labelled_step``, unless the tube is so thin and
    slow that coverage · flow stays below ``labelled_signal``.

    Args:
        segments: The vessels.
        pose: The pose of the head.
        grid: The voxels.
        slow_radius_mm: r_slow of the module.
        labelled_signal: The least coverage · flow that is labelled.
        labelled_step: The least step that is labelled.
    """
    share, flow = (np.zeros(grid.shape, np.float32) for _ in range(2))
    drawn = Drawn(share, flow, np.zeros(grid.shape, bool))
    for segment in segments:
        points = pose.to_world(segment.points)
        seen = _draw_segment(drawn, segment, points, np.array(grid.spacing_mm), slow_radius_mm)
        if segment.is_labelled:
            marked = (seen.step >= labelled_step) & (seen.signal >= labelled_signal)
            drawn.label.flat[seen.voxels[marked]] = True
    return drawn


class _Seen(NamedTuple):
    """Voxels in a segment's reach: how far the step has risen there, and the signal beyond it."""

    voxels: Index
    step: Points
    signal: Points


def _draw_segment(
    drawn: Drawn, segment: Segment, points: Points, spacing: Points, slow_radius_mm: float
) -> _Seen:
    points, radius = _resampled(points, segment.radius_mm, 0.5 * float(spacing.min()))
    voxel = _voxel_radius(points, spacing)
    index, distance, nearest = _neighbours(points, radius + voxel, spacing, drawn.coverage.shape)
    r, voxel = radius[nearest], voxel[nearest]
    most = np.minimum(1.0, (r / voxel) ** 2)
    step = np.clip((r + voxel - distance) / (2 * np.minimum(r, voxel)), 0, 1)
    step = step**2 * (3 - 2 * step)
    flow = segment.flow / (1 + (slow_radius_mm / r) ** 2)
    share = most * step
    _merge(drawn, index, share.astype(np.float32), flow.astype(np.float32))
    return _Seen(index, step, most * flow)


def _merge(
    drawn: Drawn, index: Index, share: NDArray[np.float32], flow: NDArray[np.float32]
) -> None:
    order = np.argsort(share, kind="stable")
    index, share, flow = index[order], share[order], flow[order]
    wins = share > drawn.coverage.flat[index]
    # Of repeated indices the last assignment stays: the largest share, since they are sorted.
    drawn.coverage.flat[index[wins]] = share[wins]
    drawn.flow.flat[index[wins]] = flow[wins]


def _resampled(points: Points, radius: Points, step_mm: float) -> tuple[Points, Points]:
    at = arc_length(points)
    fine = np.linspace(0, at[-1], max(2, int(np.ceil(at[-1] / step_mm)) + 1))
    columns = [np.interp(fine, at, points[:, i]) for i in range(3)]
    return np.stack(columns, axis=1), np.interp(fine, at, radius)


def _voxel_radius(points: Points, spacing: Points) -> Points:
    """Radius of the disc with a voxel's cross-section across the tube, at each of its points."""
    along = np.abs(np.gradient(points, axis=0))
    chord = (along * spacing).sum(axis=1) / np.linalg.norm(along, axis=1)
    return np.asarray(np.sqrt(spacing.prod() / chord / np.pi))


def _neighbours(
    points: Points, reach: Points, spacing: Points, shape: tuple[int, ...]
) -> tuple[Index, Points, Index]:
    """Voxels in reach of the points: their flat index, their distance and which point it is to."""
    counts = np.ceil(reach.max() / spacing).astype(int)
    sides = np.meshgrid(*(np.arange(-n, n + 1) for n in counts), indexing="ij")
    stencil = np.stack(sides, axis=-1).reshape(-1, 3)
    middles = np.rint(points / spacing).astype(np.intp)
    seen = np.flatnonzero(((middles >= -counts) & (middles < shape + counts)).all(axis=-1))
    voxels = middles[seen, None] + stencil
    distance = np.sqrt(((voxels * spacing - points[seen, None]) ** 2).sum(axis=-1))
    near = (distance < reach[seen, None]) & ((voxels >= 0) & (voxels < shape)).all(axis=-1)
    index = np.ravel_multi_index(tuple(voxels[near].T), shape)
    return index, distance[near], seen[np.nonzero(near)[0]]
