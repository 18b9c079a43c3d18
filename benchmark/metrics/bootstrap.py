"""Bootstrap intervals of one fit's mean over patients, as every result file has them.

They do not say how far the next fit would differ, and with few patients they are too narrow. The
intervals of a row use all its seeds instead (``crossed``).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
DRAWS_AT_ONCE = 1 << 15
"""How many patients are drawn at once, so that memory does not grow with their number."""


class Interval(NamedTuple):
    """A mean with the ends of its bootstrap interval."""

    mean: float
    low: float
    high: float


def interval(values: Sequence[float], *, seed: int = 0, level: float = 0.95) -> Interval:
    """Compute a mean with its percentile bootstrap interval (Efron 1979), resampling patients.

    Args:
        values: One number a patient.
        seed: Seeds the resampling.
        level: The coverage of the interval, in (0, 1).

    Returns:
        The interval; of width 0 for a single value.

    Raises:
        ValueError: For no values.
    """
    if not len(values):
        raise ValueError("A mean over no patients does not exist.")
    array = np.asarray(values, np.float64)
    rng, at_once = np.random.default_rng(seed), max(1, DRAWS_AT_ONCE // len(array))
    means = [
        array[rng.integers(0, len(array), (min(at_once, RESAMPLES - done), len(array)))].mean(
            axis=1
        )
        for done in range(0, RESAMPLES, at_once)
    ]
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(array.mean()), float(low), float(high))


def intervals(columns: Sequence[Sequence[float]]) -> list[Interval]:
    """Compute ``interval`` for several scores of the same patients at once, which is much faster.

    Args:
        columns: For each score, one number a patient.

    Returns:
        One interval for each score.

    Raises:
        ValueError: For no values, or if the columns differ in length.
    """
    if not columns:
        return []
    values = np.asarray(columns, np.float64)
    if values.ndim != 2 or not values.shape[1]:
        raise ValueError(f"Expected scores of the same patients, got shape {values.shape}.")
    low, high = np.quantile(values @ _shares(values.shape[1]), [0.025, 0.975], axis=1)
    found = zip(values.mean(axis=1).tolist(), low.tolist(), high.tolist(), strict=True)
    return [Interval(*each) for each in found]


@lru_cache(maxsize=8)
def _shares(patients: int) -> NDArray[np.float64]:
    """How much of each replicate is of which patient, ``(patients, replicates)``."""
    drawn = np.random.default_rng(0).integers(0, patients, (RESAMPLES, patients))
    counts = [np.bincount(row, minlength=patients) for row in drawn]
    return np.stack(counts, axis=1) / patients
