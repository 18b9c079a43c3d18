"""One choice by permute-and-flip: its law, what it costs, and what a unit can do to it."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from benchmark.core.budget import Budget, Guarantee, PublicNumbers
from benchmark.core.errors import UsageError
from benchmark.core.laws import LawBrokenError
from benchmark.core.patches import Patches
from benchmark.privacy import choice_laws
from benchmark.privacy.accounting import composition
from benchmark.privacy.accounting.choices import FINENESS, epsilon_of_choices, noise_of_choices
from benchmark.privacy.accounting.subsampled_gaussian import gaussian_delta
from benchmark.privacy.mechanisms.choice import (
    Election,
    PermuteAndFlip,
    choice_of,
    in_steps,
    plan_choices,
)
from benchmark.privacy.mechanisms.poisson_gaussian import recomputed
from benchmark.privacy.mechanisms.release import grid_of
from benchmark.privacy.randomness import SeededNoise, SystemNoise
from benchmark.privacy.replay import Chosen, Recorder, Replayer

PUBLIC = PublicNumbers(patients=5, patches_per_patient=4, patch_size=8)
DRAWS = 20_000
RARE = 1e-6
THIRD = Fraction(1, 3)


def planned(unit: str = "patient", epsilon: float = 2.0, choices: int = 1) -> Guarantee:
    budget = Budget(epsilon=epsilon, delta=1e-5, unit=unit)
    return plan_choices(PUBLIC, budget, choices=choices)


def law_of(sums: tuple[int, ...], fall: Fraction) -> list[Fraction]:
    """p_r ∫ Π (1 - t p_j) dt in fractions, where a step of the grid costs a factor of ``fall``."""
    heads = [fall ** (max(sums) - number) for number in sums]
    found = []
    for r, own in enumerate(heads):
        product = [Fraction(1)]
        for other in heads[:r] + heads[r + 1 :]:
            shifted = [Fraction(0), *(-other * c for c in product)]
            product = [a + b for a, b in zip([*product, Fraction(0)], shifted, strict=True)]
        found.append(own * sum(c / (power + 1) for power, c in enumerate(product)))
    return found


def law_by_orders(sums: tuple[int, ...], fall: Fraction) -> list[Fraction]:
    """Every order of the candidates, and every coin in it."""
    heads = [fall ** (max(sums) - number) for number in sums]
    found = [Fraction(0)] * len(sums)
    orders = [*itertools.permutations(range(len(sums)))]
    for order in orders:
        left = Fraction(1, len(orders))
        for r in order:
            found[r] += left * heads[r]
            left *= 1 - heads[r]
    return found


@pytest.mark.parametrize("sums", [(0,), (2, 2), (0, 3), (5, 4, 2), (1, 1, 0, 3)])
def test_its_law_is_the_integral_whatever_way_it_is_counted(sums: tuple[int, ...]) -> None:
    law = law_of(sums, THIRD)
    assert law == law_by_orders(sums, THIRD)
    assert sum(law) == 1


@pytest.mark.parametrize("sums", [(2, 2), (0, 3), (5, 4, 2), (1, 1, 0, 3)])
@pytest.mark.parametrize("scale", [Fraction(1, 2), Fraction(3, 2), Fraction(5)])
def test_draws_have_the_closed_forms_probabilities(sums: tuple[int, ...], scale: Fraction) -> None:
    words, law = np.random.Philox(7).random_raw, PermuteAndFlip(scale)
    drawn = [law.draw(np.array(sums), words) for _ in range(DRAWS)]
    fall = Fraction(math.exp(-1 / scale))
    expected = [DRAWS * float(share) for share in law_of(sums, fall)]
    seen = np.bincount(drawn, minlength=len(sums))
    assert scipy.stats.chisquare(seen, expected, sum_check=False).pvalue > RARE


def test_it_is_the_largest_sum_after_exponential_noise() -> None:
    sums, rng = (5, 4, 2), np.random.default_rng(0)
    noisy = np.array(sums) + rng.exponential(1 / math.log(3), (DRAWS, 3))
    expected = [DRAWS * float(share) for share in law_of(sums, THIRD)]
    assert scipy.stats.chisquare(np.bincount(noisy.argmax(1)), expected).pvalue > RARE


def largest_ratio(moves: tuple[int, ...]) -> Fraction:
    """Of any candidate's probability under two sums of three, of which one unit makes the other."""
    largest = Fraction(0)
    for sums in itertools.product(range(4), repeat=3):
        law = law_of(sums, THIRD)
        for added in itertools.product(moves, repeat=3):
            other = law_of(tuple(a + b for a, b in zip(sums, added, strict=True)), THIRD)
            ratios = [max(p / q, q / p) for p, q in zip(law, other, strict=True)]
            largest = max(largest, *ratios)
    return largest


def test_no_unit_changes_a_probability_by_more_than_e_to_the_epsilon() -> None:
    """Δ = 2 steps, each a factor of 3, so e^ε = 9: exactly, over all small sums."""
    assert largest_ratio((0, 1, 2)) <= 9
    assert largest_ratio((0, 2)) > 8


def test_were_scores_to_rise_and_to_fall_it_would_cost_more() -> None:
    assert largest_ratio((-2, 0, 2)) > 9


def test_without_noise_one_of_the_largest_is_chosen_and_each_as_often() -> None:
    noise, choice = SeededNoise("ties"), choice_of(0.0)
    drawn = [noise.chosen(np.array([3, 7, 7, 0]), choice) for _ in range(2_000)]
    seen = np.bincount(drawn, minlength=4)
    assert seen[0] == seen[3] == 0
    assert scipy.stats.binomtest(int(seen[1]), 2_000).pvalue > RARE


def test_seeded_chance_repeats_and_the_systems_is_among_the_candidates() -> None:
    sums, choice = np.array([3 << 20, 0, 2 << 20, 3 << 20]), choice_of(2.0)
    one, other = SeededNoise("a", 1), SeededNoise("a", 1)
    drawn = [one.chosen(sums, choice) for _ in range(50)]
    assert drawn == [other.chosen(sums, choice) for _ in range(50)]
    assert len({*drawn}) > 1
    assert SystemNoise().chosen(sums, choice) in range(4)


@given(st.floats(1e-6, 1e6), st.integers(1, 1000))
def test_what_is_spent_is_just_within_the_target_in_exact_fractions(
    epsilon: float, choices: int
) -> None:
    sigma = noise_of_choices(epsilon, choices)
    assert Fraction(choices) / Fraction(sigma) <= Fraction(epsilon)
    spent = epsilon_of_choices(sigma, choices)
    assert Fraction(choices) / Fraction(sigma) <= Fraction(spent) <= Fraction(epsilon)
    assert spent == pytest.approx(epsilon, rel=1e-12)


@pytest.mark.parametrize("epsilon", [0.0, 1e-320])
def test_a_target_that_no_noise_reaches_is_refused(epsilon: float) -> None:
    with pytest.raises(UsageError, match="Expected epsilon above 0 for a choice"):
        planned(epsilon=epsilon)


def test_a_plan_is_pure_and_says_what_the_other_unit_pays() -> None:
    patient, patch = planned("patient"), planned("patch")
    assert patient.is_pure
    assert (patient.delta, patient.noise_multiplier, patient.steps) == (1e-5, 0.5, 1)
    assert (patient.epsilon, patient.epsilon_patient, patient.epsilon_patch) == (2.0, 2.0, 4.0)
    assert (patch.epsilon, patch.epsilon_patch, patch.epsilon_patient) == (2.0, 2.0, 8.0)
    assert planned(choices=4).noise_multiplier == 2.0


def test_a_plan_without_privacy_has_no_noise() -> None:
    plain = planned(epsilon=math.inf)
    assert (plain.noise_multiplier, plain.epsilon, plain.steps) == (0.0, math.inf, 1)
    assert not plain.is_pure


@pytest.mark.parametrize("unit", ["patient", "patch"])
def test_what_a_plan_claims_is_recomputed_from_its_numbers(unit: str) -> None:
    plan = planned(unit, epsilon=0.7, choices=3)
    claimed = replace(plan, epsilon=0.1, epsilon_patch=0.1, epsilon_patient=0.1)
    assert recomputed(claimed) == plan
    assert recomputed(Guarantee.from_dict(plan.as_dict())) == plan


@pytest.mark.parametrize(
    "forged", [{"sensitivity": 0.5}, {"grid": 0.0}, {"clip_norm": 0.1}, {"distance": 1e-9}]
)
def test_numbers_of_another_mechanism_prove_nothing(forged: dict[str, float]) -> None:
    assert recomputed(replace(planned(), **forged)).epsilon == math.inf


@pytest.mark.parametrize("forged", [{"noise_multiplier": -1.0}, {"noise_multiplier": math.nan}])
def test_noise_that_cannot_be_is_refused(forged: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="Expected σ >= 0"):
        recomputed(replace(planned(), **forged))


def patches(*, without: int | None = None) -> Patches:
    rng, owner = np.random.default_rng(0), np.repeat(np.arange(5), 4)
    images = rng.uniform(-1, 1, (20, 1, 8, 8)).astype(np.float32)
    kept = owner != without
    return Patches(
        images=images[kept],
        masks=(images[kept] > 0).astype(np.uint8),
        patient=owner[kept],
        patients=5,
        patches_per_patient=4,
    )


def pixels(some: Patches) -> np.ndarray:
    return some.images.reshape(len(some), -1)[:, :6].astype(float)


def scored(rows: np.ndarray) -> np.ndarray:
    return np.where(rows == 0, 0.0, 3 * rows)  # beyond [0, 1] on both sides


@pytest.mark.parametrize("unit", ["patient", "patch"])
def test_sums_are_those_of_the_units_scores_in_whole_steps(unit: str) -> None:
    recorder, data = Recorder(SeededNoise("sums")), patches(without=3)
    index = Election(planned(unit)).winner(data, pixels, scored, recorder)
    (made,) = recorder.outputs
    rows = pixels(data)
    if unit == "patient":
        rows = np.stack([rows[data.patient == p].mean(0) for p in (0, 1, 2, 4)])
    expected = np.trunc(np.clip(scored(rows), 0, 1) * FINENESS).sum(0)
    assert isinstance(made, Chosen)
    assert made.winner == index
    np.testing.assert_array_equal(made.sums, expected)


def test_scores_that_are_no_numbers_count_nothing() -> None:
    assert in_steps(np.array([[np.nan, np.inf, -np.inf, -2.0, 1e300]])).tolist() == [
        [0, 0, 0, 0, FINENESS]
    ]


def test_a_replayed_choice_is_the_recorded_one_whatever_the_sums() -> None:
    recorder, choice = Recorder(SeededNoise("one")), choice_of(5.0)
    index = recorder.chosen(np.array([0, 1 << 20, 2 << 20]), choice)
    replayer = Replayer(SeededNoise("two"), recorder.outputs)
    assert replayer.chosen(np.array([9 << 20, 0, 0]), choice) == index
    assert replayer.is_over


def test_a_fit_that_runs_another_mechanism_breaks_the_law() -> None:
    recorder, choice, sums = Recorder(SeededNoise("one")), choice_of(5.0), np.array([0, 1])
    recorder.chosen(sums, choice)
    for other in (
        lambda noise: noise.chosen(sums, choice_of(4.0)),
        lambda noise: noise.chosen(np.array([0, 1, 2]), choice),
        lambda noise: noise.noised(sums, grid_of(1.0, 1.0)),
    ):
        with pytest.raises(LawBrokenError, match="which mechanisms a fit runs"):
            other(Replayer(SeededNoise("one"), recorder.outputs))


def made_by(choice: object) -> Chosen:
    return Chosen(np.array([1, 0]), choice, 0)  # type: ignore[arg-type]


def test_less_noise_than_is_claimed_breaks_the_law() -> None:
    said, noise = planned(), SeededNoise("law")
    choice_laws.noise_is_accounted("honest", said, [made_by(choice_of(0.5))], noise)
    with pytest.raises(LawBrokenError, match=r"faulty has σ = 0.25 for 0.5"):
        choice_laws.noise_is_accounted("faulty", said, [made_by(choice_of(0.25))], noise)


class SaysItIsLouder(PermuteAndFlip):
    """Half the noise that it tells of."""

    @property
    def deviation(self) -> float:
        return 2 * super().deviation


class OfAnyLaw(SeededNoise):
    """Draws by laws from elsewhere, which the suite's own sources refuse."""

    def chosen(self, sums, choice):
        return choice.law.draw(sums, self._noise.bit_generator.random_raw)


def test_a_law_with_less_noise_than_it_tells_of_is_measured() -> None:
    louder = replace(choice_of(0.5), law=SaysItIsLouder(choice_of(0.25).law.scale))
    with pytest.raises(LawBrokenError, match="took the worse of two"):
        choice_laws.noise_is_accounted("faulty", planned(), [made_by(louder)], OfAnyLaw("law"))


def test_another_unit_in_the_place_of_one_moves_a_score_by_a_full_one_at_most() -> None:
    held = choice_laws.one_other_unit_moves_a_score_by_a_full_one_at_most
    held("honest", planned(), np.array([-FINENESS, FINENESS]), choice_of(0.5))
    for far in (-FINENESS - 1, FINENESS + 1):
        with pytest.raises(LawBrokenError, match="another patient in the place of one"):
            held("faulty", planned(), np.array([0, far]), choice_of(0.5))


@pytest.mark.parametrize("added", [[0, FINENESS + 1], [-1, 5]])
def test_a_unit_that_adds_more_than_a_full_score_or_takes_some_breaks_the_law(
    added: list[int],
) -> None:
    with pytest.raises(LawBrokenError, match="one patient adds 0 to 1"):
        choice_laws.one_unit_adds_a_full_score_at_most(
            "faulty", planned(), np.array(added), choice_of(0.5)
        )


def responses_delta(epsilon: float, each: float, times: int) -> float:
    """δ(ε) of randomised response, some times over (Kairouz, Oh and Viswanath 2015)."""
    truth = 1 / (1 + math.exp(-each))
    return sum(
        math.comb(times, lies)
        * truth ** (times - lies)
        * (1 - truth) ** lies
        * max(0.0, 1 - math.exp(epsilon - (times - 2 * lies) * each))
        for lies in range(times + 1)
    )


@pytest.mark.parametrize(("each", "times"), [(1.0, 1), (1.0, 2), (0.2, 30)])
def test_choices_compose_to_no_less_than_the_exact_law_and_no_more_than_their_sum(
    each: float, times: int
) -> None:
    total = composition.total_epsilon([planned(epsilon=each)] * times, 1e-5)
    assert responses_delta(total, each, times) <= 1e-5
    assert total <= times * each
    assert responses_delta(0.98 * total - 0.01, each, times) > 1e-5


def test_a_choice_and_a_gaussian_release_compose_to_no_less_than_the_exact_law() -> None:
    release = replace(
        planned(epsilon=math.inf), noise_multiplier=2.0, accountant="gaussian", epsilon=2.0
    )
    alone = composition.total_epsilon([release], 1e-5)
    total = composition.total_epsilon([release, planned(epsilon=1.0)], 1e-5)
    truth = 1 / (1 + math.exp(-1))
    exact = truth * gaussian_delta(total - 1, 0.5) + (1 - truth) * gaussian_delta(total + 1, 0.5)
    assert exact <= 1e-5
    assert alone < total <= alone + 1.0


def test_below_what_a_transform_can_tell_choices_are_added() -> None:
    total = composition.total_epsilon([planned(epsilon=0.5), planned(epsilon=1.0)], 1e-14)
    assert total == pytest.approx(1.5)
    assert total >= 1.5


def test_a_patient_pays_for_all_patches_of_a_patch_level_choice() -> None:
    total = composition.total_epsilon([planned("patch", epsilon=0.5)], 1e-5)
    assert 1.99 < total <= 2.0
    of_patch = composition.total_epsilon([planned("patch", epsilon=0.5)], 1e-5, unit="patch")
    assert of_patch <= 0.5


def test_choices_of_which_no_transform_can_be_made_are_added() -> None:
    loud = planned("patch", epsilon=900.0)
    assert composition.total_epsilon([loud], 1e-5) == pytest.approx(3600)
