"""The audit's bound against closed forms, and its canaries."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from benchmark.audit.bound import best_number_of_guesses, chance, largest_bound, lower_bound
from benchmark.audit.canaries import COPIES, trial
from benchmark.core.errors import UsageError
from generators.checks import patches


@pytest.mark.parametrize(("canaries", "largest"), [(16, 1.6), (200, 4.2), (1000, 5.8)])
def test_the_largest_bounds_are_the_published_ones(canaries: int, largest: float) -> None:
    found = largest_bound(canaries=canaries, guesses=canaries, delta=0.0)
    assert found == pytest.approx(largest, abs=0.05)


@pytest.mark.parametrize(("guesses", "right"), [(20, 15), (100, 80), (100, 60), (500, 400)])
def test_without_delta_the_bound_is_the_exact_binomial_one(guesses: int, right: int) -> None:
    low = binomtest(right, guesses, alternative="greater").proportion_ci(0.95, "exact").low
    found = lower_bound(canaries=guesses, guesses=guesses, right=right, delta=0.0)
    assert found == pytest.approx(max(0.0, math.log(low / (1 - low))), abs=1e-3)


def test_the_chance_covers_randomised_response_and_its_worst_delta() -> None:
    rng = np.random.default_rng(0)
    m, epsilon, delta, runs = 60, 1.0, 2e-3, 20_000
    honest = 1 / (1 + math.exp(-epsilon))
    for together in (1, 5, 20, 60):
        # Each example comes out with probability δ, as many together as hurts the most.
        leaked = rng.random(runs) < m * delta / together
        rest = rng.binomial(m - together * leaked, honest)
        right = rest + together * leaked
        for v in (40, 45, 50, 55, 60):
            bound = chance(canaries=m, guesses=m, right=v, epsilon=epsilon, delta=delta)
            assert (right >= v).mean() <= bound + 4 * math.sqrt(bound / runs) + 1e-4
    alone = chance(canaries=m, guesses=m, right=58, epsilon=epsilon, delta=0.0)
    assert chance(canaries=m, guesses=m, right=58, epsilon=epsilon, delta=delta) > 3 * alone


def test_fewer_right_guesses_more_delta_or_more_confidence_prove_less() -> None:
    numbers = {"canaries": 200, "guesses": 100, "delta": 1e-5}
    bounds = [lower_bound(right=right, **numbers) for right in (50, 70, 90, 100)]
    assert bounds[0] == 0
    assert bounds == sorted(bounds)
    assert lower_bound(right=90, canaries=200, guesses=100, delta=1e-2) < bounds[2]
    assert lower_bound(right=90, confidence=0.999, **numbers) < bounds[2]
    with pytest.raises(UsageError, match="right <= guesses <= canaries"):
        lower_bound(right=101, **numbers)


def test_the_number_of_guesses_is_one_that_could_refute_the_claim() -> None:
    for claim in (1.0, 2.0, 3.5):
        guesses = best_number_of_guesses(200, claim=claim, separation=0.5, delta=1e-6)
        assert largest_bound(canaries=200, guesses=guesses, delta=1e-6) > claim


@pytest.mark.parametrize("unit", ["patch", "patient"])
def test_canaries_are_units_of_their_own_and_about_half_are_in(unit: str) -> None:
    known = patches()
    among = trial(known, unit, canaries=40, seed=1)
    entered = int(among.included.sum())
    assert 8 < entered < 32
    each = min(COPIES, known.patches_per_patient) if unit == "patient" else 1
    assert len(among.patches) == len(known) + each * entered
    hosts = 40 if unit == "patient" else math.ceil(40 / known.patches_per_patient)
    assert among.public.patients == among.patches.patients == known.patients + hosts
    assert set(np.unique(among.canaries)) == {-1.0, 1.0}
    assert len({row.tobytes() for row in among.canaries.numpy()}) == 40
