r"""What share of a difference a row has: of Dice itself, or of what lies above a free row.

A share g = N / M, N = D − F and M = R − F, is a ratio of means: D the row's, R that of `real`, F
that of the free row, or 0. To first order its error is that of

    D − (g R + (1 − g) F)

over M (the delta method). That is the difference of two rows, of which the second is mixed of the
bookends, so its interval is that of any difference (``paired``): over seeds and patients, paired
where both rows have the same. It says little where M is no larger than its own error. So no gain is
computed for a small M (``bookends.LEAST_ROOM``).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmark.metrics.crossed import Estimate, Floats, Grid, OneDraw, Parts, Told
from benchmark.metrics.paired import difference, shared


def share(row: Told, real: Told, free: Told | None = None) -> Estimate | None:
    """Estimate which share of ``real``, or of what it has above ``free``, a row has.

    Args:
        row: The row's scores.
        real: Those of the upper bookend.
        free: Those of the free row; ``None`` for 0.

    Returns:
        The share with its 95 % interval; ``None`` where `real` has nothing more, or the bookends
        have no seed in common, or do not tell of single patients.

    Examples:
        >>> from benchmark.metrics.crossed import grid
        >>> low, high, row = (
        ...     grid({0: {"a": 0.2 * k, "b": 0.1 * k}, 1: {"a": 0.1 * k, "b": 0.2 * k}})
        ...     for k in (1, 3, 2)
        ... )
        >>> round(share(row, high, low).mean, 6)
        0.5
    """
    base = 0.0 if free is None else _mean(free)
    room = _mean(real) - base
    if room <= 0:
        return None
    found = (_mean(row) - base) / room
    mixed = _mixed(real, free, found)
    if mixed is None:
        return None
    apart, _ = difference(row, mixed)
    return _rescaled(apart, found, room)


def _mean(told: Told) -> float:
    return float(told.values.mean())


def _mixed(real: Told, free: Told | None, part: float) -> Told | None:
    """``part`` of `real` and the rest of the free row, seed by seed and patient by patient."""
    if free is None:
        return _times(real, part)
    both = shared(real, free)
    if both is None:
        return None
    one, other = both
    if not one.is_certain and not other.is_certain:
        seeds = tuple(seed for seed in one.seeds if seed in other.seeds)
        if not seeds:
            return None
        one, other = _of_seeds(one, seeds), _of_seeds(other, seeds)
    certain = one.is_certain and other.is_certain
    values = part * _values(one) + (1 - part) * _values(other)
    seeds = other.seeds if one.is_certain and not certain else one.seeds
    return Grid(
        seeds=seeds, patients=one.patients, values=np.atleast_2d(values), is_certain=certain
    )


def _times(told: Told, part: float) -> Told:
    if isinstance(told, Grid):
        return replace(told, values=part * told.values)
    return replace(told, values=part * told.values, errors=abs(part) * told.errors)


def _of_seeds(row: Grid, seeds: tuple[int, ...]) -> Grid:
    places = [row.seeds.index(seed) for seed in seeds]
    return replace(row, seeds=seeds, values=row.values[places])


def _values(row: Grid) -> Floats:
    """Of a row whose fits have no randomness, any seed is as good."""
    return row.values.mean(axis=0) if row.is_certain else row.values


def _rescaled(apart: Estimate, found: float, room: float) -> Estimate:
    """The share, with the spread of the difference in its unit."""
    if isinstance(apart, OneDraw):
        return replace(apart, mean=found, seed_sd=None)
    half = (apart.high - apart.low) / 2 / room
    parts = Parts(*(value / room for value in apart.parts))
    return replace(
        apart,
        mean=found,
        low=found - half,
        high=found + half,
        parts=parts,
        error=apart.error / room,
    )
