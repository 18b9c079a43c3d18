"""Distances between the voxels of two masks, in mm."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.nearest import nearest
from benchmark.metrics.overlap import as_mask, check_shapes

PERCENTILE = 95

Mask = NDArray[np.generic]
Spacing = tuple[float, float, float]


def hausdorff95(prediction: Mask, truth: Mask, spacing_mm: Spacing) -> float:
    """Compute the symmetric 95 % Hausdorff distance.

    It is the larger of the 95th percentiles of the distances in both directions. A surface consists
    of the voxels with a background voxel across one of their faces; outside the volume is
    background. The result equals MONAI's ``compute_hausdorff_distance(percentile=95)``.

    Args:
        prediction: A mask ``(X, Y, Z)``; nonzero is marked.
        truth: A mask of the same shape.
        spacing_mm: A voxel's sides.

    Returns:
        The distance in mm; the volume's diagonal where exactly one mask is empty, 0 where both are.

    Raises:
        ValueError: If the shapes differ.
    """
    known = _of_empty(prediction, truth, spacing_mm)
    if known is not None:
        return known
    one, other = _surface(as_mask(prediction)), _surface(as_mask(truth))
    both = nearest(one, other, spacing_mm), nearest(other, one, spacing_mm)
    return max(float(np.percentile(found.distance_mm, PERCENTILE)) for found in both)


def balanced_average_hausdorff(prediction: Mask, truth: Mask, spacing_mm: Spacing) -> float:
    """Compute the balanced average Hausdorff distance: ½ (Σ_g d(g, S) + Σ_s d(s, G)) / |G|.

    g are the voxels of the truth G, and s those of the prediction S (Aydin et al. 2021, doi
    10.1186/s41747-020-00200-2). Unlike in the average distance, both sums have one divisor, so that
    a larger false prediction is never better.

    Args:
        prediction: A mask ``(X, Y, Z)``; nonzero is marked.
        truth: A mask of the same shape.
        spacing_mm: A voxel's sides.

    Returns:
        The distance in mm; the volume's diagonal where exactly one mask is empty, 0 where both are.

    Raises:
        ValueError: If the shapes differ.
    """
    known = _of_empty(prediction, truth, spacing_mm)
    if known is not None:
        return known
    found, real = as_mask(prediction), as_mask(truth)
    both = nearest(real, found, spacing_mm), nearest(found, real, spacing_mm)
    return float(sum(side.distance_mm.sum() for side in both) / (2 * real.sum()))


def _of_empty(prediction: Mask, truth: Mask, spacing_mm: Spacing) -> float | None:
    """The distance where a mask is empty."""
    check_shapes(prediction, truth)
    found, real = bool(prediction.any()), bool(truth.any())
    if found and real:
        return None
    return float(np.linalg.norm(np.multiply(truth.shape, spacing_mm))) if found or real else 0.0


def _surface(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The marked voxels with a background voxel, or the volume's end, across one of their faces."""
    inner = mask.copy()
    for axis in range(mask.ndim):
        ours, kept = np.moveaxis(mask, axis, 0), np.moveaxis(inner, axis, 0)
        kept[1:] &= ours[:-1]
        kept[:-1] &= ours[1:]
        kept[0] = kept[-1] = False
    return mask & ~inner
