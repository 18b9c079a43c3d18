"""How far apart two masks lie, in mm."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion
from scipy.spatial import KDTree

from benchmark.metrics.window import around

PERCENTILE = 95

Mask = NDArray[np.generic]
Spacing = tuple[float, float, float]


def hausdorff95(prediction: Mask, truth: Mask, spacing_mm: Spacing) -> float:
    """The symmetric 95 % Hausdorff distance: the larger of both directions' 95th percentiles.

    A surface is made of the voxels with a background voxel across one of their faces; outside the
    volume is background. Equal to MONAI's ``compute_hausdorff_distance(percentile=95)``.

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
    one, other = (_points(_surface(mask != 0), spacing_mm) for mask in (prediction, truth))
    return max(
        float(np.percentile(nearest(a, b), PERCENTILE)) for a, b in ((one, other), (other, one))
    )


def balanced_average_hausdorff(prediction: Mask, truth: Mask, spacing_mm: Spacing) -> float:
    """The balanced average Hausdorff distance: ½ (Σ_g d(g, S) + Σ_s d(s, G)) / |G|.

    Over the voxels g of the truth G and s of the prediction S (Aydin et al. 2021,
    doi 10.1186/s41747-020-00200-2): unlike the average distance, both sums have one divisor, so
    that a larger false prediction is never better.

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
    found, real = (_points(mask != 0, spacing_mm) for mask in (prediction, truth))
    return float((nearest(real, found).sum() + nearest(found, real).sum()) / (2 * len(real)))


def nearest(points: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each point's distance ``(n,)`` to the nearest of the others ``(m, 3)``, m at least 1."""
    distances: NDArray[np.float64] = KDTree(others).query(points)[0]
    return distances


def _of_empty(prediction: Mask, truth: Mask, spacing_mm: Spacing) -> float | None:
    """The distance where a mask is empty."""
    if prediction.shape != truth.shape:
        raise ValueError(f"Expected masks of one shape, got {prediction.shape} and {truth.shape}.")
    found, real = bool(prediction.any()), bool(truth.any())
    if found and real:
        return None
    return float(np.linalg.norm(np.multiply(truth.shape, spacing_mm))) if found or real else 0.0


def _surface(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    window = around(mask)
    shell = np.zeros_like(mask)
    shell[window] = mask[window] & ~binary_erosion(mask[window])
    return shell


def _points(mask: NDArray[np.bool_], spacing_mm: Spacing) -> NDArray[np.float64]:
    points: NDArray[np.float64] = np.argwhere(mask) * np.array(spacing_mm)
    return points
