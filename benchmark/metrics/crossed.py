r"""Means over seeds and patients, with intervals that hold for new fits and new patients.

A score of the fit of seed s on patient p is μ + a_s + b_p + e_sp: crossed random effects. With S
seeds, P patients and the mean squares A of seeds, B of patients and E of the rest,

    x = A / SP,  y = B / SP,  z = E / SP,        Var(mean) = x + y − z.

The interval is Student's t, mean ± t(df) · c √V. It differs from Satterthwaite (1946), whose
variance is too often too small and whose df is too often that of the larger part:

    V = max(x, y, x + y − z)
    df = 1 / (w² / (S − 1) + (1 − w)² / (P − 1))
    w / (1 − w) = (max(0, x − z) / √(S − 1)) / (max(0, y − z) / √(P − 1)),   c = 1.03

A mean square of few degrees of freedom has a relative error of √(2 / df), and so counts for more.
The share of the rest in it says nothing about its own part, and is subtracted. c is for effects
that are as skewed as the board's. Where one part alone varies, this is Student's interval of that
part, times c. For fits without randomness c is 1, and the interval is Student's own.

Of two seeds, or two patients, a mean square has one degree of freedom. There

    V = max(m − min(m, z) / 2, x + y − z),   m = max(x, y),

w is computed from x and y without subtraction, its power is 1.1 instead of 2, and c is 1: the
interval is too wide rather than too narrow. A test, and a table in docs/experiments.md, show the
coverage of all this.

Where the scores of single patients are not given, a cell gives its mean and the mean's own error
over patients. Then z is unknown and taken as 0, which widens the interval. Bootstrap intervals of
few patients are a little narrow, so the result is at least 0.9 times as wide.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtr, stdtrit

LEVEL = 0.95
FEWEST = 5
"""The number of patients that is assumed for a mean that does not tell it. Means of fewer are not
published."""

WIDER = 1.03
"""c, chosen so that coverage is at least 93 % for effects of skewness 1 and at most 97 % for normal
ones."""

Floats = NDArray[np.float64]


class Parts(NamedTuple):
    """The standard deviations of a score's random effects, in the score's unit.

    Attributes:
        seeds: Between fits, of the mean over all patients.
        patients: Between patients, of the mean over all fits.
        rest: Of what is left; 0 where the scores of single patients are not given.
    """

    seeds: float
    patients: float
    rest: float


@dataclass(frozen=True, kw_only=True)
class OneDraw:
    """A mean over a single fit, or of a single patient, which has no interval.

    Attributes:
        mean: The mean.
        seeds: The number of fits.
        patients: The number of patients; ``None`` where it is not given.
        seed_sd: The standard deviation over seeds of other fits of the same kind, if known.
    """

    mean: float
    seeds: int
    patients: int | None
    seed_sd: float | None = None

    @property
    def words(self) -> str:
        """The text that is shown instead of an interval."""
        if self.seeds > 1:
            return "one patient"
        if self.seed_sd is None:
            return "one draw"
        return f"one draw; seeds of this generator differ by ±{self.seed_sd:.2f}"


@dataclass(frozen=True, kw_only=True)
class Crossed:
    """A mean over seeds and patients with its 95 % interval.

    Attributes:
        mean: The mean.
        low: The interval's lower end.
        high: Its upper end.
        seeds: The number of fits.
        patients: The number of patients; ``None`` where it is not given.
        parts: The standard deviations of the scores' random effects.
        error: The mean's standard error.
        df: Student's degrees of freedom.
    """

    mean: float
    low: float
    high: float
    seeds: int
    patients: int | None
    parts: Parts
    error: float
    df: float

    @property
    def p(self) -> float:
        """The two-sided p-value of the hypothesis that the mean is 0.

        It is below 0.05 exactly where the interval does not contain 0.
        """
        return float(p_values(*map(np.asarray, (self.mean, self.error, self.df))))


Estimate = Crossed | OneDraw


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The scores of a row, patient by patient.

    Attributes:
        seeds: The seeds of its fits.
        patients: The patients that have the score under every seed.
        values: ``(seeds, patients)``.
        is_certain: Whether a fit has no randomness, so that one seed is enough.
    """

    seeds: tuple[int, ...]
    patients: tuple[str, ...]
    values: Floats
    is_certain: bool = False


@dataclass(frozen=True, kw_only=True)
class Means:
    """The scores of a row where those of single patients are not given.

    Attributes:
        seeds: The seeds of its fits.
        values: Each fit's mean over patients, ``(seeds,)``.
        errors: Each mean's standard error over patients, ``(seeds,)``.
        patients: The number of patients; ``None`` if it is not given.
        is_certain: Whether a fit has no randomness.
    """

    seeds: tuple[int, ...]
    values: Floats
    errors: Floats
    patients: int | None
    is_certain: bool = False


Told = Grid | Means


class Squares(NamedTuple):
    """A mean with the variance parts x, y and z of the module, and their degrees of freedom.

    Attributes:
        mean: The mean.
        seeds: x, the part of the seeds.
        seeds_df: The degrees of freedom of x.
        patients: y, the part of the patients.
        patients_df: The degrees of freedom of y.
        rest: z.
        is_certain: Whether fits have no randomness, so that patients alone vary.
    """

    mean: Floats | np.floating
    seeds: Floats | np.floating
    seeds_df: float
    patients: Floats | np.floating
    patients_df: float
    rest: Floats | np.floating
    is_certain: bool = False


def grid(cells: Mapping[int, Mapping[str, float | None]], *, is_certain: bool = False) -> Grid:
    """Collect a row's scores of the patients that have one under every seed.

    Args:
        cells: By seed, each patient's score; ``None`` or NaN where it is undefined.
        is_certain: Whether a fit has no randomness.

    Raises:
        ValueError: If no patient has the score under every seed.
    """
    told = [{p: v for p, v in cell.items() if v is not None and v == v} for cell in cells.values()]
    whole = tuple(p for p in (told[0] if told else ()) if all(p in cell for cell in told))
    if not whole:
        raise ValueError("Expected scores of one patient or more under every seed, got none.")
    values = np.array([[cell[patient] for patient in whole] for cell in told], np.float64)
    return Grid(seeds=tuple(cells), patients=whole, values=values, is_certain=is_certain)


def error_of(low: float, high: float, patients: int | None) -> float:
    """Compute a mean's standard error from its percentile bootstrap interval.

    The variance of bootstrap replicates is (n − 1) / n of that of means of n patients. This is
    corrected.

    Args:
        low: The interval's lower end.
        high: Its upper end.
        patients: n; ``None`` stands for ``FEWEST``.

    Returns:
        The standard error; 0 for a single patient.
    """
    n = patients or FEWEST
    if n < 2:
        return 0.0
    return float((high - low) / (2 * ndtri((1 + LEVEL) / 2)) * np.sqrt(n / (n - 1)))


def estimate(told: Told) -> Estimate:
    """Compute the mean of a row, with its interval where it has one.

    An interval needs two patients or more, and two seeds or more unless fits have no randomness.

    Args:
        told: The row's scores.

    Examples:
        >>> found = estimate(grid({0: {"a": 0.7, "b": 0.8}, 1: {"a": 0.6, "b": 0.7}}))
        >>> round(found.mean, 3), found.seeds, found.patients
        (0.7, 2, 2)
    """
    patients = number_of_patients(told)
    many = len(told.seeds)
    if (many == 1 and not told.is_certain) or patients == 1:
        return OneDraw(mean=float(told.values.mean()), seeds=many, patients=patients)
    return of_squares(squares(told), many, patients)


def within(found: Estimate, least: float, most: float) -> Estimate:
    """Cut the ends of an interval off at the score's bounds.

    Args:
        found: The mean with its interval.
        least: The score's lower bound.
        most: The score's upper bound.
    """
    if isinstance(found, OneDraw):
        return found
    return replace(found, low=max(found.low, least), high=min(found.high, most))


def number_of_patients(told: Told) -> int | None:
    """Return the number of patients of a row; ``None`` where it is not given."""
    return len(told.patients) if isinstance(told, Grid) else told.patients


def of_squares(found: Squares, seeds: int, patients: int | None) -> Crossed:
    """Compute a mean's 95 % interval from its variance parts.

    Args:
        found: The mean and its variance parts.
        seeds: The number of fits.
        patients: The number of patients; ``None`` where it is not given.
    """
    error, df = (float(value) for value in spread(found))
    half = error * float(stdtrit(df, (1 + LEVEL) / 2))
    mean = float(found.mean)
    parts = _parts(found, seeds, patients or FEWEST)
    return Crossed(
        mean=mean,
        low=mean - half,
        high=mean + half,
        seeds=seeds,
        patients=patients,
        parts=parts,
        error=error,
        df=df,
    )


def _parts(found: Squares, seeds: int, patients: int) -> Parts:
    """Estimates by the mean squares' expectations, none below 0."""
    x, y, z = float(found.seeds), float(found.patients), float(found.rest)
    return Parts(
        seeds=math.sqrt(max(0.0, x - z) * seeds),
        patients=math.sqrt(max(0.0, y - z) * patients),
        rest=math.sqrt(z * seeds * patients),
    )


def squares(told: Told) -> Squares:
    """Compute a row's mean and its variance parts.

    Args:
        told: The scores of two seeds or more, or of fits without randomness.
    """
    if isinstance(told, Grid):
        if not told.is_certain:
            return of_values(told.values)
        within = told.values.mean(axis=0).var(ddof=1) / len(told.patients)
    else:
        within = np.mean(told.errors**2)
    nothing = np.float64(0)
    seeds = len(told.seeds)
    between = nothing if told.is_certain else told.values.var(ddof=1) / seeds
    patients = number_of_patients(told) or FEWEST
    df = 2.0 if told.is_certain else max(seeds - 1.0, 1.0), patients - 1.0
    return Squares(np.mean(told.values), between, df[0], within, df[1], nothing, told.is_certain)


def of_values(values: Floats) -> Squares:
    """Compute the mean and the variance parts of any number of rows at once.

    Args:
        values: ``(…, seeds, patients)``, two of each or more.
    """
    seeds, patients = values.shape[-2:]
    mean = values.mean((-2, -1))
    by_seed = values.mean(-1) - mean[..., None]
    by_patient = values.mean(-2) - mean[..., None]
    left = values - mean[..., None, None] - by_seed[..., None] - by_patient[..., None, :]
    x = (by_seed**2).sum(-1) / ((seeds - 1) * seeds)
    y = (by_patient**2).sum(-1) / ((patients - 1) * patients)
    z = (left**2).sum((-2, -1)) / ((seeds - 1) * (patients - 1) * seeds * patients)
    return Squares(mean, x, seeds - 1.0, y, patients - 1.0, z)


def spread(found: Squares) -> tuple[Floats, Floats]:
    """Compute a mean's standard error, as its interval needs it, and its degrees of freedom.

    These are c √V and df of the module.
    """
    x, y, z = np.asarray(found.seeds), np.asarray(found.patients), np.asarray(found.rest)
    larger = np.maximum(x, y)
    if min(found.seeds_df, found.patients_df) < 2:
        variance = np.maximum(larger - np.minimum(larger, z) / 2, x + y - z)
        return np.sqrt(variance), _df(found, x, y, 1.1)
    variance = np.maximum(larger, x + y - z)
    own = np.maximum(0.0, x - z), np.maximum(0.0, y - z)
    widened = 1.0 if found.is_certain else WIDER
    return widened * np.sqrt(variance), _df(found, *own, 2.0)


def _df(found: Squares, seeds: Floats, patients: Floats, power: float) -> Floats:
    """Degrees of freedom by the shares of both parts; alike where neither has any."""
    u, v = seeds / np.sqrt(found.seeds_df), patients / np.sqrt(found.patients_df)
    share = np.divide(u, u + v, out=np.full(u.shape, 0.5), where=u + v > 0)
    inverse = share**power / found.seeds_df + (1 - share) ** power / found.patients_df
    return np.asarray(1 / inverse)


def p_values(mean: Floats, error: Floats, df: Floats) -> Floats:
    """Compute two-sided p-values of the hypothesis that means are 0, by Student's t.

    Args:
        mean: The means.
        error: Their standard errors, of the same shape.
        df: Their degrees of freedom.

    Returns:
        The p-values; 1 for a mean of exactly 0, whatever its error.
    """
    sure = np.where(mean == 0, 0.0, np.inf)
    ratio = np.divide(np.abs(mean), error, out=sure, where=error > 0)
    return np.asarray(2 * stdtr(df, -ratio), np.float64)
