"""Comparison of two rows: the difference of their means, and whose next fit is better.

Fits of one seed share their random draws, and all rows have the same test patients. So a difference
is taken seed by seed and patient by patient where both rows have the same. Its interval is that of
crossed effects (``crossed``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np
from scipy.special import ndtr

from benchmark.metrics.crossed import (
    Estimate,
    Floats,
    Grid,
    OneDraw,
    Squares,
    Told,
    estimate,
    number_of_patients,
    of_squares,
    of_values,
    p_values,
    spread,
    squares,
)

Pairing = Literal["seed and patient", "patient", "nothing"]
FEWEST_DF = 2
"""Below this, a sum of variances is trusted no more than the less certain of them."""

DRAWS = 2000
"""The number of draws for a probability's interval. The error of its ends is then below 0.01."""


class Chance(NamedTuple):
    """The probability that one row's next fit is better than another's, with a 95 % interval."""

    mean: float
    low: float
    high: float


def difference(one: Told, other: Told) -> tuple[Estimate, Pairing]:
    """Estimate by how much ``one`` is above ``other``.

    Rows with different seeds are independent fits on the same patients. Where single patients are
    not given, all parts are added as if independent, which makes the interval wider than necessary.
    Of rows that share only some patients, only these count.

    Returns:
        The difference, and what could be paired.
    """
    both = shared(one, other)
    if both is None:
        return _apart(one, other, None), "nothing"
    one, other = both
    if one.is_certain or other.is_certain or one.seeds == other.seeds:
        return estimate(_paired(one, other)), "seed and patient"
    above = one.values.mean(axis=0) - other.values.mean(axis=0)
    return _apart(one, other, above), "patient"


def shared(one: Told, other: Told) -> tuple[Grid, Grid] | None:
    """Return both rows on the patients that both tell of; ``None`` if there are none."""
    if not (isinstance(one, Grid) and isinstance(other, Grid)):
        return None
    if one.patients == other.patients:
        return one, other
    known = tuple(patient for patient in one.patients if patient in other.patients)
    return (_of(one, known), _of(other, known)) if known else None


def _of(row: Grid, patients: tuple[str, ...]) -> Grid:
    columns = [row.patients.index(patient) for patient in patients]
    return replace(row, patients=patients, values=row.values[:, columns])


def _paired(one: Grid, other: Grid) -> Grid:
    """The differences; of a row whose fits have no randomness, any seed is as good."""
    sides = [row.values.mean(axis=0) if row.is_certain else row.values for row in (one, other)]
    values = np.atleast_2d(sides[0] - sides[1])
    certain = one.is_certain and other.is_certain
    seeds = other.seeds if one.is_certain and not certain else one.seeds
    return Grid(seeds=seeds, patients=one.patients, values=values, is_certain=certain)


def _apart(one: Told, other: Told, above: Floats | None) -> Estimate:
    """The difference of independent fits; ``above``: by patient, where these are paired."""
    few = min(number_of_patients(row) or 0 for row in (one, other)) or None
    mean = float(one.values.mean() - other.values.mean())
    random = [len(row.seeds) for row in (one, other) if not row.is_certain]
    seeds = min(random, default=len(one.seeds))
    drawn_once = 1 in random
    if drawn_once or few == 1:
        return OneDraw(mean=mean, seeds=1 if drawn_once else seeds, patients=few)
    found = _sum(squares(one), squares(other))
    if above is not None:
        found = found._replace(patients=above.var(ddof=1) / len(above))
    return of_squares(found._replace(mean=np.float64(mean)), seeds, few)


def _sum(one: Squares, other: Squares) -> Squares:
    """Parts that add up, with Satterthwaite's degrees of freedom of each sum."""
    return Squares(
        np.float64(one.mean - other.mean),
        np.float64(one.seeds + other.seeds),
        _df(float(one.seeds), one.seeds_df, float(other.seeds), other.seeds_df),
        np.float64(one.patients + other.patients),
        min(one.patients_df, other.patients_df),
        np.float64(one.rest + other.rest),
    )


def _df(one: float, one_df: float, other: float, other_df: float) -> float:
    """Satterthwaite's; of a variance from two fits, which says little of itself, only its own."""
    if not one + other or min(one_df, other_df) < FEWEST_DF:
        return min(one_df, other_df)
    return (one + other) ** 2 / (one**2 / one_df + other**2 / other_df)


def p_of_pairs(rows: list[Told]) -> Floats:
    """Compute the p-value of the difference of every pair of rows.

    Rows of the same seeds and patients are compared many at once.

    Args:
        rows: The rows' scores.

    Returns:
        ``(rows, rows)``; 1 on the diagonal, and where a row is one draw.
    """
    found = np.ones((len(rows), len(rows)))
    alike: dict[tuple[object, ...], list[int]] = {}
    for number, row in enumerate(rows):
        alike.setdefault(_draws(row, number), []).append(number)
    for numbers in alike.values():
        _within(rows, numbers, found)
    groups = [*alike.values()]
    for place, group in enumerate(groups):
        for number in group:
            for other in (n for later in groups[place + 1 :] for n in later):
                found[number, other] = found[other, number] = _p(rows[number], rows[other])
    return found


def _draws(row: Told, number: int) -> tuple[object, ...]:
    """What rows must share to be compared at once; of others, nothing is shared."""
    if isinstance(row, Grid) and not row.is_certain and len(row.patients) > 1:
        return row.seeds, row.patients
    return (number,)


def _within(rows: list[Told], numbers: list[int], found: Floats) -> None:
    if len(numbers) == 1 or len(rows[numbers[0]].seeds) == 1:
        return
    values = np.stack([rows[number].values for number in numbers])
    for place, number in enumerate(numbers[:-1]):
        later = numbers[place + 1 :]
        apart = of_values(values[place + 1 :] - values[place])
        found[number, later] = found[later, number] = p_values(
            np.asarray(apart.mean), *spread(apart)
        )


def _p(one: Told, other: Told) -> float:
    found, _ = difference(one, other)
    return 1.0 if isinstance(found, OneDraw) else found.p


def chance(one: Told, other: Told) -> Chance | None:
    """Estimate the probability that a new fit of ``one`` beats a new fit of ``other``.

    A fit's score here is its mean over the population of patients, and fits are independent and
    normal: P = Φ(δ / √(σ₁² + σ₂²)), with δ the difference of means and σ each row's standard
    deviation over seeds. The interval is the generalised one (Weerahandi 1993): δ by its Student's
    distribution, each mean square by its χ².

    Returns:
        The probability with its interval; ``None`` if either row is one draw.
    """
    found, _ = difference(one, other)
    if isinstance(found, OneDraw):
        return None
    rng = np.random.default_rng(0)
    deltas = found.mean + found.error * rng.standard_t(found.df, DRAWS)
    rows = [(squares(row), len(row.seeds)) for row in (one, other)]
    drawn = np.asarray(sum(_drawn_variance(each, many, rng) for each, many in rows))
    low, high = np.quantile(_share(deltas, drawn), [0.025, 0.975])
    best = sum(max(0.0, float(each.seeds - each.rest)) * many for each, many in rows)
    mean = float(_share(np.array([found.mean]), np.array([best]))[0])
    return Chance(mean, min(float(low), mean), max(float(high), mean))


def _share(delta: Floats, variance: Floats) -> Floats:
    sure = np.where(delta == 0, 0.0, np.copysign(np.inf, delta))
    ratio = np.divide(delta, np.sqrt(variance), out=sure, where=variance > 0)
    return np.asarray(ndtr(ratio), np.float64)


def _drawn_variance(found: Squares, seeds: int, rng: np.random.Generator) -> Floats:
    """What the variance over seeds may be, by the mean squares' distributions."""
    rest_df = found.seeds_df * found.patients_df
    between, rest = (rng.chisquare(df, DRAWS) / df for df in (found.seeds_df, rest_df))
    return np.maximum(0.0, found.seeds / between - found.rest / rest) * seeds


def means_by_seed(told: Told) -> dict[int, float]:
    """Return each fit's mean over patients, by its seed."""
    values = told.values.mean(axis=1) if isinstance(told, Grid) else told.values
    return dict(zip(told.seeds, values.tolist(), strict=True))
