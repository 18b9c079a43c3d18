"""Which rows are told apart, and between which ranks each may stand."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

ALPHA = 0.05


class Rank(NamedTuple):
    """Between which ranks a row stands; 1 is the best."""

    first: int
    last: int


def holm(p: ArrayLike) -> NDArray[np.float64]:
    """Holm's (1979) adjusted p-values of a family: below α with probability α if none differs.

    Args:
        p: One p-value for each comparison, ``(n,)``.

    Returns:
        ``(n,)``, none below its own and none above 1.

    Raises:
        ValueError: If one is no probability.

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
    """The same of a symmetric matrix of p-values, whose family is all pairs.

    Args:
        p: ``(rows, rows)``.
    """
    upper = np.triu_indices(len(p), 1)
    adjusted = np.ones_like(p)
    adjusted[upper] = holm(p[upper])
    return np.minimum(adjusted, adjusted.T)


def ranks(means: ArrayLike, p: NDArray[np.float64]) -> list[Rank]:
    """Each row's ranks: 1 + those that are above it, to n − those that are below it.

    Above and below count those alone that are told apart; all intervals hold at once with the
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
