"""Frangi's vesselness of whole volumes, with scales in millimetres and the published constants.

At a scale σ the Hessian of the smoothed volume, times σ², has eigenvalues |λ1| ≤ |λ2| ≤ |λ3|. A
bright tube has λ2, λ3 < 0 and, with A = |λ2| / |λ3|, B = |λ1| / √|λ2 λ3|, S² = λ1² + λ2² + λ3²,

    V = (1 − exp(−A² / 2α²)) · exp(−B² / 2β²) · (1 − exp(−S² / 2c²)),

where α = β = 0.5 and c is half of the largest S. The measure is the largest V over the scales.

Reference: Frangi et al. (1998), MICCAI, LNCS 1496:130, equations 10 to 15.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

ALPHA, BETA, HALF = 0.5, 0.5, 0.5
TINY = 1e-12
FARTHEST = 3.0
"""How many standard deviations of a Gaussian its kernel covers."""

AXES = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
Array = NDArray[np.float32]


def tubes(
    volume: Array,
    brain: NDArray[np.bool_],
    spacing_mm: tuple[float, float, float],
    scales_mm: Sequence[float],
) -> Array:
    """Compute how much every voxel looks like a bright tube.

    What is outside the brain is first filled with the brain's median, so that its edge has no
    response. Only the brain's bounding box is processed.

    Args:
        volume: ``(X, Y, Z)``.
        brain: The brain, ``(X, Y, Z)``.
        spacing_mm: A voxel's sides.
        scales_mm: Standard deviations of the Gaussians.

    Returns:
        float32 ``(X, Y, Z)`` in [0, 1]; 0 outside the brain.
    """
    found = np.zeros(volume.shape, np.float32)
    if not brain.any():
        return found
    box = _box(brain)
    inside = brain[box]
    filled = np.where(inside, volume[box], np.median(volume[brain])).astype(np.float32)
    best = found[box]
    for scale in scales_mm:
        best[inside] = np.maximum(best[inside], _at(filled, inside, spacing_mm, scale))
    return found


def _box(brain: NDArray[np.bool_]) -> tuple[slice, ...]:
    """The smallest box that holds the brain."""
    return tuple(slice(int(there.min()), int(there.max()) + 1) for there in np.nonzero(brain))


def _at(
    filled: Array, inside: NDArray[np.bool_], spacing_mm: Sequence[float], scale_mm: float
) -> Array:
    """The measure of the voxels inside at one scale."""
    small, middle, large = _eigenvalues(_hessian(filled, inside, spacing_mm, scale_mm))
    squared = small**2 + middle**2 + large**2
    c_squared = max(HALF**2 * float(squared.max()), TINY)
    plate = middle**2 / np.maximum(large**2, TINY)
    blob = small**2 / np.maximum(np.abs(middle * large), TINY)
    measure = (
        (1 - np.exp(-plate / (2 * ALPHA**2)))
        * np.exp(-blob / (2 * BETA**2))
        * (1 - np.exp(-squared / (2 * c_squared)))
    )
    return np.where((middle < 0) & (large < 0), measure, 0).astype(np.float32)


def _hessian(
    filled: Array, inside: NDArray[np.bool_], spacing_mm: Sequence[float], scale_mm: float
) -> Array:
    """The six second derivatives of the voxels inside, per mm² and times σ², ``(6, n)``."""
    from scipy.ndimage import gaussian_filter

    sigma = [scale_mm / side for side in spacing_mm]
    rows = []
    for one, other in AXES:
        order = [(axis == one) + (axis == other) for axis in range(3)]
        found = gaussian_filter(filled, sigma, order=order, mode="nearest", truncate=FARTHEST)
        rows.append(found[inside] * (scale_mm**2 / (spacing_mm[one] * spacing_mm[other])))
    return np.stack(rows).astype(np.float32)


def _eigenvalues(hessian: Array) -> tuple[Array, Array, Array]:
    """Those of symmetric matrices, by rising magnitude.

    In closed form, by angles (Smith 1961, Communications of the ACM 4:168): LAPACK takes ten times
    as long for so many small matrices.
    """
    xx, xy, xz, yy, yz, zz = hessian
    mean = (xx + yy + zz) / 3
    off = xy**2 + xz**2 + yz**2
    spread = np.sqrt(((xx - mean) ** 2 + (yy - mean) ** 2 + (zz - mean) ** 2 + 2 * off) / 6)
    a, b, c = (diagonal - mean for diagonal in (xx, yy, zz))
    determinant = a * (b * c - yz**2) - xy * (xy * c - yz * xz) + xz * (xy * yz - b * xz)
    angle = np.arccos(np.clip(determinant / np.maximum(2 * spread**3, TINY), -1, 1)) / 3
    largest = mean + 2 * spread * np.cos(angle)
    least = mean + 2 * spread * np.cos(angle + 2 * np.pi / 3)
    values = np.stack([largest, 3 * mean - largest - least, least])
    by_magnitude = np.take_along_axis(values, np.abs(values).argsort(axis=0), axis=0)
    return by_magnitude[0], by_magnitude[1], by_magnitude[2]
