r"""The difference of two rows that a number of seeds and patients can show, computed in advance.

A paired difference of the fit of seed s on patient p is δ + a_s + b_p + e_sp, as in ``crossed``.
With normal effects of standard deviations σ_a, σ_b, σ_e, S seeds and P patients,

    d ~ N(δ, V),   V = σ_a² / S + σ_b² / P + σ_e² / SP
    x ~ (σ_a² / S + σ_e² / SP) χ²(S − 1) / (S − 1),   y likewise,   z ~ σ_e² / SP χ²(…) / (…)

are independent. A difference shows where its 95 % interval, d ± h(x, y, z), does not contain 0. So

    power = E[Φ((δ − h) / √V) + Φ(−(δ + h) / √V)]

over the mean squares, because the interval's own variance and degrees of freedom decide it. The
expectation is a mean over the points of an additive lattice, so it is the same each time. A
non-central t at the expected mean squares is no substitute. For three seeds and six patients it
gives differences that are too small, by 5 % where the parts are equal and by 20 % where only the
rest varies.

All this is for one pair. For several pairs, Holm's correction requires larger differences.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from scipy.special import gammaincinv, ndtr, stdtrit

from benchmark.metrics.crossed import LEVEL, Floats, Parts, Squares, spread

POWER = 0.8
MOST_SEEDS = 1000
"""The most seeds that are considered. If these do not show a difference, patients alone vary too
much."""

POINTS = 2048
PRECISION = 1e-4
"""The relative precision of a smallest difference."""


def expected(parts: Parts, seeds: int, patients: int) -> Squares:
    """Compute the expected variance parts of a mean of 0.

    Args:
        parts: The standard deviations of the scores' random effects.
        seeds: How many fits; 2 or more.
        patients: How many patients; 2 or more.

    Raises:
        ValueError: If there are fewer.
    """
    if min(seeds, patients) < 2:
        raise ValueError(f"Expected two seeds and patients or more, got {seeds} and {patients}.")
    rest = parts.rest**2 / (seeds * patients)
    return Squares(
        np.float64(0),
        np.float64(parts.seeds**2 / seeds + rest),
        seeds - 1.0,
        np.float64(parts.patients**2 / patients + rest),
        patients - 1.0,
        np.float64(rest),
    )


def half_width(parts: Parts, seeds: int, patients: int) -> float:
    """Compute half the width of the 95 % interval, at the expected variance parts.

    Args:
        parts: The standard deviations of the scores' random effects.
        seeds: How many fits; 2 or more.
        patients: How many patients; 2 or more.

    Raises:
        ValueError: If there are fewer.
    """
    return float(_half(expected(parts, seeds, patients)))


def power(parts: Parts, seeds: int, patients: int, difference: float) -> float:
    """Compute the probability that a true difference is significant, two-sided at 5 %.

    Args:
        parts: The standard deviations of the paired differences' random effects.
        seeds: How many fits of each row; 2 or more.
        patients: How many patients; 2 or more.
        difference: The true one, in the score's unit.

    Raises:
        ValueError: If there are fewer.
    """
    return _power(*_halves(parts, seeds, patients), abs(difference))


def smallest_difference(parts: Parts, seeds: int, patients: int) -> float | None:
    """Find the smallest difference that is significant with probability 0.8, two-sided at 5 %.

    Args:
        parts: The standard deviations of the paired differences' random effects.
        seeds: How many fits of each row; positive.
        patients: How many patients; positive.

    Returns:
        The difference in the score's unit; ``None`` for one seed or one patient, which show none.

    Examples:
        >>> smallest_difference(Parts(seeds=0.0, patients=0.1, rest=0.0), 1, 20)
        >>> round(smallest_difference(Parts(seeds=0.0, patients=0.1, rest=0.0), 3, 20), 3)
        0.068
    """
    if min(seeds, patients) < 2:
        return None
    halves, error = _halves(parts, seeds, patients)
    low, high = 0.0, float(halves.max()) + 5 * error  # where the power is as good as 1
    while high - low > PRECISION * high:
        middle = (low + high) / 2
        low, high = (low, middle) if _power(halves, error, middle) >= POWER else (middle, high)
    return high


def seeds_for(parts: Parts, patients: int, difference: float, most: int = MOST_SEEDS) -> int | None:
    """Find the fewest seeds that show a difference with probability 0.8, two-sided at 5 %.

    The search assumes that the power rises with the seeds. With three or four patients it may fall
    very slightly.

    Args:
        parts: The standard deviations of the paired differences' random effects.
        patients: How many patients; positive.
        difference: The true one, in the score's unit; above 0.
        most: The most seeds that are tried; 2 or more.

    Returns:
        Their number; ``None`` if ``most`` do not show it, for example because patients vary too
        much.
    """
    if patients < 2 or power(parts, most, patients, difference) < POWER:
        return None
    low, high = 1, most
    while high - low > 1:
        middle = (low + high) // 2
        shows = power(parts, middle, patients, difference) >= POWER
        low, high = (low, middle) if shows else (middle, high)
    return high


def _power(halves: Floats, error: float, difference: float) -> float:
    if not error:
        return float(difference > 0)
    shows = ndtr((difference - halves) / error) + ndtr(-(difference + halves) / error)
    return float(shows.mean())


def _halves(parts: Parts, seeds: int, patients: int) -> tuple[Floats, float]:
    """By how much intervals reach to either side, and the true standard error."""
    at = expected(parts, seeds, patients)
    rest_df = at.seeds_df * at.patients_df
    dfs = np.array([at.seeds_df, at.patients_df, rest_df])
    x, y, z = (2 * gammaincinv(dfs / 2, _lattice()) / dfs).T
    drawn = at._replace(seeds=at.seeds * x, patients=at.patients * y, rest=at.rest * z)
    return _half(drawn), math.sqrt(float(at.seeds + at.patients - at.rest))


def _half(found: Squares) -> Floats:
    error, df = spread(found)
    return np.asarray(error * stdtrit(df, (1 + LEVEL) / 2))


@cache
def _lattice() -> Floats:
    """Points of the unit cube, ``(POINTS, 3)``: multiples of powers of 1 / g, where g⁴ = g + 1."""
    g = 1.2207440846057596
    steps = np.arange(1, POINTS + 1)[:, None] / g ** np.array([1, 2, 3])
    return np.asarray((0.5 + steps) % 1)
