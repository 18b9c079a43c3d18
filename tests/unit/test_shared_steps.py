"""Private steps with noise in shares: one public grid, the pooled σ, and every distance counted."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmark.core.budget import ROUNDING_SHARE, Budget, PublicNumbers, Unit
from benchmark.core.errors import UsageError
from benchmark.privacy.accounting.subsampled_gaussian import epsilon_spent
from benchmark.privacy.dpsgd.shared_steps import SharedSteps, planned_grid, shared_grid_of
from benchmark.privacy.dpsgd.step import ROUNDING, grid_of
from benchmark.privacy.mechanisms.discrete import distance
from benchmark.privacy.mechanisms.poisson_gaussian import MOST_ENLARGED
from benchmark.privacy.mechanisms.release import plan_releases
from benchmark.privacy.mechanisms.shared_noise import (
    InShares,
    SharedPlan,
    Sharing,
    distance_of_sums,
)
from benchmark.privacy.mechanisms.shared_sources import KnownSums, SharedNoise
from benchmark.privacy.randomness import SeededNoise
from benchmark.privacy.replay import Recorder
from federation.job import Job
from federation.secure_site import shared_plan, simulated
from generators.dp_wgan import DpWgan, DpWganParams

PUBLIC = PublicNumbers(patients=60, patches_per_patient=100, patch_size=32)
BUDGET = Budget(epsilon=5.0, delta=1e-5, unit="patch")
ALL = [(2, 0), (2, 1), (3, 1), (5, 2), (20, 1)]
MADE = DpWgan(DpWganParams())
D = MADE.noised_numbers(PUBLIC)


def plan_of(
    sites: int = 3, curious: int = 1, budget: Budget = BUDGET, design: str = "gradient-sums"
) -> SharedSteps:
    sharing = Sharing(sites=sites, curious=curious)
    return MADE.plan_in_shares(PUBLIC, budget, MADE.schedule(design=design), sharing)


@pytest.mark.parametrize("sigma", [0.5, 2.0, 60.0])
@pytest.mark.parametrize("numbers", [500, 42_608])
@pytest.mark.parametrize(("sites", "curious"), ALL)
def test_the_honest_shares_are_sigma_on_the_common_grid(
    sites: int, curious: int, numbers: int, sigma: float
) -> None:
    """The law by its formula: h a² - 1/12 steps, and S with what snapping adds to it."""
    sharing = Sharing(sites=sites, curious=curious)
    grid = shared_grid_of(sigma, 0.25, numbers, sharing)
    share = grid_of(sigma, 0.25, numbers).law
    together = math.sqrt(sharing.honest * share.scale**2 - 1 / 12) * grid.spacing
    moved = 0.25 * (1 + ROUNDING) + math.sqrt(numbers) * grid.spacing
    assert grid.sensitivity >= moved * (1 - 1e-12)
    assert grid.sensitivity <= MOST_ENLARGED * 0.25
    assert sigma <= together / moved < sigma * (1 + 1e-9)
    assert grid.spacing <= grid_of(sigma, 0.25, numbers).spacing * (1 + 1e-9), "no coarser"


@pytest.mark.parametrize("unit", ["patch", "patient"])
@pytest.mark.parametrize(("sites", "curious"), ALL)
def test_a_shared_plan_is_the_pooled_one_with_its_distance(
    unit: Unit, sites: int, curious: int
) -> None:
    budget = replace(BUDGET, unit=unit)
    pooled, plan = MADE.plan(PUBLIC, budget), plan_of(sites, curious, budget)
    said = plan.guarantee
    alike = {"distance": 0.0, "grid": 0.0, "sensitivity": 0.0}
    assert replace(said, **alike) == replace(pooled, **alike)
    drawn = D * said.steps
    assert said.distance >= distance(sites * drawn, plan.share.scale * plan.sharing.honest**0.5)
    assert said.distance >= distance_of_sums(drawn, plan.share.scale, sites) > 0
    assert (1 + math.exp(said.epsilon)) * said.distance <= ROUNDING_SHARE * said.delta


def test_the_plan_claims_what_an_accountant_says_of_the_honest_shares() -> None:
    plan = plan_of(5, 2)
    said = plan.guarantee
    deviation = math.sqrt(plan.sharing.honest * plan.share.scale**2 - 1 / 12) * said.grid
    spent = epsilon_spent(
        noise_multiplier=deviation / said.sensitivity * (1 + 1e-9),
        sampling_rate=256 / PUBLIC.units("patch"),
        steps=880,
        delta=said.accounted_delta,
        accountant=said.accountant,
    )
    assert spent <= said.epsilon <= BUDGET.epsilon
    assert said.steps == 880


def test_the_fewer_are_curious_the_less_they_learn() -> None:
    plan = plan_of(3, 1)
    outsiders, one, alone = (plan.against(curious) for curious in (0, 1, 2))
    assert outsiders.epsilon < one.epsilon == plan.guarantee.epsilon < alone.epsilon < math.inf
    left = plan.share.deviation * plan.guarantee.grid / plan.guarantee.sensitivity
    assert alone.noise_multiplier == pytest.approx(left, rel=1e-9)


def test_every_site_finds_the_grid_in_the_guarantee_and_none_draws_the_whole_noise() -> None:
    plan, own = plan_of(), MADE.plan(PUBLIC, BUDGET)
    assert planned_grid(own, D) == grid_of(own.noise_multiplier, own.clip_norm, D)
    for guarantee in (plan.guarantee, plan.against(0)):
        grid = planned_grid(guarantee, D)
        assert (grid.spacing, grid.sensitivity) == (
            plan.guarantee.grid,
            plan.guarantee.sensitivity,
        )
        assert isinstance(grid.law, InShares)
        with pytest.raises(UsageError, match="drawn in shares"):
            SeededNoise(0).noised(np.zeros(3, np.int64), grid)


def test_a_plan_without_a_grid_is_refused() -> None:
    old = replace(MADE.plan(PUBLIC, BUDGET), grid=0.0)
    with pytest.raises(UsageError, match="plan the fit anew"):
        planned_grid(old, D)


def test_a_site_draws_its_share_on_the_common_grid_and_units_at_the_planned_rate() -> None:
    plan, recorder = plan_of(), Recorder(SeededNoise(0, "share"))
    noise, said = SharedNoise(recorder, plan), plan.guarantee
    drawn = noise.poisson(1000, said.sampling_rate)
    assert len(drawn) < 150
    noised = noise.noised(np.zeros(D, np.int64), planned_grid(said, D))
    assert recorder.outputs[0].grid.law == plan.share
    assert noised.std() == pytest.approx(plan.share.scale, rel=0.02)
    with pytest.raises(UsageError, match="the plan's rate"):
        noise.poisson(1000, 2 * said.sampling_rate)
    with pytest.raises(UsageError, match="plan's grid"):
        noise.noised(np.zeros(D, np.int64), grid_of(said.noise_multiplier, said.clip_norm, D))
    assert len(recorder.outputs) == 1
    assert len(KnownSums(None).poisson(1000, said.sampling_rate)) == 0


def test_the_largest_sum_covers_every_unit_and_fits_into_64_bits() -> None:
    plan = plan_of(20, 1)
    said = plan.guarantee
    assert plan.largest_sum >= said.units * said.sensitivity / said.grid + 20 * 50 * 2**18
    assert plan.largest_sum < 2**63


def test_no_finite_plan_of_a_huge_epsilon_is_worse_than_its_delta_covers() -> None:
    said = plan_of(20, 1, replace(BUDGET, epsilon=1e6)).guarantee
    assert said.target_epsilon == 1e6
    assert (1 + math.exp(said.epsilon)) * said.distance <= ROUNDING_SHARE * said.delta * 1.0001


def test_weights_after_steps_cannot_be_added_and_infinity_has_no_noise_to_share() -> None:
    with pytest.raises(UsageError, match=r"no sums; take --design gradient-sums"):
        plan_of(design="averaged-critics")
    with pytest.raises(UsageError, match="needs a finite epsilon"):
        plan_of(budget=replace(BUDGET, epsilon=math.inf))


def test_a_release_and_a_step_share_no_grid() -> None:
    release = plan_releases(PUBLIC, BUDGET, clip_norm=0.25)
    with pytest.raises(UsageError, match="plan's grid"):
        SharedNoise(SeededNoise(0), plan_of()).noised(
            np.zeros(3, np.int64), planned_grid(release, D)
        )


def test_shares_of_another_law_are_refused_before_anything_is_drawn() -> None:
    plan = plan_of()
    SharedNoise(SeededNoise("x"), plan)
    wrong = SharedPlan(sharing=plan.sharing, guarantee=plan.guarantee)  # as if of releases
    with pytest.raises(UsageError, match="add up to noise"):
        SharedNoise(SeededNoise("x"), wrong)


def test_where_every_unit_is_drawn_in_every_step_a_site_still_draws_them() -> None:
    public = PublicNumbers(patients=8, patches_per_patient=20, patch_size=32)
    budget = Budget(epsilon=5.0, delta=1e-5, unit="patient")
    sharing = Sharing(sites=2, curious=1)
    plan = MADE.plan_in_shares(public, budget, MADE.schedule(design="gradient-sums"), sharing)
    assert plan.guarantee.sampling_rate == 1
    assert len(SharedNoise(SeededNoise("x"), plan).poisson(5, 1.0)) == 5


def test_a_site_of_a_simulation_draws_the_shares_of_the_generators_own_plan(
    tmp_path: Path,
) -> None:
    agreed = simulated([tmp_path / "a", tmp_path / "b"], 1)[0]
    schedule = MADE.schedule(design="gradient-sums")
    job = Job(
        run="0123456789ab",
        generator=MADE.name,
        version=MADE.version,
        settings=MADE.params.as_dict(),
        patch_size=32,
        patches_per_patient=100,
        epsilon=5.0,
        delta=1e-5,
        unit="patch",
        seed=0,
        noise="seeded",
        schedule=schedule,
        curious=1,
    )
    found = shared_plan(agreed, job, 20, 60)
    assert isinstance(found, SharedSteps)
    assert found == plan_of(sites=2, curious=1)
