"""Votes are bounded and private, the true population wins, and sites together equal one."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.audit.canaries import audit, trial
from benchmark.audit.laws import broken
from benchmark.core.budget import Budget, Guarantee
from benchmark.core.errors import UsageError
from benchmark.core.generator import FitContext
from benchmark.core.patches import Patches
from benchmark.privacy.accounting.subsampled_gaussian import gaussian_delta
from benchmark.privacy.mechanisms.poisson_gaussian import recomputed
from benchmark.privacy.mechanisms.release import Release
from benchmark.privacy.randomness import SeededNoise
from generators.checks import PUBLIC, patches
from generators.private_evolution import (
    EVIDENCE,
    Polls,
    PrivateEvolution,
    PrivateEvolutionParams,
    VoteServer,
)
from generators.simulation import tubes
from generators.simulation.evolution import Ballot, Generation, shares

SIZE = 32
SMOKE = PrivateEvolution.smoke
UNITS = pytest.mark.parametrize("unit", ["patch", "patient"])


def context(seed: int = 0, inspect=lambda shown: None) -> FitContext:
    noise = SeededNoise("evolution", seed)
    return FitContext(seed=seed, noise=noise, charge=lambda claim: None, inspect=inspect)


def budget(epsilon: float = 2.0, unit: str = "patient") -> Budget:
    return Budget(epsilon=epsilon, delta=1e-4, unit=unit)


def planned(params=SMOKE, **asked) -> Guarantee:
    return PrivateEvolution(params).plan(PUBLIC, budget(**asked))


def fitted(data: Patches, params=SMOKE, **asked) -> PrivateEvolution:
    made = PrivateEvolution(params)
    made.fit(data, made.plan(PUBLIC, budget(**asked)), context())
    return made


def simulated(logits: np.ndarray, n: int, seed: int = 5) -> Patches:
    rng = np.random.default_rng(seed)
    images, masks = tubes.draw(np.tile(shares(logits), (n, 1)), SIZE, rng)
    return Patches(
        images=images,
        masks=masks,
        patient=np.repeat(np.arange(PUBLIC.patients), n // PUBLIC.patients),
        patients=PUBLIC.patients,
        patches_per_patient=n // PUBLIC.patients,
    )


def held_by(*patients: int) -> Patches:
    every = patches()
    mine = np.isin(every.patient, patients)
    return Patches(
        images=every.images[mine],
        masks=every.masks[mine],
        patient=np.searchsorted(patients, every.patient[mine]),
        patients=len(patients),
        patches_per_patient=PUBLIC.patches_per_patient,
    )


@pytest.mark.parametrize("evidence", EVIDENCE)
def test_no_patient_reaches_a_control(evidence: str) -> None:
    data, params = patches(), replace(SMOKE, evidence=evidence)
    other = replace(data, images=-data.images, masks=1 - data.masks)
    one, two = (fitted(each, params, epsilon=100.0).sample(4, seed=0) for each in (data, other))
    assert np.array_equal(one.images, two.images) == (evidence != "release")


@pytest.fixture(scope="module")
def candidates() -> np.ndarray:
    return 1.5 * np.random.default_rng(3).standard_normal((6, len(tubes.NAMES)))


@pytest.fixture(scope="module")
def ballot(candidates: np.ndarray) -> Ballot:
    rng = np.random.default_rng(4)
    return Ballot(candidates, patches=128, size=SIZE, seed=0, rng=rng)


def test_a_patch_has_one_vote_of_norm_below_one_and_casts_it_by_itself(ballot: Ballot) -> None:
    votes = ballot.votes(patches())
    assert (np.linalg.norm(votes, axis=1) < 1).all()
    np.testing.assert_allclose(votes.sum(1), 0, atol=1e-12)
    np.testing.assert_allclose(votes.max(1), 1 - 1 / 6)
    some = Patches(images=patches().images[7:9], masks=patches().masks[7:9])
    assert np.array_equal(ballot.votes(some), votes[7:9])


@UNITS
@pytest.mark.parametrize("who", range(3))
def test_zeroing_out_a_unit_moves_the_votes_by_the_clip_norm_at_most(ballot, unit, who) -> None:
    release = Release(replace(planned(unit=unit), noise_multiplier=0.0))
    every = patches()
    gone = every.patient == who if unit == "patient" else np.arange(len(every)) == who
    rest = replace(
        every, images=every.images[~gone], masks=every.masks[~gone], patient=every.patient[~gone]
    )
    one, other = (release.mean(p, ballot.votes, SeededNoise("none")) for p in (every, rest))
    moved = np.linalg.norm(one - other) * release.units
    assert 0 < moved <= SMOKE.clip_norm * (1 + 1e-9)
    assert SMOKE.clip_norm <= 1


def test_a_population_votes_for_itself(candidates: np.ndarray, ballot: Ballot) -> None:
    for j, truth in enumerate(candidates):
        assert ballot.votes(simulated(truth, 240)).mean(0).argmax() == j


@pytest.mark.parametrize("epsilon", [math.inf, 50.0])
def test_candidates_move_towards_the_population_of_the_patches(epsilon: float) -> None:
    """Along the parameters that the statistics tell best, from the middle where all begin."""
    told = [tubes.NAMES.index(name) for name in ("tubes", "radius", "contrast", "tissue", "noise")]
    sides, moved = np.array([[1, 1, -1, -1, 1], [-1, -1, 1, 1, -1]]) * 1.5, []
    params = PrivateEvolutionParams(patches=32)
    for side in sides:
        truth = np.zeros(len(tubes.NAMES))
        truth[told] = side
        last = fitted(simulated(truth, 240), params, epsilon=epsilon)._last
        moved.append((last.weights @ last.logits)[told])
    assert ((moved[0] - moved[1]) * (sides[0] - sides[1]) > 0).sum() >= 4
    assert np.corrcoef(np.ravel(moved), np.ravel(sides))[0, 1] > 0.6


@UNITS
@pytest.mark.parametrize("iterations", [1, 5])
def test_every_iteration_is_accounted(unit: str, iterations: int) -> None:
    plan = planned(replace(SMOKE, iterations=iterations), unit=unit)
    mu = math.sqrt(iterations) / plan.noise_multiplier
    assert plan.steps == iterations
    assert gaussian_delta(2.0, mu) <= 1e-4 < gaussian_delta(2.0, 1.003 * mu)
    assert recomputed(plan) == plan


def test_a_fit_releases_as_often_as_it_said() -> None:
    calls = []

    def count(release: Release) -> None:
        mean = release.mean

        def counted(*asked):
            calls.append(asked)
            return mean(*asked)

        release.mean = counted  # type: ignore[method-assign]

    made = PrivateEvolution(replace(SMOKE, iterations=3))
    spent = made.fit(patches(), made.plan(PUBLIC, budget()), context(inspect=count))
    assert len(calls) == spent.steps == 3


def test_the_shown_release_keeps_every_law() -> None:
    shown = []
    made, claim = PrivateEvolution(SMOKE), planned()
    made.fit(patches(), claim, context(inspect=shown.append))
    assert len(shown) == 1
    assert broken(shown[0], claim) == {}


def test_patients_reach_nothing_but_the_votes(monkeypatch: pytest.MonkeyPatch) -> None:
    blank = lambda release, patches, votes, noise: np.linspace(0, 1, 4)  # noqa: E731
    monkeypatch.setattr(Release, "mean", blank)
    other = replace(patches(), images=-patches().images)
    one, two = (fitted(data).sample(4, seed=0).images for data in (patches(), other))
    assert np.array_equal(one, two)


def test_patients_reach_the_votes() -> None:
    bright, dark = (
        replace(patches(), images=np.clip(patches().images + s, -1, 1)) for s in (1, -1)
    )
    params = replace(SMOKE, candidates=12, iterations=3, patches=16)
    one, two = (
        fitted(data, params, epsilon=math.inf).sample(64, seed=0) for data in (bright, dark)
    )
    assert one.images.mean() > two.images.mean() + 0.1


@given(st.lists(st.floats(-1, 1), min_size=4, max_size=4), st.floats(0, 10), st.floats(0, 3))
@settings(max_examples=50, deadline=None)
def test_shares_follow_what_exceeds_the_threshold(votes, deviation, threshold) -> None:
    heard = np.array(votes)
    kept = Generation.alike(np.zeros((4, 2))).after(heard, deviation, threshold).weights
    assert kept.sum() == pytest.approx(1)
    assert (kept >= 0).all()
    above = heard > threshold * deviation
    assert not kept[~above].any() or not above.any()
    assert kept[heard.argmax()] == kept.max()


def test_children_lie_between_their_parents_and_vary_as_said() -> None:
    rng = np.random.default_rng(0)
    told = Generation(np.array([[-1.0, 2.0], [3.0, 2.0]]), np.array([0.25, 0.75]))
    alone = told.offspring(4000, 1, 0.0, rng)
    assert set(alone[:, 0]) == {-1.0, 3.0}
    assert (alone[:, 0] == 3).mean() == pytest.approx(0.75, abs=0.03)
    many = told.offspring(4000, 16, 0.0, rng)
    np.testing.assert_allclose([alone.mean(0), many.mean(0)], [[2.0, 2.0]] * 2, atol=0.1)
    assert many[:, 0].std() == pytest.approx(alone[:, 0].std() / 4, rel=0.1)
    assert told.offspring(4000, 16, 0.5, rng)[:, 1].std() == pytest.approx(0.5, rel=0.1)


@pytest.mark.parametrize("epsilon", [math.inf, 2.0])
def test_a_fit_is_a_federation_of_one_site(epsilon: float) -> None:
    whole = fitted(patches(), epsilon=epsilon)._last
    alone = across(epsilon, range(6))
    np.testing.assert_array_equal(alone.weights, whole.weights)


def test_without_a_budget_sites_together_learn_what_one_does() -> None:
    whole, together = (
        fitted(patches(), epsilon=math.inf)._last,
        across(math.inf, (0, 1), range(2, 6)),
    )
    np.testing.assert_allclose(together.logits, whole.logits, rtol=1e-6)
    np.testing.assert_allclose(together.weights, whole.weights, rtol=1e-6)


def across(epsilon: float, *sites) -> Generation:
    """The last generation of a fit by sites that have some patients each."""
    generator = PrivateEvolution(SMOKE)
    schedule = generator.schedule(design="votes")
    noises = [context() for _ in sites]
    server = generator.server_side(SIZE, schedule, context())
    state = server.begin()
    for number in range(1, schedule.rounds + 1):
        replies = []
        for site, own in zip(sites, noises, strict=True):
            public = replace(PUBLIC, patients=len(site))
            plan = generator.plan_at_site(public, budget(epsilon), schedule)
            side = generator.at_site(len(site) / 6).site_side(held_by(*site), plan, schedule)
            replies.append(side.compute(number, server.sent(state), own))
        state = server.combine(number, state, replies, [len(site) / 6 for site in sites])
    generator.close(state, SIZE)
    return generator._last


def test_the_servers_threshold_knows_the_noise_of_every_site() -> None:
    params = replace(SMOKE, threshold=1.0)
    server = VoteServer(params, 1, 0)
    votes = np.array([0.9, 0.6, 0.4, -0.2])
    replies = [{"votes": votes, "deviation": np.array([s])} for s in (0.6, 0.8)]
    found = server.combine(1, server.begin(), replies, [0.5, 0.5])["weights"]
    np.testing.assert_allclose(found, [0.8, 0.2, 0, 0], atol=1e-12)


def test_a_site_without_patients_sends_noise_alone() -> None:
    nobody = replace(
        patches(), images=patches().images[:0], masks=patches().masks[:0], patient=np.empty(0, int)
    )
    state = VoteServer(SMOKE, 2, 0).begin()
    polls = Polls(SMOKE, nobody, Release(planned(epsilon=math.inf)))
    votes = polls.votes(1, state, context().noise)
    assert not votes.any()


def test_more_than_one_vote_a_round_is_refused() -> None:
    with pytest.raises(UsageError, match="one vote in a round"):
        PrivateEvolution(SMOKE).schedule(design="votes", local_steps=2)


@UNITS
def test_the_audit_refutes_no_honest_fit_and_one_without_enough_noise(unit: str) -> None:
    def verdict(plant=lambda release: None):
        among = trial(patches(), unit, canaries=64, seed=0)
        asked = Budget(epsilon=1.0, delta=1e-4, unit=unit)
        return audit(PrivateEvolution(SMOKE), asked, among, context(), plant=plant)

    def quiet(release: Release) -> None:
        release.guarantee = replace(release.guarantee, noise_multiplier=1e-3)

    assert not verdict().contradicts
    assert verdict(quiet).contradicts
