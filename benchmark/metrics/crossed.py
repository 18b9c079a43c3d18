r"""Means over seeds and patients, with intervals that hold for fresh fits and fresh patients.

A score of the fit of seed s on patient p is μ + a_s + b_p + e_sp: crossed random effects. With S
seeds, P patients and the mean squares A of seeds, B of patients and E of the rest,

    x = A / SP,  y = B / SP,  z = E / SP,        Var(mean) = x + y − z.

The interval is Student's t, mean ± t(df) · c √V, with changes to Satterthwaite (1946), whose
variance is too often too small and whose df is too often that of the larger part:

    V = max(x, y, x + y − z)
    df = 1 / (w² / (S − 1) + (1 − w)² / (P − 1))
    w / (1 − w) = (max(0, x − z) / √(S − 1)) / (max(0, y − z) / √(P − 1)),   c = 1.03

A mean square of few degrees of freedom errs by its own √(2 / df), and so counts for more. What it
has of the rest says nothing of its part, and is taken off. c is for effects that are skewed as the
board's are. Where one part alone varies, this is Student's interval of that part, times c; of fits
without chance c is 1, and the interval is Student's own.

Of two seeds, or two patients, a mean square has one degree of freedom. There

    V = max(m − min(m, z) / 2, x + y − z),   m = max(x, y),

w is of x and y whole, its power is 1.1 instead of 2, and c is 1: the interval is too wide rather
than too narrow. What all that covers is a test, and a table in docs/experiments.md.

Where single patients are not told, a cell tells its mean and that mean's own error over patients.
Then z is unknown and taken as 0, which widens the interval, while bootstrap intervals of few
patients are a little narrow: it comes out between 0.9 times as wide and wider.
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
"""Patients of a mean that does not tell their number: it would not have left with fewer."""

WIDER = 1.03
"""c: so that effects of skewness 1 are covered at 93 % or more, and normal ones at 97 or less."""

Floats = NDArray[np.float64]


class Parts(NamedTuple):
    """The standard deviations of what a score varies by, in the score's unit.

    Attributes:
        seeds: Of one fit's mean and the next's, over all patients.
        patients: Of one patient's mean and the next's, over all fits.
        rest: Of what is left; 0 where single patients are not told.
    """

    seeds: float
    patients: float
    rest: float


@dataclass(frozen=True, kw_only=True)
class OneDraw:
    """A mean over a single fit, or of a single patient: nothing tells how far the next would lie.

    Attributes:
        mean: The mean.
        seeds: Of how many fits.
        patients: Over how many patients; ``None`` where that is not told.
        seed_sd: The standard deviation over seeds that other fits of the same kind had, if known.
    """

    mean: float
    seeds: int
    patients: int | None
    seed_sd: float | None = None

    @property
    def words(self) -> str:
        """What stands in the interval's place."""
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
        seeds: Over how many fits.
        patients: Over how many patients; ``None`` where that is not told.
        parts: What the scores vary by.
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
        """That a mean of 0 lies as far away, two-sided: below 0.05 where the interval has no 0."""
        return float(p_values(*map(np.asarray, (self.mean, self.error, self.df))))


Estimate = Crossed | OneDraw


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A row's scores, patient by patient.

    Attributes:
        seeds: Of its fits.
        patients: Who has the score under every seed.
        values: ``(seeds, patients)``.
        is_certain: Whether a fit has no randomness, so that all seeds are one and suffice.
    """

    seeds: tuple[int, ...]
    patients: tuple[str, ...]
    values: Floats
    is_certain: bool = False


@dataclass(frozen=True, kw_only=True)
class Means:
    """A row's scores where single patients are not told.

    Attributes:
        seeds: Of its fits.
        values: Each one's mean over patients, ``(seeds,)``.
        errors: Each mean's standard error over patients, ``(seeds,)``.
        patients: How many they are, if that is told.
        is_certain: Whether a fit has no randomness.
    """

    seeds: tuple[int, ...]
    values: Floats
    errors: Floats
    patients: int | None
    is_certain: bool = False


Told = Grid | Means


class Squares(NamedTuple):
    """What means are uncertain by: x, y and z as above, with degrees of freedom.

    ``is_certain``: whether fits have no chance, so that patients alone vary.
    """

    mean: Floats | np.floating
    seeds: Floats | np.floating
    seeds_df: float
    patients: Floats | np.floating
    patients_df: float
    rest: Floats | np.floating
    is_certain: bool = False


def grid(cells: Mapping[int, Mapping[str, float | None]], *, is_certain: bool = False) -> Grid:
    """A row's scores by seed and patient, of those patients who have one under every seed.

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
    """A mean's standard error, of the percentile bootstrap interval that its cell tells.

    Bootstrap replicates vary by (n − 1) / n of what means of n patients do.
    """
    n = patients or FEWEST
    if n < 2:
        return 0.0
    return float((high - low) / (2 * ndtri((1 + LEVEL) / 2)) * np.sqrt(n / (n - 1)))


def estimate(told: Told) -> Estimate:
    """The mean over seeds and patients, with its interval if there are two of each or more.

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
    """The same, with no end outside of what the score can be."""
    if isinstance(found, OneDraw):
        return found
    return replace(found, low=max(found.low, least), high=min(found.high, most))


def number_of_patients(told: Told) -> int | None:
    """Over how many a row's mean is; ``None`` where that is not told."""
    return len(told.patients) if isinstance(told, Grid) else told.patients


def of_squares(found: Squares, seeds: int, patients: int | None) -> Crossed:
    """The mean with its interval.

    Args:
        found: What it is uncertain by.
        seeds: Of how many fits it is.
        patients: Over how many.
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
    """A row's mean and what it is uncertain by; of two seeds or more, or of fits without chance."""
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
    """The same of any number of rows, ``(…, seeds, patients)``, two of each or more."""
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
    """A mean's standard error, as wide as its interval needs it, and its degrees of freedom."""
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
    """Two-sided, that a mean is 0; 1 of a mean of exactly 0, whatever its error."""
    sure = np.where(mean == 0, 0.0, np.inf)
    ratio = np.divide(np.abs(mean), error, out=sure, where=error > 0)
    return np.asarray(2 * stdtr(df, -ratio), np.float64)
