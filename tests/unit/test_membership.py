"""Membership inference refutes what keeps patches, and nothing that keeps its claim."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom, binomtest
from sklearn.metrics import roc_auc_score, roc_curve

from benchmark.audit.judgement import (
    Claim,
    Rate,
    apart,
    fewest_guesses,
    judge,
    nearest_in,
    number_of_candidates,
    numbers_of_guesses,
)
from benchmark.audit.membership import MISTAKE, Nearest, curves, hold_out, records_of, roc
from benchmark.audit.report import Membership, infer
from benchmark.core.budget import Budget, Guarantee, PublicNumbers
from benchmark.core.errors import PlugInError
from benchmark.core.generator import FitContext
from benchmark.core.patches import Patches
from benchmark.privacy.randomness import SeededNoise
from generators.dp_simulator import DpSimulator

UNITS = pytest.mark.parametrize("unit", ["patch", "patient"])
PATIENTS, EACH, SIZE = 16, 120, 16
ALL = PATIENTS * EACH


def known(seed: int = 0) -> Patches:
    """Smooth textures with vessels, no two alike."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(-1, 1, (ALL, 1, SIZE // 2, SIZE // 2)).repeat(2, 2).repeat(2, 3)
    masks = (rng.random((ALL, 1, SIZE, SIZE)) < 0.2).astype(np.uint8)
    return Patches(
        images=coarse.astype(np.float32),
        masks=masks,
        patient=np.repeat(np.arange(PATIENTS), EACH),
        patients=PATIENTS,
        patches_per_patient=EACH,
    )


class Leaky(DpSimulator):
    """Claims one noised mean, and keeps a quarter of the patches."""

    name = "leaky"
    altered: Callable[[Patches], Patches] = staticmethod(lambda drawn: drawn)

    def fit(self, patches: Patches, guarantee: Guarantee, context: FitContext) -> Guarantee:
        spent = super().fit(patches, guarantee, context)
        keep = np.random.default_rng(0).permutation(len(patches))[: len(patches) // 4]
        self._kept = Patches(images=patches.images[keep], masks=patches.masks[keep])
        return spent

    def sample(self, n: int, *, seed: int) -> Patches:
        drawn = np.random.default_rng(seed).integers(0, len(self._kept), n)
        found = Patches(images=self._kept.images[drawn], masks=self._kept.masks[drawn])
        return self.altered(found)


def turned(drawn: Patches) -> Patches:
    """A quarter turn, as augmentation has it."""
    images, masks = (np.rot90(a, 1, (2, 3)).copy() for a in (drawn.images, drawn.masks))
    return Patches(images=images, masks=masks)


def noisy(drawn: Patches) -> Patches:
    noise = np.random.default_rng(0).normal(0, 0.2, drawn.images.shape)
    images = np.clip(drawn.images + noise, -1, 1).astype(np.float32)
    return Patches(images=images, masks=drawn.masks)


def vessels_alone(drawn: Patches) -> Patches:
    images = np.random.default_rng(0).uniform(-1, 1, drawn.images.shape).astype(np.float32)
    return Patches(images=images, masks=drawn.masks)


def inferred(made: DpSimulator, unit: str, epsilon: float = 1.0, seed: int = 0) -> Membership:
    public = PublicNumbers(patients=PATIENTS, patches_per_patient=EACH, patch_size=SIZE)
    planned = made.plan(public, Budget(epsilon=epsilon, delta=1e-5, unit=unit))
    patches = known(seed)
    held = hold_out(patches, planned, seed=seed)
    noise = SeededNoise(seed, "membership")
    made.fit(held.kept, planned, FitContext(seed=seed, noise=noise, charge=lambda _: None))
    return infer(made, patches, held, planned, drawn=2048, seed=seed)


@UNITS
def test_a_generator_that_keeps_a_quarter_of_the_patches_is_refuted(unit: str) -> None:
    found = inferred(Leaky(Leaky.smoke), unit)
    assert [said.claim.unit for said in found.judgements] == ["patch", unit][
        : 1 + (unit != "patch")
    ]
    assert found.judgements[-1].contradicts, found.judgements[-1]
    assert found.judgements[-1].bound > found.judgements[-1].claim.epsilon


@pytest.mark.parametrize("altered", [turned, noisy, vessels_alone])
def test_so_is_one_that_alters_what_it_keeps(altered: Callable[[Patches], Patches]) -> None:
    made = Leaky(Leaky.smoke)
    made.altered = altered
    assert inferred(made, "patch").judgements[0].contradicts


@UNITS
def test_an_honest_generator_is_not_refuted(unit: str) -> None:
    for seed in range(4):
        made = DpSimulator(DpSimulator.smoke)
        assert not any(said.contradicts for said in inferred(made, unit, seed=seed).judgements)


@UNITS
def test_candidates_are_held_out_by_a_coin_and_public_numbers_stay(unit: str) -> None:
    public = PublicNumbers(patients=PATIENTS, patches_per_patient=EACH, patch_size=SIZE)
    budget = Budget(epsilon=1.0, delta=1e-5, unit=unit)
    planned = DpSimulator(DpSimulator.smoke).plan(public, budget)
    rates = []
    for seed in range(20):
        patches = known()
        held = hold_out(patches, planned, seed=seed)
        assert (held.kept.patients, held.kept.patches_per_patient) == (PATIENTS, EACH)
        kept = {image.tobytes() for image in held.kept.images}
        names = [patches.images[row].tobytes() for row in held.rows]
        assert [name in kept for name in names] == held.included.tolist()
        absent = set(held.patients[~held.patients_included])
        assert not absent & set(held.kept.patient)
        for one, entered in zip(held.records, held.patients_included, strict=True):
            assert all((patches.images[row].tobytes() in kept) == entered for row in one)
        rates.append((held.included.mean(), held.patients_included.mean() if absent else 0.5))
    assert np.abs(np.mean(rates, axis=0) - 0.5).max() < 0.06


def test_who_is_a_candidate_does_not_depend_on_the_coins() -> None:
    """Else the choice itself would tell who is in."""
    public = PublicNumbers(patients=PATIENTS, patches_per_patient=EACH, patch_size=SIZE)
    planned = DpSimulator(DpSimulator.smoke).plan(
        public, Budget(epsilon=1.0, delta=1e-5, unit="patch")
    )
    held = [hold_out(known(), planned, seed=seed) for seed in range(30)]
    place = np.concatenate([np.argsort(np.argsort(h.rows)) for h in held])
    entered = np.concatenate([h.included for h in held])
    assert abs(np.corrcoef(place, entered)[0, 1]) < 4 / math.sqrt(len(place))


def randomised_response(
    rng: np.random.Generator, included: np.ndarray, claim: Claim, together: int
) -> np.ndarray:
    """Scores of a mechanism that has exactly the claimed ε and δ for every candidate.

    A bit is told the right way round with probability e^ε / (1 + e^ε); and in one run of so many,
    ``together`` candidates are told outright.
    """
    told = rng.random(len(included)) < 1 / (1 + math.exp(-claim.epsilon))
    if rng.random() < len(included) * claim.delta / together:
        told[rng.permutation(len(included))[:together]] = True
    near = np.where(told, included, ~included)
    return np.where(near, 0.0, 1.0) + 1e-3 * rng.random(len(included))


@pytest.mark.parametrize(
    ("m", "epsilon", "delta", "together"),
    [(400, 1.0, 1e-5, 100), (200, 0.5, 1e-4, 50), (1000, 2.0, 1e-5, 250), (15, 1.0, 1e-5, 15)],
)
def test_a_mechanism_at_exactly_its_claim_is_refuted_in_fewer_than_one_run_of_twenty(
    m: int, epsilon: float, delta: float, together: int
) -> None:
    rng, claim, runs = np.random.default_rng(1), Claim("patch", epsilon, delta), 1000
    counts = numbers_of_guesses(m, claim, mistake=MISTAKE / 8)
    refuted = 0
    for _ in range(runs):
        included = rng.random(m) < 0.5
        scores = [randomised_response(rng, included, claim, together) for _ in range(1)]
        rules = {str(k): nearest_in(scores[0], k) for k in counts}
        rules["two groups"] = apart(scores[0])
        refuted += judge(claim, rules, included, mistake=MISTAKE).contradicts
    assert refuted <= binom.ppf(0.999, runs, MISTAKE)


def test_a_mechanism_at_twice_its_claim_is_refuted() -> None:
    rng, claim = np.random.default_rng(0), Claim("patch", 1.0, 1e-5)
    included = rng.random(1000) < 0.5
    scores = randomised_response(rng, included, replaced(claim, epsilon=2.5), 1)
    rules = {str(k): nearest_in(scores, k) for k in numbers_of_guesses(1000, claim, mistake=0.01)}
    assert judge(claim, rules, included, mistake=MISTAKE).contradicts


def replaced(claim: Claim, **values: float) -> Claim:
    return claim._replace(**values)


def test_the_tests_of_one_claim_share_the_chance_of_a_mistake() -> None:
    included = np.repeat([True, False], 20)
    made = nearest_in(np.where(included, 0.0, 1.0), 15)
    alone = judge(Claim("patch", 1.0, 1e-5), {"a": made}, included, mistake=0.05)
    many = {f"rule {i}": made for i in range(8)}
    among = judge(Claim("patch", 1.0, 1e-5), many, included, mistake=0.05)
    assert alone.bound > among.bound > 0
    assert alone.contradicts
    assert not among.contradicts


def test_guesses_all_on_one_side_compare_the_rates_with_the_claim() -> None:
    """v of k right, all guessed in: TPR / FPR = v / (k - v) where as many are in as out."""
    included = np.repeat([True, False], 500)
    scores = np.concatenate([np.arange(500.0), np.arange(500.0) + 300])
    said = judge(
        Claim("patch", 0.5, 1e-5), {"400": nearest_in(scores, 400)}, included, mistake=0.05
    )
    tried = said.attempts[0]
    assert tried.right == 350
    assert tried.true.found / tried.false.found == pytest.approx(350 / 50)
    assert tried.true.low > said.claim.allowed(tried.false.high)
    assert tried.refutes


@pytest.mark.parametrize(("hits", "trials"), [(0, 30), (7, 30), (30, 30), (1, 2)])
def test_intervals_are_those_of_clopper_and_pearson(hits: int, trials: int) -> None:
    found = Rate.of(hits, trials, 0.99)
    exact = binomtest(hits, trials).proportion_ci(0.99, "exact")
    assert found.found == hits / trials
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=1e-9)


def test_intervals_cover() -> None:
    rng = np.random.default_rng(0)
    for rate in (0.01, 0.1, 0.5):
        inside = [
            found.low <= rate <= found.high
            for found in (Rate.of(int(hits), 80, 0.95) for hits in rng.binomial(80, rate, 2000))
        ]
        assert np.mean(inside) > 0.95 - 3 * math.sqrt(0.05 * 0.95 / 2000)


def test_with_no_trials_an_interval_is_everything() -> None:
    assert Rate.of(0, 0, 0.95)[1:] == (0.0, 1.0)


def test_numbers_of_guesses_could_refute_and_rest_on_public_numbers() -> None:
    claim = Claim("patch", 1.0, 6e-6)
    counts = numbers_of_guesses(4000, claim, mistake=MISTAKE / 8)
    assert counts == sorted(counts)
    assert counts[0] >= fewest_guesses(4000, claim, mistake=MISTAKE / 8)
    assert counts[-1] == 1000
    hopeless = numbers_of_guesses(20, replaced(claim, epsilon=8.0), mistake=MISTAKE / 8)
    assert hopeless == [5]


def test_fewer_candidates_where_delta_would_drown_them() -> None:
    small, large = (
        number_of_candidates(2000, Claim("patch", 2.155, delta), mistake=0.00125)
        for delta in (1e-5, 1e-8)
    )
    assert small < large == 2000


def test_two_groups_are_told_apart_whatever_their_sizes() -> None:
    rng = np.random.default_rng(0)
    for inside in (3, 7, 13):
        included = rng.permutation(np.arange(16) < inside)
        scores = np.where(included, 0.0, 1.0) + 0.1 * rng.random(16)
        assert ((apart(scores) == 1) == included).all()
    assert set(apart(np.zeros(2))) == {1, -1}
    assert len(apart(np.zeros(1))) == 1


def test_an_outlier_is_no_group() -> None:
    scores = np.concatenate([np.linspace(0, 0.4, 8), np.linspace(1, 1.4, 8)])
    scores[-1] = 100
    assert (apart(scores) == np.repeat([1, -1], 8)).all()


def plan_of(unit: str, **values: float | None) -> Guarantee:
    public = PublicNumbers(patients=PATIENTS, patches_per_patient=EACH, patch_size=SIZE)
    budget = Budget(epsilon=1.0, delta=1e-5, unit=unit)
    return replace(DpSimulator(DpSimulator.smoke).plan(public, budget), **values)


def test_a_patch_has_the_claim_of_its_own_or_twice_the_patients() -> None:
    own = plan_of("patient")
    assert Claim.of_a_patch(own) == ("patch", own.epsilon_patch, own.delta)
    for silent in (None, math.inf, 100.0):
        claim = Claim.of_a_patch(plan_of("patient", epsilon_patch=silent))
        assert claim.epsilon == 2 * own.epsilon
        assert claim.delta == pytest.approx((1 + math.exp(own.epsilon)) * own.delta)
    assert Claim.of_a_patch(plan_of("patch")) == Claim.of(plan_of("patch"))


def test_a_mask_without_vessels_is_like_no_other() -> None:
    patches = known()
    patches.masks[:5] = 0
    nearest = Nearest(Patches(images=patches.images[:10], masks=patches.masks[:10]))
    nearest.hear(Patches(images=patches.images[:10], masks=patches.masks[:10]))
    assert (nearest.scores["masks"][:5] > 1e5).all()
    assert (nearest.scores["masks"][5:] < 0.05).all()
    assert (nearest.scores["images"] < 0.05).all()


def test_a_generator_that_draws_too_few_or_raises_is_named() -> None:
    class Fewer(Leaky):
        def sample(self, n: int, *, seed: int) -> Patches:
            return super().sample(n - 1, seed=seed)

    class Raises(Leaky):
        def sample(self, n: int, *, seed: int) -> Patches:
            raise RuntimeError("no\nluck")

    with pytest.raises(PlugInError, match="1024 patches of side 16 were asked for, and 1023"):
        inferred(Fewer(Fewer.smoke), "patch")
    with pytest.raises(PlugInError, match="sampling raised RuntimeError: no luck"):
        inferred(Raises(Raises.smoke), "patch")


def test_the_curves_are_of_those_in_and_out() -> None:
    planned = plan_of("patch")
    held = hold_out(known(), planned, seed=0)
    distances = dict.fromkeys(("images", "masks"), 1.0 - held.included)
    assert {curve.area for curve in curves(held, distances).values()} == {1.0}
    assert len(records_of(known(), held)) == len(held.rows)
    alone = replace(held, included=np.ones(len(held.rows), bool))
    assert curves(alone, distances) == {}


def test_the_curve_is_scikit_learns_also_with_ties() -> None:
    rng = np.random.default_rng(0)
    members, others = rng.integers(0, 20, 300) + 2.0, rng.integers(0, 20, 200) + 0.0
    found = roc(members, others)
    labels, scores = np.repeat([1, 0], [300, 200]), np.concatenate([members, others])
    false, true, _ = roc_curve(labels, scores, drop_intermediate=False)
    assert np.allclose(found.false, false)
    assert np.allclose(found.true, true)
    assert found.area == pytest.approx(roc_auc_score(labels, scores))
