"""Smooth random fields: white noise on a coarse lattice, interpolated by cubic B-splines.

Every step is elementwise, so the number of threads changes no bit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

Field = NDArray[np.float32]

# A cubic B-spline of white noise has the mean variance 151/315 along each axis.
_SPLINE_STD = float(np.sqrt(151 / 315))


def smooth_noise(
    rng: np.random.Generator,
    shape: Sequence[int],
    spacing_mm: Sequence[float],
    *,
    grain_mm: float,
) -> Field:
    """Draw a field of mean about 0 and standard deviation about 1 that varies over ``grain_mm``.

    Args:
        rng: The random generator.
        shape: The shape of the field.
        spacing_mm: The sides of its cells.
        grain_mm: The spacing of the lattice.
    """
    counts = [int(np.ceil(n * s / grain_mm)) + 4 for n, s in zip(shape, spacing_mm, strict=True)]
    field = rng.standard_normal(counts, dtype=np.float32)
    for axis in (2, 1, 0):
        positions = np.arange(shape[axis], dtype=np.float64) * (spacing_mm[axis] / grain_mm)
        field = _interpolate(field, positions, axis)
    return field / np.float32(_SPLINE_STD**3)


def noise_at(rng: np.random.Generator, positions_mm: Sequence[Field], *, grain_mm: float) -> Field:
    """Draw a field like ``smooth_noise`` at positions that need not lie on a grid.

    Args:
        rng: The random generator.
        positions_mm: The coordinates along each axis.
        grain_mm: The spacing of the lattice.
    """
    lattice = [np.float32(1 / grain_mm) * p for p in positions_mm]
    for place in lattice:
        place += np.float32(2 - np.floor(place.min()))
    counts = [int(place.max()) + 4 for place in lattice]
    white = rng.standard_normal(counts, dtype=np.float32)
    field = map_coordinates(white, lattice, order=3, prefilter=False, output=np.float32)
    return np.asarray(field / np.float32(_SPLINE_STD**3))


def _interpolate(field: Field, positions: NDArray[np.float64], axis: int) -> Field:
    first = np.floor(positions).astype(np.intp)
    t = positions - first
    weights = (
        (1 - t) ** 3 / 6,
        (3 * t**3 - 6 * t**2 + 4) / 6,
        (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6,
        t**3 / 6,
    )
    side = [1, 1, 1]
    side[axis] = -1
    parts = (
        np.take(field, first + k, axis=axis) * w.astype(np.float32).reshape(side)
        for k, w in enumerate(weights)
    )
    total = next(parts)
    for part in parts:
        total += part
    return total
