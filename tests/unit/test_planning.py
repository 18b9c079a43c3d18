"""From a request to cells: whose noise, how many cells, and an ε that is what the noise gives."""

import math
from dataclasses import replace

import numpy as np
import pytest
from cells import SPEC
from click import Context

from benchmark.cli.run import run, sweep_of
from benchmark.core.budget import Budget, Guarantee, PublicNumbers
from benchmark.core.errors import UsageError
from benchmark.privacy.accounting.subsampled_gaussian import epsilon_spent
from benchmark.privacy.dpsgd.step import ROUNDING, grid_of
from benchmark.privacy.mechanisms.poisson_gaussian import (
    plan_poisson_gaussian,
    provable_epsilon,
    recomputed,
)
from benchmark.privacy.randomness import SeededNoise, SystemNoise
from benchmark.sweep.fitting import _noise
from benchmark.sweep.plan_cells import _levels
from benchmark.sweep.request import Request, check
from generators.dp_wgan import DpWgan
from generators.simulator import Simulator
from generators.wgan import Wgan


def asked(*arguments: str) -> Request:
    """What the command line makes of its words."""
    parsed: Context = run.make_context("run", ["--generator", "dp-wgan", *arguments])
    return sweep_of(parsed.params).request()


def test_the_noise_is_seeded_for_phantoms_and_the_systems_for_other_data() -> None:
    assert asked().noise == "seeded"
    assert asked("--data", "cohort").noise == "system"
    assert asked("--data", "cohort", "--noise", "seeded").noise == "seeded"


def test_a_cell_gets_the_noise_of_its_spec() -> None:
    assert isinstance(_noise(SPEC), SeededNoise)
    assert isinstance(_noise(replace(SPEC, noise="system")), SystemNoise)


def test_seeded_noise_repeats_in_a_cell_and_is_independent_of_any_other() -> None:
    draws, nothing, grid = {}, np.zeros(4000, np.int64), grid_of(1.0, 1.0, 4000)
    for name, spec in {
        "one": SPEC,
        "again": SPEC,
        "other epsilon": replace(SPEC, epsilon=5.0),
        "other seed": replace(SPEC, seed=1),
    }.items():
        noise = _noise(spec)
        draws[name] = noise.noised(nothing, grid)
        assert not np.array_equal(draws[name], noise.noised(nothing, grid)), (
            "fresh noise at every step"
        )
    assert np.array_equal(draws["one"], draws["again"])
    for other in ("other epsilon", "other seed"):
        assert abs(np.corrcoef(draws["one"], draws[other])[0, 1]) < 0.08


@pytest.mark.parametrize("unit", ["patch", "patient"])
@pytest.mark.parametrize("epsilon", [0.5, 2.0, 7.4])
def test_the_planned_epsilon_is_what_the_planned_noise_gives(unit: str, epsilon: float) -> None:
    public = PublicNumbers(patients=16, patches_per_patient=100, patch_size=32)
    budget = Budget(epsilon=math.inf, delta=1e-5, unit=unit)
    plain = replace(Guarantee.of(public, budget, epsilon=math.inf), sampling_rate=0.1, steps=50)
    planned = plan_poisson_gaussian(
        plain, epsilon=epsilon, clip_norm=1.0, accountant="prv", numbers=5000, grid_of=grid_of
    )
    again = epsilon_spent(
        noise_multiplier=planned.noise_multiplier,
        sampling_rate=planned.sampling_rate,
        steps=planned.steps,
        delta=planned.accounted_delta,
        accountant=planned.accountant,
    )
    assert again == planned.epsilon <= epsilon
    own = planned.epsilon_patch if unit == "patch" else planned.epsilon_patient
    assert own == planned.epsilon
    assert planned.epsilon_patient != planned.epsilon_patch


def planned_for(epsilon: float, numbers: int = 42_608, steps: int = 880):
    public = PublicNumbers(patients=16, patches_per_patient=1000, patch_size=32)
    budget = Budget(epsilon=math.inf, delta=6.25e-6, unit="patch")
    plain = replace(
        Guarantee.of(public, budget, epsilon=math.inf), sampling_rate=0.016, steps=steps
    )
    return plan_poisson_gaussian(
        plain, epsilon=epsilon, clip_norm=0.25, accountant="prv", numbers=numbers, grid_of=grid_of
    )


@pytest.mark.parametrize("epsilon", [1.0, 7.4])
def test_the_distance_of_all_noise_from_its_law_is_within_delta(epsilon: float) -> None:
    plan = planned_for(epsilon)
    spared = plan.delta - plan.accounted_delta
    assert plan.distance > 0
    assert (1 + math.exp(plan.epsilon)) * plan.distance <= spared < 0.002 * plan.delta


@pytest.mark.parametrize(("sigma", "numbers"), [(0.6, 42_608), (11.6, 42_608), (0.6, 25_000_000)])
def test_grid_and_rounding_cost_half_a_per_cent_of_noise_at_most(sigma, numbers) -> None:
    grid = grid_of(sigma, 0.25, numbers)
    rounding = 0.25 * (1 + ROUNDING) + math.sqrt(numbers) * grid.spacing
    assert rounding == pytest.approx(grid.sensitivity, rel=1e-9)
    assert grid.sensitivity <= 0.25 * 1.005
    assert grid.noise_multiplier >= sigma
    assert grid.noise_multiplier == pytest.approx(sigma, rel=1e-9)


def test_an_epsilon_that_is_not_proven_is_not_spent() -> None:
    plan = planned_for(60.0)
    assert plan.target_epsilon == 60.0
    assert plan.epsilon <= provable_epsilon(plan) < 30
    assert recomputed(plan).epsilon == plan.epsilon
    for planted in ({"distance": 1e-3}, {"distance": 0.0}, {"grid": 1.0}, {"sensitivity": 0.2}):
        assert recomputed(replace(plan, **planted)).epsilon == math.inf


def test_a_generator_runs_at_the_levels_that_it_can_honour() -> None:
    asked_for = [2.0, math.inf, 2.0]
    assert _levels(DpWgan, asked_for) == [2.0, math.inf]
    assert _levels(Wgan, asked_for) == [math.inf]
    assert _levels(Simulator, asked_for) == [0.0]


def test_a_non_private_generator_alone_is_refused_a_finite_epsilon() -> None:
    with pytest.raises(UsageError, match="wgan is not private"):
        check(Request(generators=["wgan"], epsilons=[2.0]))
    check(Request(generators=["wgan", "dp-wgan"], epsilons=[2.0]))


def test_an_unknown_setting_is_refused_before_any_data_are_read() -> None:
    with pytest.raises(UsageError, match="dp-wgan: No setting is called 'clip'"):
        check(Request(generators=["dp-wgan"], epsilons=[2.0], settings={"dp-wgan": {"clip": "1"}}))
