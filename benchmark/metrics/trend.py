"""An exact test of whether a score falls as ε tightens: Page's test on seed means."""

from __future__ import annotations

from itertools import permutations
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr
from scipy.stats import rankdata

MOST = 7
"""The most levels whose permutations are all counted. With more, the statistic is taken as
normal."""


class Trend(NamedTuple):
    """The trend of a score along levels.

    Attributes:
        rho: Spearman's correlation of score and level, the mean over seeds, in [-1, 1].
        p: The one-sided p-value: how probable so strong a rise is for a score without a trend.
        seeds: How many seeds.
        levels: How many levels.
    """

    rho: float
    p: float
    seeds: int
    levels: int


def trend(scores: ArrayLike) -> Trend:
    """Test whether scores rise along the levels (Page 1963), with each seed as a block.

    Levels share a seed's draws, so only the order within a seed is compared. Without a trend every
    order of a seed's scores is equally probable. Ties have mean ranks. With S seeds and k levels,
    no p is below (1 / k!) ** S.

    Args:
        scores: Seed means in the order of the levels, ``(seeds, levels)``.

    Raises:
        ValueError: For fewer than one seed or three levels, or a score that is not a number.

    Examples:
        >>> trend([[0.1, 0.2, 0.3]]).p
        0.16666666666666666
    """
    values = np.asarray(scores, np.float64)
    if values.ndim != 2 or not len(values) or values.shape[1] < 3 or not np.isfinite(values).all():
        raise ValueError(
            f"Expected scores of seeds on three levels or more, got {values.tolist()}."
        )
    seeds, levels = values.shape
    doubled = np.rint(2 * rankdata(values, axis=1)).astype(np.int64)
    order = np.arange(1, levels + 1)
    found = int((doubled * order).sum())
    p = _exact(doubled, found) if levels <= MOST else _normal(doubled, found)
    return Trend(_rho(doubled), p, seeds, levels)


def _rho(doubled: NDArray[np.int64]) -> float:
    """0 of a seed whose scores are all one."""
    order = np.arange(doubled.shape[1]) - (doubled.shape[1] - 1) / 2
    apart = doubled - doubled.mean(axis=1, keepdims=True)
    length = np.sqrt((apart**2).sum(axis=1) * (order**2).sum())
    return float(
        np.divide(apart @ order, length, out=np.zeros(len(apart)), where=length > 0).mean()
    )


def _exact(doubled: NDArray[np.int64], found: int) -> float:
    """The distribution of a sum of independent blocks is that of each, convolved."""
    levels = doubled.shape[1]
    orders = np.array([*permutations(range(1, levels + 1))])
    whole = np.ones(1)
    for block in doubled:
        counts = np.bincount(orders @ block).astype(np.float64)
        whole = np.convolve(whole, counts / len(orders))
    below, above = whole[:found].sum(), whole[found:].sum()  # the smaller is the more exact
    return float(above if above < below else 1.0 - below)


def _normal(doubled: NDArray[np.int64], found: int) -> float:
    levels = doubled.shape[1]
    order = np.arange(1, levels + 1)
    mean = (doubled.mean(axis=1) * order.sum()).sum()
    variance = (doubled.var(axis=1, ddof=1) * levels * order.var()).sum()
    return float(ndtr((mean - found) / np.sqrt(variance))) if variance else 1.0
