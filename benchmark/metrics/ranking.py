"""Ranks of rows: which rows differ significantly, and which ranks each row may have."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

ALPHA = 0.05


class Rank(NamedTuple):
    """The range of ranks that a row may have; 1 is the best."""

    first: int
    last: int


def holm(p: ArrayLike) -> NDArray[np.float64]:
    """Adjust the p-values of a family of comparisons by Holm's method (1979).

    If none of the compared pairs differs, the probability that any adjusted p-value is below α is
    at most α.

    Args:
        p: One p-value for each comparison, ``(n,)``.

    Returns:
        ``(n,)``, none below its own and none above 1.

    Raises:
        ValueError: If one is not in [0, 1].

    Examples:
        >>> holm([0.01, 0.04, 0.03]).tolist()
        [0.03, 0.06, 0.06]
    """
    values = np.asarray(p, np.float64)
    if values.ndim != 1 or not np.all((values >= 0) & (values <= 1)):
        raise ValueError(f"Expected p-values in [0, 1], got {values.tolist()}.")
    order = np.argsort(values, kind="stable")
    grown = values[order] * np.arange(len(values), 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(grown))
    return adjusted


def holm_of_pairs(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Adjust a symmetric matrix of p-values by Holm's method, with all pairs as the family.

    Args:
        p: ``(rows, rows)``.

    Returns:
        The adjusted matrix, with 1 on the diagonal.
    """
    upper = np.triu_indices(len(p), 1)
    adjusted = np.ones_like(p)
    adjusted[upper] = holm(p[upper])
    return np.minimum(adjusted, adjusted.T)


def ranks(means: ArrayLike, p: NDArray[np.float64]) -> list[Rank]:
    """Compute the range of each row's rank: from 1 + those above it to n − those below it.

    Only rows that differ significantly count as above or below. All ranges hold at once with the
    probability of the correction (Mohamad, Goeman & van Zwet 2022, doi 10.1111/biom.13456).

    Args:
        means: ``(rows,)``; more is better.
        p: Corrected p-values of all pairs, ``(rows, rows)``.
    """
    values = np.asarray(means, np.float64)
    apart = p < ALPHA
    above = (apart & (values[None, :] > values[:, None])).sum(axis=1).tolist()
    below = (apart & (values[None, :] < values[:, None])).sum(axis=1).tolist()
    return [Rank(1 + a, len(values) - b) for a, b in zip(above, below, strict=True)]
