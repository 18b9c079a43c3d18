"""What a fit would face: the ratio against simulated noise, the verdicts, and whom they fit."""

import itertools
import math
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated

import numpy as np
import pytest
from optuna.distributions import IntDistribution

from benchmark.core import registry
from benchmark.core.budget import Budget, Guarantee, PublicNumbers
from benchmark.core.editions import FIRST
from benchmark.core.errors import UsageError
from benchmark.core.generator import FitContext, Generator
from benchmark.core.registry import generators
from benchmark.core.settings import Settings
from benchmark.privacy.mechanisms.release import Release, plan_releases
from benchmark.privacy.randomness import SeededNoise
from benchmark.sweep.feasibility import (
    DOUBTFUL,
    FAILED,
    FREE,
    HOPELESS,
    HOPELESS_ABOVE,
    NOT_PRIVATE,
    UNKNOWN,
    WORKABLE,
    WORKABLE_UP_TO,
    Prospect,
    noise_to_signal,
    prospects,
    verdict,
    with_preset,
)
from benchmark.sweep.request import Request
from generators.checks import PUBLIC, budget_of, patches
from generators.dp_wgan import DpWgan
from generators.simulator import Simulator

PATIENT = Budget(epsilon=2.0, delta=1e-5, unit="patient")


@dataclass(frozen=True, kw_only=True)
class OneReleaseParams(Settings):
    """How many numbers are released."""

    numbers: Annotated[int, IntDistribution(1, 4096)] = 10


class OneRelease(Generator):
    """Learns one noised mean; enough of a generator to be planned."""

    name, version, citation = "one-release", 1, "A test"
    is_private = True
    Params = OneReleaseParams
    presets = {"quick": OneReleaseParams()}  # noqa: RUF012
    smoke = OneReleaseParams()

    def __init__(self, params: OneReleaseParams) -> None:
        self.params = params

    def plan(self, public: PublicNumbers, budget: Budget) -> Guarantee:
        return plan_releases(public, budget, clip_norm=0.5)

    def noised_numbers(self, public: PublicNumbers) -> int | None:
        return self.params.numbers

    fit = sample = save = load = None


class Reticent(OneRelease):
    """Does not say on how many numbers its noise lies."""

    name = "reticent"
    noised_numbers = Generator.noised_numbers


class Broken(OneRelease):
    """Raises where it should plan."""

    name = "broken"

    def plan(self, public: PublicNumbers, budget: Budget) -> Guarantee:
        raise ZeroDivisionError("oh")


class Refusing(OneRelease):
    """Has no plan for the budget."""

    name = "refusing"

    def plan(self, public: PublicNumbers, budget: Budget) -> Guarantee:
        raise UsageError("No noise is enough.")


@pytest.fixture(autouse=True)
def _from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Registers the generators of this file, as an entry point would."""
    found = [
        SimpleNamespace(name=kind.name, load=lambda kind=kind: kind)
        for kind in (OneRelease, Reticent, Broken, Refusing)
    ]
    mine = {"angiobench.generators": found}
    monkeypatch.setattr(registry, "_entry_points", lambda group: mine.get(group, []))


def request(*names: str, epsilons=(2.0,), **changes) -> Request:
    asked = {"unit": "patient", "segmenters": (), "bookends": False, **changes}
    return Request(generators=names, epsilons=epsilons, **asked)


def planned(cache: Path, *names: str, patients: int = 41, **changes) -> list[Prospect]:
    return prospects(request(*names, **changes), patients, cache, lambda *heard: None)


def sampled(public: PublicNumbers, *, sigma: float, rate: float, steps: int) -> Guarantee:
    plain = Guarantee.of(public, PATIENT, epsilon=math.inf)
    return replace(plain, noise_multiplier=sigma, sampling_rate=rate, steps=steps, clip_norm=0.5)


def test_the_ratio_is_that_of_drawn_noise_to_units_which_agree_in_every_step() -> None:
    public = PublicNumbers(patients=50, patches_per_patient=4, patch_size=8)
    steps, numbers, clip_norm, sigma, rate = 40, 2000, 0.5, 3.0, 0.2
    rng = np.random.default_rng(0)
    noise = sum(sigma * clip_norm * rng.standard_normal(numbers) for _ in range(steps))
    direction = rng.standard_normal(numbers)
    one = clip_norm * direction / np.linalg.norm(direction)
    signal = sum(rng.binomial(50, rate) * one for _ in range(steps))
    plan = sampled(public, sigma=sigma, rate=rate, steps=steps)
    drawn = np.linalg.norm(noise) / np.linalg.norm(signal)
    assert noise_to_signal(plan, public, numbers) == pytest.approx(drawn, rel=0.1)


@pytest.mark.parametrize("unit", ["patch", "patient"])
def test_the_ratio_of_one_release_is_that_of_its_noise_to_its_longest_mean(unit: str) -> None:
    made, numbers = patches(), 4000
    budget = Budget(epsilon=2.0, delta=1e-5, unit=unit)
    plan = plan_releases(PUBLIC, budget, clip_norm=0.5)
    agreeing = lambda some: np.ones((len(some), numbers))  # noqa: E731
    silent = SimpleNamespace(noised=lambda sums, grid: sums)
    longest = Release(plan).mean(made, agreeing, silent)
    noise = Release(plan).mean(made, agreeing, SeededNoise("x")) - longest
    found = noise_to_signal(plan, PUBLIC, numbers)
    assert found == pytest.approx(np.linalg.norm(noise) / np.linalg.norm(longest), rel=0.05)


def test_releases_of_different_vectors_are_as_one_long_sum() -> None:
    """Laid end to end they have a noise of σ C √d and a signal of N C √T."""
    plan = plan_releases(PUBLIC, PATIENT, clip_norm=0.5, releases=3)
    noise = plan.noise_multiplier * 0.5 * math.sqrt(3 * 7)
    signal = PUBLIC.patients * 0.5 * math.sqrt(3)
    assert noise_to_signal(plan, PUBLIC, 3 * 7) == pytest.approx(noise / signal)


def test_one_release_of_128_numbers_of_100_patients_is_a_quarter_noise() -> None:
    public = PublicNumbers(patients=100, patches_per_patient=1000, patch_size=32)
    plan = plan_releases(public, PATIENT, clip_norm=1.0)
    assert noise_to_signal(plan, public, 128) == pytest.approx(0.23, abs=0.005)


class Counting(SeededNoise):
    """Notes how many numbers each mechanism puts out."""

    def __init__(self) -> None:
        super().__init__("counting")
        self.drawn: list[int] = []

    def noised(self, sums, grid):
        self.drawn.append(len(sums))
        return super().noised(sums, grid)


@pytest.mark.parametrize("name", sorted({*generators.names()}))
def test_a_generator_that_says_how_many_numbers_it_noises_noises_as_many(name: str) -> None:
    kind = generators.get(name)
    generator = kind(kind.smoke)
    numbers = generator.noised_numbers(PUBLIC)
    if numbers is None or not kind.is_private:
        return
    plan = generator.plan(PUBLIC, budget_of(kind))
    noise = Counting()
    generator.fit(patches(), plan, FitContext(seed=0, noise=noise, charge=lambda charged: None))
    in_every_step, once = plan.steps * numbers, numbers
    assert sum(noise.drawn) in (in_every_step, once)


def test_the_critics_weights_are_counted_without_data() -> None:
    generator = DpWgan(DpWgan.presets["paper"])
    sizes = (2, 96, 192, 384, 768, 1536, 1)
    weights = sum(16 * a * b for a, b in itertools.pairwise(sizes))
    assert generator.noised_numbers(PUBLIC) == weights
    assert Simulator(Simulator.smoke).noised_numbers(PUBLIC) is None


@pytest.mark.parametrize(
    ("ratio", "word"),
    [
        (0.001, WORKABLE),
        (WORKABLE_UP_TO, WORKABLE),
        (1.01 * WORKABLE_UP_TO, DOUBTFUL),
        (HOPELESS_ABOVE, DOUBTFUL),
        (1.01 * HOPELESS_ABOVE, HOPELESS),
        (None, UNKNOWN),
    ],
)
def test_a_verdict_follows_from_the_ratio(ratio: float | None, word: str) -> None:
    plan = plan_releases(PUBLIC, PATIENT, clip_norm=1.0)
    assert verdict(plan, ratio) == word


def test_the_measured_cases_are_on_their_side_of_the_limits(tmp_path: Path) -> None:
    """docs/experiments.md: patches are learnt from at ε = 0.5, sixteen patients at ε = 2 not."""
    then = {"patients": 16, "protocol": FIRST}
    (patch,) = planned(tmp_path, "dp-wgan", unit="patch", epsilons=(0.5,), **then)
    (patient,) = planned(tmp_path, "dp-wgan", epsilons=(2.0,), **then)
    assert (patch.verdict, patient.verdict) == (WORKABLE, HOPELESS)


def test_a_few_numbers_in_one_release_face_less_than_a_critic(tmp_path: Path) -> None:
    critic, release = planned(tmp_path, "dp-wgan", "one-release")
    plan = release.plan
    assert plan is not None
    assert (plan.accountant, plan.sampling_rate, plan.steps) == ("gaussian", 1.0, 1)
    assert release.noise_to_signal == pytest.approx(plan.noise_multiplier * math.sqrt(10) / 41)
    assert release.noise_to_signal < 0.1 * critic.noise_to_signal


def test_settings_reach_the_generator(tmp_path: Path) -> None:
    (one,) = planned(tmp_path, "one-release")
    (four,) = planned(tmp_path, "one-release", settings={"one-release": {"numbers": "40"}})
    assert four.noise_to_signal == pytest.approx(2 * one.noise_to_signal)


def test_what_is_not_private_or_free_or_unsaid_is_called_so(tmp_path: Path) -> None:
    names = ("wgan", "real", "simulator", "reticent")
    found = planned(tmp_path, *names, epsilons=(2.0, 2.0))
    assert [one.verdict for one in found] == [NOT_PRIVATE, NOT_PRIVATE, FREE, UNKNOWN]
    assert [one.epsilon for one in found] == [2.0, 2.0, 0.0, 2.0]
    assert [one.plan.epsilon for one in found[:3]] == [math.inf, math.inf, 0.0]
    assert all(one.noise_to_signal is None for one in found)


def test_without_a_budget_nothing_is_private(tmp_path: Path) -> None:
    found = planned(tmp_path, "dp-wgan", "one-release", epsilons=(math.inf,))
    assert [one.verdict for one in found] == [NOT_PRIVATE, NOT_PRIVATE]


def test_a_generator_without_a_plan_says_why_and_stops_no_other(tmp_path: Path) -> None:
    broken, refusing, other = planned(tmp_path, "broken", "refusing", "one-release")
    assert (broken.verdict, broken.reason) == (FAILED, "ZeroDivisionError: oh")
    assert (refusing.verdict, refusing.reason) == (FAILED, "No noise is enough.")
    assert (other.reason, other.plan is None) == ("", False)


def test_a_delta_above_its_law_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"delta of at most 1e-05.* N = 41 units"):
        planned(tmp_path, "one-release", delta=1e-3)


def test_generators_without_the_preset_are_not_asked() -> None:
    assert "one-release" in with_preset("quick")
    assert "one-release" not in with_preset("paper")
    assert "dp-wgan" in with_preset("paper")
