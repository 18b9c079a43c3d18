"""Noise in shares: their sum is what was accounted, and how far it is from its law is counted."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from benchmark.core.budget import ROUNDING_SHARE, Budget, PublicNumbers
from benchmark.core.errors import UsageError
from benchmark.privacy.mechanisms.discrete import Exact
from benchmark.privacy.mechanisms.release import LONGEST, grid_of, plan_releases
from benchmark.privacy.mechanisms.shared_noise import (
    InShares,
    Sharing,
    distance_of_sums,
    log_ratio_of_sums,
    plan_shared_releases,
)
from benchmark.privacy.mechanisms.shared_sources import KnownSums, SharedNoise
from benchmark.privacy.randomness import SeededNoise
from benchmark.privacy.replay import Recorder

PUBLIC = PublicNumbers(patients=60, patches_per_patient=100, patch_size=32)
BUDGET = Budget(epsilon=2.0, delta=1e-5, unit="patient")
ALL = [(2, 0), (2, 1), (3, 0), (3, 1), (3, 2), (5, 2), (20, 1)]


def plan_of(sites: int = 3, curious: int = 1, budget: Budget = BUDGET, public=PUBLIC, **more):
    how = {"clip_norm": 3.0, "releases": 1, **more}
    return plan_shared_releases(
        public, budget, sharing=Sharing(sites=sites, curious=curious), **how
    )


def pmf_of_sum(scale: float, shares: int, reach: int) -> np.ndarray:
    """The law of the sum of discrete Gaussians on -reach..reach, by convolution."""
    width = 40
    one = np.exp(-(np.arange(-width, width + 1.0) ** 2) / (2 * scale**2))
    found = one = one / one.sum()
    for _ in range(shares - 1):
        found = np.convolve(found, one)
    middle = len(found) // 2
    return found[middle - reach : middle + reach + 1]


@pytest.mark.parametrize("scale", [0.71, 0.8, 0.9, 1.0, 1.2])
@pytest.mark.parametrize("shares", [2, 3, 5])
def test_the_law_of_a_sum_is_no_further_from_its_gaussian_than_the_bound(
    scale: float, shares: int
) -> None:
    """Kairouz, Liu and Steinke (2021), against the convolved law itself."""
    reach = int(3 * scale * math.sqrt(shares))
    numbers = np.arange(-60, 61.0)
    law = np.exp(-(numbers**2) / (2 * shares * scale**2))
    law = (law / law.sum())[60 - reach : 60 + reach + 1]
    summed = pmf_of_sum(scale, shares, reach)
    furthest = np.abs(np.log(summed / law)).max()
    assert furthest <= log_ratio_of_sums(scale, shares) + 1e-12
    assert np.abs(summed - law).sum() / 2 <= distance_of_sums(1, scale, shares) + 1e-12
    if scale < 1:
        assert furthest > log_ratio_of_sums(scale, shares) / 1000  # no wilder than it must be


def test_the_distance_of_sums_is_above_nothing_and_counts_every_number() -> None:
    assert log_ratio_of_sums(1.0, 1) == 0
    assert 0 < log_ratio_of_sums(2.0**29, 3) < 1e-300
    assert log_ratio_of_sums(1.0, 5) > log_ratio_of_sums(1.0, 3) > log_ratio_of_sums(1.1, 3)
    assert distance_of_sums(1000, 1.0, 3) == pytest.approx(1000 * distance_of_sums(1, 1.0, 3))


@pytest.mark.parametrize(("sites", "curious"), ALL)
def test_honest_shares_have_the_pooled_variance_and_hardly_more(sites: int, curious: int) -> None:
    sharing = Sharing(sites=sites, curious=curious)
    for scale in (1, 7, 1000, 2**31 + 12345):
        share = sharing.share_of(Exact(scale)).scale
        assert sharing.honest * share**2 >= scale**2 > sharing.honest * (share - 1) ** 2


@pytest.mark.parametrize("unit", ["patch", "patient"])
@pytest.mark.parametrize(("sites", "curious"), ALL)
def test_a_shared_plan_is_the_pooled_one_with_its_distance(
    unit: str, sites: int, curious: int
) -> None:
    budget = replace(BUDGET, unit=unit)
    pooled = plan_releases(PUBLIC, budget, clip_norm=3.0)
    plan = plan_of(sites, curious, budget)
    said = plan.guarantee
    assert replace(said, distance=0.0) == replace(pooled, distance=0.0)
    assert said.epsilon <= budget.epsilon
    assert said.units == PUBLIC.units(unit)
    assert said.distance >= sites * pooled.distance * (1 - 1e-12)
    covered = (1 + math.exp(said.epsilon)) * said.distance
    assert covered <= ROUNDING_SHARE * said.delta


def test_the_plan_claims_what_an_accountant_says_of_the_honest_shares() -> None:
    plan = plan_of(5, 2, releases=4)
    said = plan.guarantee
    scale = plan.share.scale * math.sqrt(plan.sharing.honest)
    sigma = math.sqrt(scale**2 - 1 / 12) * said.grid / said.sensitivity
    mu, epsilon = 2 / sigma, said.epsilon  # Balle and Wang (2018), theorem 8
    spent = norm.cdf(mu / 2 - epsilon / mu) - math.exp(epsilon) * norm.cdf(-mu / 2 - epsilon / mu)
    assert 0.99 * said.delta < spent <= said.accounted_delta
    assert sigma >= said.noise_multiplier


def test_the_fewer_are_curious_the_less_they_learn() -> None:
    plan = plan_of(3, 1)
    outsiders, one, alone = (plan.against(curious).epsilon for curious in (0, 1, 2))
    assert outsiders < one == plan.guarantee.epsilon < alone
    assert (round(outsiders, 2), round(one, 2), round(alone, 2)) == (1.6, 2.0, 2.95)


def test_a_share_alone_keeps_epsilon_if_everybody_else_is_curious() -> None:
    plan = plan_of(3, 2)
    assert plan.share == grid_of(plan.guarantee.noise_multiplier, 3.0).law
    assert plan.against(2).epsilon == plan.guarantee.epsilon <= BUDGET.epsilon


def test_no_finite_plan_of_a_huge_epsilon_is_worse_than_its_delta_covers() -> None:
    said = plan_of(20, 1, replace(BUDGET, epsilon=1e6)).guarantee
    assert said.target_epsilon == 1e6
    assert (1 + math.exp(said.epsilon)) * said.distance <= ROUNDING_SHARE * said.delta * 1.0001


@pytest.mark.parametrize(("sites", "curious"), [(1, 0), (0, 0), (3, 3), (3, -1)])
def test_sites_that_cannot_share_are_refused(sites: int, curious: int) -> None:
    with pytest.raises(UsageError, match="Expected"):
        Sharing(sites=sites, curious=curious)


def test_an_infinite_epsilon_is_refused() -> None:
    with pytest.raises(UsageError, match="needs a finite epsilon"):
        plan_of(budget=replace(BUDGET, epsilon=math.inf))


def test_a_sum_that_could_pass_64_bits_is_refused_beforehand() -> None:
    most = (1 << 33) - (1 << 20)
    fits = plan_of(public=replace(PUBLIC, patients=most))
    assert fits.largest_sum < 1 << 63
    assert fits.largest_sum >= most * 2**30 + 3 * 50 * fits.share.scale
    with pytest.raises(UsageError, match="exact below 2\\^63"):
        plan_of(public=replace(PUBLIC, patients=1 << 33))


def test_a_site_draws_its_own_share_and_keeps_whole_numbers() -> None:
    plan, recorder = plan_of(), Recorder(SeededNoise(0, "share"))
    noise = SharedNoise(recorder, plan)
    sums = np.array([5, -7, 2**40])
    grid = grid_of(plan.guarantee.noise_multiplier, 3.0)
    noised = noise.noised(sums, grid)
    assert recorder.outputs[0].grid.law == plan.share
    assert np.array_equal(noise.sums[0], noised)
    assert noised.dtype == np.int64
    assert not np.array_equal(noised, sums)


def test_a_share_on_another_grid_than_the_plans_is_refused() -> None:
    """There the same whole numbers would be other noise."""
    plan = plan_of()
    source = Recorder(SeededNoise(0))
    for clip_norm in (1.5, 6.0):
        with pytest.raises(UsageError, match="plan's grid"):
            SharedNoise(source, plan).noised(np.zeros(3, np.int64), grid_of(1.0, clip_norm))
    assert not source.outputs


def test_noise_in_shares_is_never_drawn_as_a_whole() -> None:
    grid = replace(grid_of(1.0, 1.0), law=InShares(2.0**30))
    assert InShares(2.0**30).deviation == Exact(2**30).deviation
    with pytest.raises(UsageError, match="drawn in shares"):
        SeededNoise(0).noised(np.zeros(3, np.int64), grid)


def test_releases_draw_no_units_and_neither_side_takes_choices() -> None:
    site, server = SharedNoise(SeededNoise(0), plan_of()), KnownSums(None)
    with pytest.raises(UsageError, match="draws nobody"):
        site.poisson(3, 0.5)
    assert len(server.poisson(3, 0.5)) == 0
    for noise in (site, server):
        with pytest.raises(UsageError, match="cannot be added"):
            noise.chosen(np.zeros(2, np.int64), None)


def test_known_sums_come_once_each_and_in_their_sizes() -> None:
    grid = grid_of(1.0, 1.0)
    known = KnownSums([np.arange(3)])
    with pytest.raises(UsageError, match="another length"):
        known.noised(np.zeros(2, np.int64), grid)
    assert not known.is_over
    assert known.noised(np.zeros(3, np.int64), grid).tolist() == [0, 1, 2]
    assert known.is_over
    with pytest.raises(UsageError, match="missing"):
        known.noised(np.zeros(3, np.int64), grid)


def test_the_longest_vector_is_covered_by_the_distance() -> None:
    plan = plan_of(5, 1, releases=3)
    least = distance_of_sums(3 * LONGEST, plan.share.scale, 5)
    assert plan.guarantee.distance >= least > 0
