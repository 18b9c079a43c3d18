"""Intervals over seeds and patients: what they cover, their limits, and what has none."""

import math

import numpy as np
import pytest
import scipy.stats
from coverage_grid import Design, covered, designs

from benchmark.metrics.bootstrap import interval
from benchmark.metrics.crossed import (
    WIDER,
    Crossed,
    Means,
    OneDraw,
    error_of,
    estimate,
    grid,
    of_values,
    p_values,
    spread,
)

DRAWS = 2000
ERROR = 3.5 * math.sqrt(0.05 * 0.95 / DRAWS) * 100
"""Of a covered percentage, by Monte Carlo; so far from it lies one of four thousand."""


def rows(values: list[list[float | None]]) -> dict[int, dict[str, float | None]]:
    return {s: {f"sub-{p}": v for p, v in enumerate(row)} for s, row in enumerate(values)}


def drawn(seeds: int, patients: int, at: float = 0.7) -> list[list[float]]:
    rng = np.random.default_rng(seeds * 100 + patients)
    found: list[list[float]] = (at + 0.1 * rng.standard_normal((seeds, patients))).tolist()
    return found


def crossed(values: list[list[float]]) -> Crossed:
    found = estimate(grid(rows(values)))
    assert isinstance(found, Crossed)
    return found


def out_of(found: dict[Design, float], low: float, high: float) -> dict[Design, float]:
    return {d: v for d, v in found.items() if not low - ERROR <= v <= high + ERROR}


@pytest.mark.parametrize("skewness", [0.0, 1.0])
def test_three_seeds_or_more_are_covered_at_93_to_97_percent(skewness: float) -> None:
    rng = np.random.default_rng(1)
    asked = designs((3, 5, 10, 20), (3, 6, 20, 40), skewness)
    found = {design: covered(design, DRAWS, rng) for design in asked}
    assert not out_of(found, 93, 97)


def test_two_seeds_are_covered_at_93_to_99_percent() -> None:
    rng = np.random.default_rng(3)
    found = {d: covered(d, DRAWS, rng) for d in designs((2,), (3, 6, 20, 40), 0.0)}
    assert not out_of(found, 93, 98.5)


def test_effects_of_skewness_2_are_covered_at_86_percent_or_more() -> None:
    rng = np.random.default_rng(2)
    found = {d: covered(d, DRAWS, rng) for d in designs((2, 3, 10), (3, 6, 20), 2.0)}
    assert not out_of(found, 86.5, 99)


def test_the_mean_squares_are_those_of_a_two_way_analysis_of_variance() -> None:
    values = np.array(drawn(3, 5))
    found = of_values(values)
    seeds, patients = values.mean(axis=1), values.mean(axis=0)
    assert float(found.seeds) == pytest.approx(seeds.var(ddof=1) / 3)
    assert float(found.patients) == pytest.approx(patients.var(ddof=1) / 5)
    whole = ((values - values.mean()) ** 2).sum()
    left = whole - 5 * seeds.var() * 3 - 3 * patients.var() * 5
    assert float(found.rest) == pytest.approx(left / (2 * 4) / 15)


@pytest.mark.parametrize("certain", [False, True])
def test_of_rows_that_seeds_do_not_change_it_is_students_interval_of_patients(
    certain: bool,
) -> None:
    patients = drawn(1, 6)[0]
    values = rows([patients] * (1 if certain else 3))
    found = estimate(grid(values, is_certain=certain))
    assert isinstance(found, Crossed)
    theirs = scipy.stats.ttest_1samp(patients, 0).confidence_interval()
    half = (1 if certain else WIDER) * (theirs.high - theirs.low) / 2
    assert (found.low, found.high) == pytest.approx((found.mean - half, found.mean + half))
    assert found.parts.seeds == pytest.approx(0, abs=1e-12)
    assert found.parts.patients == pytest.approx(np.std(patients, ddof=1))


def test_where_patients_are_alike_it_is_students_interval_of_seeds() -> None:
    found = crossed([[value] * 4 for value in (0.5, 0.6, 0.8)])
    theirs = scipy.stats.ttest_1samp([0.5, 0.6, 0.8], 0)
    ends = theirs.confidence_interval()
    half = WIDER * (ends.high - ends.low) / 2
    assert (found.low, found.high) == pytest.approx((found.mean - half, found.mean + half))
    assert found.p == pytest.approx(2 * scipy.stats.t.sf(theirs.statistic / WIDER, 2))


def test_the_interval_has_zero_in_it_where_p_is_above_five_percent() -> None:
    for at in np.linspace(-0.2, 0.2, 41):
        found = crossed(drawn(3, 6, at))
        assert (found.low <= 0 <= found.high) == (found.p >= 0.05)


def test_one_seed_or_one_patient_has_no_interval() -> None:
    found = estimate(grid(rows([[0.7, 0.8]])))
    assert found == OneDraw(mean=pytest.approx(0.75), seeds=1, patients=2)
    assert isinstance(found, OneDraw)
    assert found.words == "one draw"
    found = estimate(grid(rows([[0.7], [0.8]])))
    assert isinstance(found, OneDraw)
    assert found.words == "one patient"


def test_a_patient_without_a_score_under_some_seed_is_left_out_and_not_counted() -> None:
    whole = drawn(3, 4)
    gap = [[*row, 0.5] for row in whole]
    gap[1][4] = math.nan
    assert crossed(gap) == crossed(whole)
    none = [[*row, None] for row in whole]
    assert estimate(grid(rows(none))) == crossed(whole)


@pytest.mark.parametrize("values", [[], [[]], [[None]], [[0.5, None], [None, 0.5]]])
def test_without_scores_there_is_no_mean(values: list[list[float | None]]) -> None:
    with pytest.raises(ValueError, match="one patient or more under every seed"):
        grid(rows(values))


def test_scores_that_are_all_one_have_an_interval_of_no_width() -> None:
    found = crossed([[0.0] * 6] * 3)
    assert (found.low, found.high, found.p) == (0, 0, 1)
    assert p_values(np.array(0.1), np.array(0.0), np.array(2.0)) == 0


def test_of_means_alone_the_interval_is_no_narrower_than_that_of_patients() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        values = rng.normal(0.7, 0.1, (3, 1)) + rng.normal(0, 0.1, (1, 8))
        values = values + rng.normal(0, 0.05, (3, 8))
        told = [interval(row.tolist()) for row in values]
        errors = np.array([error_of(one.low, one.high, 8) for one in told])
        assert errors == pytest.approx(values.std(axis=1, ddof=1) / math.sqrt(8), rel=0.1)
        means = Means(seeds=(0, 1, 2), values=values.mean(axis=1), errors=errors, patients=8)
        known, unknown = crossed(values.tolist()), estimate(means)
        assert isinstance(unknown, Crossed)
        assert unknown.error > 0.9 * known.error


def test_many_rows_at_once_are_as_one_by_one() -> None:
    values = np.array([drawn(3, 6, at) for at in (0.1, 0.5)])
    found = of_values(values)
    errors, dfs = spread(found)
    for row, mean, error, df in zip(values, found.mean, errors, dfs, strict=True):
        one = crossed(row.tolist())
        assert (one.mean, one.error, one.df) == pytest.approx((mean, error, df))
