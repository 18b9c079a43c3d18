"""What so many seeds and patients can show: against simulated studies, and at its limits."""

import math

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import nct, t

from benchmark.metrics.crossed import WIDER, Parts, of_values, p_values, spread
from benchmark.metrics.power import (
    POWER,
    expected,
    half_width,
    power,
    seeds_for,
    smallest_difference,
)

DRAWS = 10_000
ERROR = 3.5 * math.sqrt(POWER * (1 - POWER) / DRAWS) + 0.003
"""Of a simulated power, by Monte Carlo, and by the points that the expectation is taken over."""

ALIKE = Parts(0.05, 0.05, 0.03)
DESIGNS = [
    (ALIKE, 2, 6),
    (ALIKE, 3, 6),
    (ALIKE, 10, 20),
    (Parts(0.16, 0.05, 0.06), 5, 20),
    (Parts(0.02, 0.1, 0.03), 4, 40),
    (Parts(0.08, 0.03, 0.1), 3, 20),
    (Parts(0.0, 0.0, 0.1), 3, 6),
    (Parts(0.1, 0.1, 0.0), 20, 3),
]


def shown(parts: Parts, seeds: int, patients: int, difference: float) -> float:
    """The share of simulated studies in which a true difference shows."""
    rng = np.random.default_rng(25)
    shapes = ((DRAWS, seeds, 1), (DRAWS, 1, patients), (DRAWS, seeds, patients))
    drawn = (sd * rng.standard_normal(of) for sd, of in zip(parts, shapes, strict=True))
    found = of_values(np.asarray(difference + sum(drawn)))
    return float((p_values(np.asarray(found.mean), *spread(found)) < 0.05).mean())


@pytest.mark.parametrize(("parts", "seeds", "patients"), DESIGNS)
def test_the_smallest_difference_shows_in_four_of_five_simulated_studies(
    parts: Parts, seeds: int, patients: int
) -> None:
    smallest = smallest_difference(parts, seeds, patients)
    assert smallest is not None
    assert shown(parts, seeds, patients, smallest) == pytest.approx(POWER, abs=ERROR)


@pytest.mark.parametrize("difference", [0.0, 0.05, -0.1])
def test_the_power_is_the_share_of_simulated_studies(difference: float) -> None:
    at = power(ALIKE, 4, 8, difference)
    assert at == pytest.approx(shown(ALIKE, 4, 8, difference), abs=ERROR)


@pytest.mark.parametrize("many", [3, 6, 20])
def test_where_one_part_alone_varies_it_is_the_power_of_students_test(many: int) -> None:
    ends = WIDER * t.ppf(0.975, many - 1)

    def lack(delta: float) -> float:
        return float(nct.sf(ends, many - 1, delta * math.sqrt(many) / 0.1)) - POWER

    theirs = brentq(lack, 0.01, 0.5)
    for parts, seeds, patients in (
        (Parts(0.1, 0.0, 0.0), many, 20),
        (Parts(0.0, 0.1, 0.0), 20, many),
    ):
        assert smallest_difference(parts, seeds, patients) == pytest.approx(theirs, rel=0.005)


@pytest.mark.parametrize(("parts", "patients"), [(ALIKE, 20), (Parts(0.1, 0.02, 0.05), 6)])
def test_so_many_seeds_show_a_difference_and_one_fewer_does_not(
    parts: Parts, patients: int
) -> None:
    for difference in (0.06, 0.1, 0.3):
        seeds = seeds_for(parts, patients, difference)
        assert seeds is not None
        assert power(parts, seeds, patients, difference) >= POWER
        assert seeds == 2 or power(parts, seeds - 1, patients, difference) < POWER
        smallest = smallest_difference(parts, seeds, patients)
        assert smallest is not None
        assert smallest <= difference * 1.001


def test_no_number_of_seeds_shows_what_patients_alone_leave_open() -> None:
    alone = smallest_difference(Parts(0.0, 0.1, 0.0), 2, 6)
    assert alone is not None
    assert seeds_for(Parts(0.1, 0.1, 0.0), 6, 0.9 * alone) is None
    assert seeds_for(Parts(0.1, 0.1, 0.0), 6, 1.1 * alone) is not None


def test_nobody_looks_beyond_the_most_seeds() -> None:
    needed = seeds_for(ALIKE, 40, 0.05)
    assert needed is not None
    assert seeds_for(ALIKE, 40, 0.05, most=needed - 1) is None
    assert seeds_for(ALIKE, 40, 0.05, most=needed) == needed


def test_one_seed_or_one_patient_shows_nothing() -> None:
    assert smallest_difference(ALIKE, 1, 20) is None
    assert smallest_difference(ALIKE, 20, 1) is None
    assert seeds_for(ALIKE, 1, 0.5) is None
    for seeds, patients in ((1, 20), (20, 1)):
        with pytest.raises(ValueError, match="two seeds and patients or more"):
            power(ALIKE, seeds, patients, 0.1)


def test_what_does_not_vary_shows_every_difference() -> None:
    nothing = Parts(0.0, 0.0, 0.0)
    assert smallest_difference(nothing, 2, 2) == pytest.approx(0, abs=1e-12)
    assert power(nothing, 2, 2, 0.0) == 0
    assert power(nothing, 2, 2, 0.001) == 1
    assert seeds_for(nothing, 2, 0.001) == 2


def test_the_expected_mean_squares_are_the_mean_of_simulated_ones() -> None:
    rng = np.random.default_rng(0)
    shapes = ((DRAWS, 3, 1), (DRAWS, 1, 6), (DRAWS, 3, 6))
    values = sum(sd * rng.standard_normal(of) for sd, of in zip(ALIKE, shapes, strict=True))
    found, at = of_values(np.asarray(values)), expected(ALIKE, 3, 6)
    for drawn, mean in ((found.seeds, at.seeds), (found.patients, at.patients)):
        assert np.mean(drawn) == pytest.approx(float(mean), rel=0.05)
    assert np.mean(found.rest) == pytest.approx(float(at.rest), rel=0.05)


def test_the_half_width_is_students_where_one_part_alone_varies() -> None:
    theirs = WIDER * t.ppf(0.975, 5) * 0.1 / math.sqrt(6)
    assert half_width(Parts(0.0, 0.1, 0.0), 3, 6) == pytest.approx(theirs)
    assert half_width(Parts(0.1, 0.0, 0.0), 6, 3) == pytest.approx(theirs)
