"""How far apart two masks' surfaces lie, in mm."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt

PERCENTILE = 95


def hausdorff95(
    prediction: NDArray[np.generic],
    truth: NDArray[np.generic],
    spacing_mm: tuple[float, float, float],
) -> float:
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
    if prediction.shape != truth.shape:
        raise ValueError(f"Expected masks of one shape, got {prediction.shape} and {truth.shape}.")
    one, other = prediction != 0, truth != 0
    if not one.any() and not other.any():
        return 0.0
    if not one.any() or not other.any():
        return float(np.linalg.norm(np.multiply(one.shape, spacing_mm)))
    window = _around(one | other)
    one, other = _surface(one[window]), _surface(other[window])
    return max(_directed(one, other, spacing_mm), _directed(other, one, spacing_mm))


def _around(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    found = [np.flatnonzero(mask.any(axis=other)) for other in ((1, 2), (0, 2), (0, 1))]
    return tuple(slice(int(f[0]), int(f[-1]) + 1) for f in found)


def _surface(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.asarray(mask & ~binary_erosion(mask))


def _directed(
    one: NDArray[np.bool_], other: NDArray[np.bool_], spacing_mm: tuple[float, float, float]
) -> float:
    distances = distance_transform_edt(~other, sampling=spacing_mm)[one]
    return float(np.percentile(distances, PERCENTILE))
