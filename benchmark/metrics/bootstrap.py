"""Intervals of a mean over patients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

RESAMPLES = 2000


class Interval(NamedTuple):
    """A mean, and the interval that its bootstrap replicates cover."""

    mean: float
    low: float
    high: float


def interval(values: Sequence[float], *, seed: int = 0, level: float = 0.95) -> Interval:
    """The mean with its percentile bootstrap interval (Efron 1979), patients drawn with repeats.

    Args:
        values: One number a patient.
        seed: Seeds the resampling.
        level: What the interval covers, in (0, 1).

    Returns:
        The interval; of no width for a single value.

    Raises:
        ValueError: For no values.
    """
    if not len(values):
        raise ValueError("A mean over no patients does not exist.")
    array = np.asarray(values, np.float64)
    drawn = np.random.default_rng(seed).integers(0, len(array), (RESAMPLES, len(array)))
    means = array[drawn].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(array.mean()), float(low), float(high))
