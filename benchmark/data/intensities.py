"""Intensities independent of the unit in which a file stores them.

MR intensities have no unit: v and a·v + b with a > 0 are the same picture. Scanners store whole
numbers, so the values of a rescaled volume still lie on a lattice, v = v₀ + g·k. All rescalings
have the whole numbers k in common, however float32 rounded the values.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_STEPS = 2**18
"""The most steps of a lattice. A volume with more was resampled, and has no lattice."""

OFF_LATTICE = 0.25
"""How far, in steps, float32 may have moved a value from its lattice point."""


def canonical(image: NDArray[Any]) -> NDArray[np.float32]:
    """Return the same picture in units of its own: steps of the lattice, or shares of the range.

    Guarantees:
        * Where the values lie on a lattice, every increasing linear rescaling that keeps them apart
          gives the same array, bit for bit.
        * Elsewhere (resampled, filtered) values lie in [0, 1], equal up to float32's rounding.

    Args:
        image: ``(X, Y, Z)``, finite; not changed.

    Returns:
        Float32 of the same shape, at least 0; all 0 for a constant image.

    Examples:
        >>> canonical(np.array([[[-0.5, 0.25, 1.0]]], np.float32))
        array([[[0., 1., 2.]]], dtype=float32)
    """
    low, high = float(image.min()), float(image.max())
    if not high > low:
        return np.zeros(image.shape, np.float32)
    by_last = abs(image.strides[-1]) > abs(image.strides[0])  # planes that lie whole in memory
    planes = image.T if by_last else image
    values = _distinct(planes)
    step = _step(values) if values is not None else None
    unit = step or high - low
    out = np.empty_like(image, np.float32)
    turned = out.T if by_last else out
    for plane, source in zip(turned, planes, strict=True):  # in float64 at once it is twice as much
        shares = (source.astype(np.float64) - low) / unit
        plane[:] = np.rint(shares) if step else shares
    return out


def whole_numbers(image: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.int64]] | None:
    """Count how often each whole number occurs in an image, faster than by sorting.

    Args:
        image: ``(X, Y, Z)``, finite.

    Returns:
        The values in rising order and their counts; ``None`` where a value is not a whole number,
        or the range is too wide for a lattice.
    """
    low, high = float(image.min()), float(image.max())
    if high - low > MOST_STEPS:
        return None
    counts = np.zeros(round(high - low) + 1, np.int64)
    for plane in image.T if abs(image.strides[-1]) > abs(image.strides[0]) else image:
        if not (plane == np.rint(plane)).all():
            return None
        counts += np.bincount((plane - low).ravel("K").astype(np.intp), minlength=len(counts))
    there = np.flatnonzero(counts)
    return np.asarray(there + low, np.float64), counts[there]


def _distinct(planes: NDArray[Any]) -> NDArray[np.float64] | None:
    """All values in their order; ``None`` where there are too many for a lattice."""
    if whole := whole_numbers(planes):
        return whole[0]
    values = np.unique(planes[0])
    for plane in planes[1:]:
        values = np.union1d(values, np.unique(plane))
        if len(values) > MOST_STEPS:
            return None
    return values.astype(np.float64)


def _step(values: NDArray[np.float64]) -> float | None:
    """The lattice's step, if all values lie on one.

    The least gap is g but for rounding, by which a wide gap would be counted wrongly; so g is found
    from the narrowest gaps, and then from ever wider ones.
    """
    gaps = np.diff(values)
    step = float(gaps.min())
    if not values[-1] - values[0] <= MOST_STEPS * step:
        return None
    widest = 1.5
    while widest < 2 * MOST_STEPS:
        near = gaps < widest * step
        counts = np.rint(gaps[near] / step)
        step, widest = float(gaps[near].sum() / counts.sum()), 2 * widest
    steps = np.append(0, np.cumsum(np.rint(gaps / step)))
    off = np.abs((values - values[0]) / step - steps).max()
    return step if off < OFF_LATTICE else None
