"""Fits by secure sums, without Flower: three sites and a server that adds what they masked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from test_secure_sum import hospitals, sessions_of

from benchmark.core.budget import Budget, Unit
from benchmark.core.errors import UsageError
from benchmark.core.federation import Arrays, FederatedGenerator, Schedule
from benchmark.core.generator import FitContext
from benchmark.core.laws import LawBrokenError
from benchmark.core.mechanism import Noise
from benchmark.core.patches import Patches
from benchmark.privacy import conformance
from benchmark.privacy.conformance import LAWS
from benchmark.privacy.mechanisms.shared_noise import SharedPlan, Sharing
from benchmark.privacy.neighbours import neighbours
from benchmark.privacy.randomness import SeededNoise
from benchmark.privacy.replay import Output, Recorder
from benchmark.privacy.subject import Subject
from federation.secure_sides import SummingServer, SummingSite, terms_of
from federation.sites import digest
from generators.checks import PUBLIC, patches
from generators.dp_merf import DpMerf
from generators.dp_simulator import DpSimulator
from generators.dp_wgan import DpWgan
from generators.private_evolution import PrivateEvolution
from generators.private_selection import PrivateSelection

KINDS: list[type[FederatedGenerator]] = [DpSimulator, DpMerf, PrivateEvolution]
"""They release means of all patients; ``DpWgan`` adds up gradients of drawn ones."""
SITES = 3
BUDGET = Budget(epsilon=5.0, delta=1e-3, unit="patch")


class NoNoise(SeededNoise):
    """The sums as they are, of all units."""

    def noised(self, sums, grid):
        return sums.copy()

    def poisson(self, n, rate):
        return np.arange(n)


def context_of(noise: Noise, seed: int = 0) -> FitContext:
    return FitContext(seed=seed, noise=noise, charge=lambda charged: None)


def schedule_of(generator: FederatedGenerator, rounds: int | None = None) -> Schedule:
    (design,) = generator.summing_designs
    return generator.schedule(design=design, rounds=rounds)


def plan_of(
    kind: type[FederatedGenerator], curious: int = 1, unit: Unit = "patch", **how
) -> SharedPlan:
    generator = kind(kind.smoke)
    return generator.plan_in_shares(
        PUBLIC,
        replace(BUDGET, unit=unit),
        schedule_of(generator, **how),
        Sharing(sites=SITES, curious=curious),
    )


def parts(whole: Patches) -> list[Patches]:
    """The patients of each site: three, two and one."""
    return [some(whole, mine) for mine in (range(3), range(3, 5), range(5, 6))]


def some(whole: Patches, patients: range) -> Patches:
    mine = np.isin(whole.patient, list(patients))
    return replace(
        whole,
        images=whole.images[mine],
        masks=whole.masks[mine],
        patient=whole.patient[mine] - patients.start,
        patients=len(patients),
    )


def fitted(
    kind: type[FederatedGenerator], plan: SharedPlan, folder: Path, noises: list[Noise]
) -> tuple[FederatedGenerator, list[Arrays]]:
    """A whole fit of three sites, and all that the server saw."""
    generator = kind(kind.smoke)
    schedule = schedule_of(generator, plan.guarantee.steps)
    sessions = sessions_of(hospitals(folder, SITES))
    sides = [
        SummingSite(generator.site_side(mine, plan.guarantee, schedule), plan)
        for mine in parts(patches())
    ]
    server = SummingServer(generator, plan, schedule, PUBLIC.patch_size, context_of(noises[0]))
    state, seen = server.begin(), []
    for number in range(1, schedule.rounds + 1):
        sent, replies = server.sent(state), []
        for index, (side, session) in enumerate(zip(sides, sessions, strict=True)):
            sums = side.compute(number, sent, context_of(noises[index], seed=index))
            replies.append(session.mask(number, digest(sent), sums))
        expected = server.returned(state, 1 / 3)
        for reply in replies:
            assert looks(reply) == looks(expected)
        state = server.combine(number, state, replies, [1 / 2, 1 / 3, 1 / 6])
        seen += replies
    generator.close(state, PUBLIC.patch_size)
    return generator, seen


def looks(arrays: Arrays) -> Mapping[str, object]:
    return {name: (one.shape, one.dtype) for name, one in arrays.items()}


def weights(generator: FederatedGenerator, folder: Path) -> dict[str, bytes]:
    folder.mkdir()
    generator.save(folder)
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize("kind", [*KINDS, DpWgan])
def test_three_sites_end_in_a_model_and_repeat(
    kind: type[FederatedGenerator], tmp_path: Path
) -> None:
    made = []
    for name in ("one", "two"):
        noises = [SeededNoise(index, "site") for index in range(SITES)]
        generator, seen = fitted(kind, plan_of(kind), tmp_path / name, noises)
        made.append((weights(generator, tmp_path / f"{name} model"), seen))
        assert len(generator.sample(5, seed=1)) == 5
    assert made[0][0] == made[1][0]  # the sums are the same, and nothing else of the words
    words = [one[name].tobytes() for _, seen in made for one in seen for name in one]
    assert len(set(words)) == len(words)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("unit", ["patch", "patient"])
def test_without_noise_it_is_the_pooled_fit_to_the_last_bit(
    kind: type[FederatedGenerator], unit: Unit, tmp_path: Path
) -> None:
    plan, nothing = plan_of(kind, unit=unit), [NoNoise(0)] * SITES
    secure, _ = fitted(kind, plan, tmp_path / "sites", nothing)
    pooled = kind(kind.smoke)
    pooled.fit(patches(), plan.against(0), context_of(NoNoise(0)))
    here, there = weights(secure, tmp_path / "a"), weights(pooled, tmp_path / "b")
    assert here == there


@pytest.mark.parametrize("unit", ["patch", "patient"])
def test_without_noise_gradients_add_up_to_the_pooled_fit(
    unit: Unit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for rounding: each site snaps its own part to the grid, and nobody the fakes'.

    A drawn patient brings all patches, as each site chooses some by a stream of its own.
    """
    all_patches = DpWgan.smoke.patients_per_step * PUBLIC.patches_per_patient
    monkeypatch.setattr(DpWgan, "smoke", replace(DpWgan.smoke, batch=all_patches))
    plan, nothing = plan_of(DpWgan, unit=unit), [NoNoise(0)] * SITES
    secure, _ = fitted(DpWgan, plan, tmp_path / "sites", nothing)
    pooled = DpWgan(DpWgan.smoke)
    pooled.fit(patches(), pooled.plan(PUBLIC, replace(BUDGET, unit=unit)), context_of(NoNoise(0)))
    here, there = (one.sample(64, seed=0).images for one in (secure, pooled))
    noisy, _ = fitted(DpWgan, plan, tmp_path / "noisy", [SeededNoise(k) for k in range(SITES)])
    far = np.abs(noisy.sample(64, seed=0).images - there).mean()
    assert np.abs(here - there).mean() < far / 1000


def test_a_secure_server_reads_gradients_without_a_step_of_its_own_on_anybody() -> None:
    """Zero sums move the critic by the fakes alone, and no patient's slot is computed."""
    plan, generator = plan_of(DpWgan), DpWgan(DpWgan.smoke)
    schedule = schedule_of(generator)
    server = SummingServer(generator, plan, schedule, PUBLIC.patch_size, context_of(NoNoise(0)))
    state = server.begin()
    expected = server.returned(state, 1 / 3)
    assert {one.size for one in expected.values()} == {generator.noised_numbers(PUBLIC)}
    seen = []
    combine = server._inner.combine

    def watched(number, state, replies, shares):
        seen.extend(replies)
        return combine(number, state, replies, shares)

    server._inner.combine = watched
    server.combine(1, state, [expected] * SITES, [1 / 3] * 3)
    said = plan.guarantee
    batch = said.sampling_rate * said.units
    deviation = math.sqrt(SITES) * plan.share.deviation * said.grid / batch
    assert not seen[0]["gradient"].any()
    assert seen[0]["deviation"][0] == pytest.approx(deviation, rel=0.005)


def test_noise_moves_the_model(tmp_path: Path) -> None:
    plan = plan_of(DpSimulator)
    with_noise, _ = fitted(DpSimulator, plan, tmp_path / "a", [SeededNoise(k) for k in range(3)])
    without, _ = fitted(DpSimulator, plan, tmp_path / "b", [NoNoise(0)] * SITES)
    assert weights(with_noise, tmp_path / "c") != weights(without, tmp_path / "d")


@pytest.mark.parametrize("kind", KINDS)
def test_the_server_reckons_with_the_noise_of_all_shares(kind: type[FederatedGenerator]) -> None:
    plan, generator = plan_of(kind), kind(kind.smoke)
    schedule = schedule_of(generator, plan.guarantee.steps)
    server = SummingServer(generator, plan, schedule, PUBLIC.patch_size, context_of(NoNoise(0)))
    state = server.begin()
    lengths = [len(one) for one in server.returned(state, 1 / 3).values()]
    zeros = [{f"sum {k + 1}": np.zeros(n, np.uint64) for k, n in enumerate(lengths)}] * SITES
    seen = []
    combine = server._inner.combine

    def watched(number, state, replies, shares):
        seen.append((replies, shares))
        return combine(number, state, replies, shares)

    server._inner.combine = watched
    server.combine(1, state, zeros, [1 / 3] * 3)
    ((reply,), shares) = seen[0]
    said = plan.guarantee
    expected = math.sqrt(SITES) * plan.share.deviation * said.grid / said.units
    assert reply["deviation"][0] == pytest.approx(expected, rel=1e-6)
    assert shares == [1.0]


def left_by_a_secure_site(
    kind: type[FederatedGenerator], plan: SharedPlan, data: Patches, noise: Noise
) -> Mapping[str, bytes]:
    """All that a secure site computes from patients, before its masks."""
    generator = kind(kind.smoke)
    schedule = schedule_of(generator, 2)
    server = SummingServer(generator, plan, schedule, PUBLIC.patch_size, context_of(noise))
    state, left = server.begin(), dict[str, bytes]()
    for number in (1, 2):
        sent = server.sent(state)
        side = SummingSite(generator.site_side(data, plan.guarantee, schedule), plan)
        sums = side.compute(number, sent, context_of(noise, seed=number))
        left |= {f"{name} of round {number}": one.tobytes() for name, one in sums.items()}
        nothing = {name: np.zeros_like(one, np.uint64) for name, one in sums.items()}
        words = {name: one.view(np.uint64) for name, one in sums.items()}
        state = server.combine(number, state, [words, nothing, nothing], [1 / 3] * 3)
    return left


def site_subject(kind: type[FederatedGenerator], unit: Unit) -> Subject:
    plan = plan_of(kind, unit=unit, rounds=2)
    return Subject(
        name=f"a secure site of {kind.name} (unit {unit})",
        guarantee=plan.against(SITES - 1),
        patches=patches(),
        leaves=partial(left_by_a_secure_site, kind, plan),
    )


class HonestSum(Subject):
    """The honest sites' sums together, which are all that the curious learn."""

    def record(self, patches: Patches, number: int = 0) -> Recorder:
        """The sum of the outputs of as many sites as are honest."""
        each = [super(HonestSum, self).record(patches, 100 * number + k).outputs for k in (0, 1)]
        found = Recorder(self.source(number))
        for outputs in zip(*each, strict=True):
            sums = sum(one.sums for one in outputs)
            noised = sum(one.noised for one in outputs)
            found.events.append(Output(sums, outputs[0].grid, noised))
        return found


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(
    ("kind", "unit"),
    [
        (DpSimulator, "patch"),
        (DpSimulator, "patient"),
        (DpMerf, "patient"),
        (PrivateEvolution, "patch"),
        (DpWgan, "patch"),
        (DpWgan, "patient"),
    ],
)
def test_a_secure_site_keeps_every_law_with_its_share_alone(
    kind: type[FederatedGenerator], unit: Unit, law: str
) -> None:
    LAWS[law](site_subject(kind, unit))


@pytest.mark.parametrize("kind", [DpMerf, PrivateEvolution, DpWgan])
def test_the_honest_sum_has_the_noise_that_is_claimed(kind: type[FederatedGenerator]) -> None:
    one, plan = site_subject(kind, "patch"), plan_of(kind, rounds=2)
    subject = HonestSum(**{**vars(one), "guarantee": plan.guarantee})
    conformance.noise_is_that_which_was_accounted(subject)
    with pytest.raises(LawBrokenError, match="has the deviation that was accounted"):
        conformance.noise_is_that_which_was_accounted(replace(one, guarantee=plan.against(0)))


def test_one_patient_moves_the_sum_over_sites_by_the_sensitivity_at_most() -> None:
    plan = plan_of(DpSimulator, unit="patient")
    generator = DpSimulator(DpSimulator.smoke)
    schedule, state = schedule_of(generator), {"seed": np.array([0])}
    whole = parts(patches())

    def summed(mine: Patches) -> np.ndarray:
        side = SummingSite(generator.site_side(mine, plan.guarantee, schedule), plan)
        return side.compute(1, state, context_of(NoNoise(0)))["sum 1"]

    each, said, moved = [summed(mine) for mine in whole], plan.guarantee, []
    for site, mine in enumerate(whole):
        without = next(neighbours(mine, "patient")).patches
        others = [summed(without) if k == site else one for k, one in enumerate(each)]
        moved.append(np.linalg.norm((sum(each) - sum(others)).astype(float)) * said.grid)
    assert min(moved) > 0
    assert max(moved) <= said.sensitivity * (1 + 1e-9)


def test_a_site_alone_is_never_what_the_plan_claims() -> None:
    plan = plan_of(DpSimulator)
    assert plan.against(SITES - 1).epsilon > plan.guarantee.epsilon > plan.against(0).epsilon


def test_choices_are_refused_when_they_are_planned() -> None:
    generator = PrivateSelection(PrivateSelection.smoke)
    schedule, sharing = generator.schedule(design="plurality"), Sharing(sites=SITES, curious=1)
    with pytest.raises(UsageError, match="cannot be added"):
        generator.plan_in_shares(PUBLIC, BUDGET, schedule, sharing)


def test_a_missing_site_and_another_number_of_sums_are_refused() -> None:
    plan, generator = plan_of(DpSimulator), DpSimulator(DpSimulator.smoke)
    schedule = schedule_of(generator)
    server = SummingServer(generator, plan, schedule, PUBLIC.patch_size, context_of(NoNoise(0)))
    state = server.begin()
    good = dict(server.returned(state, 1 / 3))
    with pytest.raises(UsageError, match="sums of 3 sites, got 2"):
        server.combine(1, state, [good] * 2, [1 / 2] * 2)
    with pytest.raises(UsageError, match="more sums"):
        server.combine(1, state, [{**good, "sum 2": good["sum 1"]}] * 3, [1 / 3] * 3)
    with pytest.raises(UsageError, match="another length"):
        server.combine(1, state, [{"sum 1": good["sum 1"][1:]}] * 3, [1 / 3] * 3)


def test_terms_name_what_noise_the_others_rely_on() -> None:
    plan = plan_of(DpSimulator)
    other_noise = replace(plan, guarantee=replace(plan.guarantee, noise_multiplier=1.0))
    others = [plan_of(DpSimulator, curious=0), plan_of(DpSimulator, rounds=2), other_noise]
    texts = {terms_of(one, "job") for one in [plan, *others]} | {terms_of(plan, "another job")}
    assert len(texts) == 5
    last_digit = replace(plan.guarantee, epsilon=math.nextafter(plan.guarantee.epsilon, 0))
    assert terms_of(replace(plan, guarantee=last_digit), "job") == terms_of(plan, "job")
