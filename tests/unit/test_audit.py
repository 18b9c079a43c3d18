"""The audit's bound against closed forms, and membership inference against scikit-learn."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score, roc_curve

from benchmark.audit.bound import best_number_of_guesses, chance, largest_bound, lower_bound
from benchmark.audit.canaries import COPIES, refuse_without_a_game, trial
from benchmark.audit.membership import membership, roc
from benchmark.core.budget import Guarantee
from benchmark.core.errors import UsageError
from benchmark.core.generator import FitContext
from benchmark.core.patches import Patches
from generators.checks import patches
from generators.dp_wgan import DpWgan


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


def test_the_curve_is_scikit_learns_also_with_ties() -> None:
    rng = np.random.default_rng(0)
    members, others = rng.integers(0, 20, 300) + 2.0, rng.integers(0, 20, 200) + 0.0
    found = roc(members, others)
    labels, scores = np.repeat([1, 0], [300, 200]), np.concatenate([members, others])
    false, true, _ = roc_curve(labels, scores, drop_intermediate=False)
    assert np.allclose(found.false, false)
    assert np.allclose(found.true, true)
    assert found.area == pytest.approx(roc_auc_score(labels, scores))
    assert found.at(0.1) == max(t for f, t in zip(false, true, strict=True) if f <= 0.1)


def test_copied_members_are_found_by_image_and_replicated_vessels_by_mask() -> None:
    members, others = patches(0), patches(1)
    copies = Patches(images=members.images, masks=members.masks)
    assert membership(copies, members, others)["images"].area == 1.0
    rng = np.random.default_rng(2)
    masks = (rng.random(members.masks.shape) < 0.3).astype(np.uint8)
    hidden = [
        Patches(images=rng.uniform(-1, 1, m.shape).astype(np.float32), masks=m)
        for m in (masks, (rng.random(masks.shape) < 0.3).astype(np.uint8))
    ]
    texture = rng.uniform(-1, 1, masks.shape).astype(np.float32)
    curves = membership(Patches(images=texture, masks=masks), *hidden)
    assert curves["masks"].area == 1.0
    assert 0.3 < curves["images"].area < 0.7


class Blind(DpWgan):
    """A fit that shows nobody its game."""

    name = "blind"

    def fit(self, patches: Patches, guarantee: Guarantee, context: FitContext) -> Guarantee:
        return super().fit(patches, guarantee, replace(context, inspect=lambda game: None))


def test_a_generator_that_shows_no_game_is_refused_before_its_fit() -> None:
    refuse_without_a_game(DpWgan(DpWgan.smoke))
    with pytest.raises(UsageError, match="blind shows no private step"):
        refuse_without_a_game(Blind(Blind.smoke))
