"""Who could see what of a federated fit: every ε against a computation of its own."""

import math
from dataclasses import replace

import pytest
from dp_accounting.pld.privacy_loss_distribution import from_gaussian_mechanism
from scipy.optimize import brentq
from scipy.stats import norm

from benchmark.core.budget import Budget, Guarantee, PublicNumbers
from benchmark.core.errors import UsageError
from benchmark.privacy.accounting.calibration import calibrate
from benchmark.privacy.accounting.coalitions import (
    Seen,
    local_noise,
    local_view,
    pooled_view,
    secure_noise,
    secure_view,
)
from benchmark.privacy.accounting.subsampled_gaussian import account
from benchmark.privacy.mechanisms.release import plan_releases

PUBLIC = PublicNumbers(patients=42, patches_per_patient=10, patch_size=32)
AT_SITE = replace(PUBLIC, patients=14)
BUDGET = Budget(epsilon=2.0, delta=1e-5, unit="patient")
RELEASE = plan_releases(PUBLIC, BUDGET, clip_norm=1.0)
LOCAL = plan_releases(AT_SITE, BUDGET, clip_norm=1.0)


def closed_form(mu: float, delta: float) -> float:
    """ε of N(μ, 1) against N(0, 1), by scipy alone (Balle and Wang 2018, theorem 8)."""

    def excess(epsilon: float) -> float:
        without = math.exp(epsilon) * norm.cdf(-mu / 2 - epsilon / mu)
        return norm.cdf(mu / 2 - epsilon / mu) - without - delta

    return brentq(excess, 1e-9, 100.0, xtol=1e-12)


def noise_left(shares: list[float], colluders: int) -> float:
    """The standard deviation of what colluders cannot subtract; the largest shares are theirs."""
    return math.sqrt(sum(share**2 for share in sorted(shares)[: len(shares) - colluders]))


def subsampled(sigma: float | None = None, *, steps: int = 60, rate: float = 0.2) -> Guarantee:
    how = {"sampling_rate": rate, "steps": steps, "delta": 1e-5}
    sigma = sigma or calibrate(epsilon=2.0, **how)
    spent = account(noise_multiplier=sigma, **how)
    plain = Guarantee.of(PUBLIC, BUDGET, epsilon=spent.epsilon)
    return replace(
        plain,
        noise_multiplier=sigma,
        sampling_rate=rate,
        steps=steps,
        clip_norm=1.0,
        accountant=spent.accountant,
    )


def test_the_numbers_of_three_equal_sites_at_epsilon_2_are_those_of_the_closed_form() -> None:
    sigma = brentq(lambda s: closed_form(1 / s, 1e-5) - 2.0, 0.5, 10.0)
    share = sigma / math.sqrt(2)  # sized for one of three
    known = {c: closed_form(1 / noise_left([share] * 3, c), 1e-5) for c in (0, 1, 2)}
    assert [round(known[c], 2) for c in (0, 1, 2)] == [1.60, 2.00, 2.95]
    seen = secure_view(RELEASE, 3, 1)
    assert seen.outsider == seen.server == pytest.approx(known[0], abs=0.002)
    assert seen.one_site == seen.server_and_site == pytest.approx(known[1], abs=0.002)
    assert seen.all_others == pytest.approx(known[2], abs=0.003)

    bare = closed_form(1 / noise_left([sigma / math.sqrt(3)] * 3, 1), 1e-5)
    assert round(bare, 2) == 2.51
    assert secure_view(RELEASE, 3, 0).server_and_site == pytest.approx(bare, abs=0.002)

    alone = [closed_form(1 / noise_left([sigma] * 3, c), 1e-5) for c in (0, 1, 2)]
    assert [round(epsilon, 2) for epsilon in alone] == [1.09, 1.36, 2.00]
    local = local_view([LOCAL] * 3, only_sums=True)
    assert [local.outsider, local.one_site, local.server] == pytest.approx(alone, abs=0.002)
    assert local.server == local.server_and_site == local.all_others <= 2.0


@pytest.mark.parametrize("sites", [2, 3, 10])
@pytest.mark.parametrize("colluders", [0, 1])
def test_a_bound_of_secure_sums_is_never_below_the_closed_form(sites: int, colluders: int) -> None:
    share = RELEASE.noise_multiplier / math.sqrt(sites - colluders)
    seen = secure_view(RELEASE, sites, colluders)
    for found, c in ((seen.outsider, 0), (seen.server_and_site, 1), (seen.all_others, sites - 1)):
        known = closed_form(1 / noise_left([share] * sites, c), RELEASE.delta)
        assert known <= found <= 1.002 * known


def test_noise_that_is_sized_for_some_holds_the_target_against_them_and_for_more_says_more() -> (
    None
):
    for colluders in range(4):
        seen = secure_view(RELEASE, 5, colluders)
        assert seen.outsider <= seen.server_and_site <= seen.all_others
        holds = {0: seen.server, 1: seen.server_and_site}.get(colluders, seen.one_site)
        assert holds <= RELEASE.epsilon
        assert seen.all_others > RELEASE.epsilon
    assert secure_view(RELEASE, 5, 4).all_others == RELEASE.epsilon


@pytest.mark.parametrize(("colluders", "left"), [(1, 1.0), (2, 0.5), (0, 1.5)])
def test_a_subsampled_mechanism_is_bounded_like_dp_accountings(colluders: int, left: float) -> None:
    """Three sites, noise sized for one: 3/2, 1 and 1/2 of the pooled variance are left."""
    fit = subsampled()
    seen = secure_view(fit, 3, 1)
    found = {0: seen.outsider, 1: seen.server_and_site, 2: seen.all_others}[colluders]
    pld = from_gaussian_mechanism(
        fit.noise_multiplier * math.sqrt(left),
        value_discretization_interval=1e-4,
        sampling_prob=fit.sampling_rate,
    ).self_compose(fit.steps)
    known = pld.get_epsilon_for_delta(fit.delta)
    assert known - 1e-4 <= found <= known + 0.03


def test_at_unequal_sites_the_worst_off_is_whose_patients_move_the_sum_most() -> None:
    """Three sites of their own σ: each unit moves the mean by C/N, under noise of all σ C/N."""
    sigmas = [1.5, 2.5, 4.0]
    sites = [
        replace(
            LOCAL,
            patients=patients,
            noise_multiplier=sigma,
            epsilon=account(noise_multiplier=sigma, sampling_rate=1.0, steps=1, delta=1e-5).epsilon,
        )
        for patients, sigma in zip((30, 8, 4), sigmas, strict=True)
    ]
    seen = local_view(sites, only_sums=True)
    assert seen.outsider == pytest.approx(closed_form(1 / math.hypot(*sigmas), 1e-5), rel=0.002)
    without_largest = closed_form(1 / math.hypot(1.5, 2.5), 1e-5)
    assert seen.one_site == pytest.approx(without_largest, rel=0.002)
    assert seen.server == seen.all_others == max(one.epsilon for one in sites)
    pooled = replace(RELEASE, noise_multiplier=2.0)
    assert local_noise(sites, pooled) == pytest.approx(math.hypot(*sigmas) / 2.0, rel=1e-9)


def test_local_noise_is_that_of_a_mean_of_replies_weighted_by_public_sizes() -> None:
    """Each reply is divided by its own expected batch, then weighted by the site's share."""
    sites = [
        replace(subsampled(3.0, rate=0.5), patients=30),
        replace(subsampled(5.0, rate=1.0), patients=12),
    ]
    pooled = replace(subsampled(2.0, rate=0.4), patients=42)
    replies = [3.0 / (0.5 * 30) * 30 / 42, 5.0 / (1.0 * 12) * 12 / 42]
    assert local_noise(sites, pooled) == pytest.approx(math.hypot(*replies) / (2.0 / (0.4 * 42)))


@pytest.mark.parametrize("sites", [2, 3, 7])
def test_equal_sites_with_local_noise_are_root_n_times_as_noisy_as_pooled(sites: int) -> None:
    equal = [replace(LOCAL, patients=RELEASE.patients // sites)] * sites
    assert local_noise(equal, RELEASE) == pytest.approx(math.sqrt(sites))
    assert secure_noise(sites, sites - 1) == pytest.approx(math.sqrt(sites))


def test_where_replies_are_no_sums_nobody_is_said_to_see_less_than_the_server() -> None:
    seen = local_view([subsampled()] * 3, only_sums=False)
    assert {*vars(seen).values()} == {seen.server}
    assert local_view([subsampled()] * 3, only_sums=True).outsider < seen.outsider


def test_a_server_that_has_the_patients_sees_them() -> None:
    assert pooled_view(RELEASE) == Seen(
        outsider=RELEASE.epsilon,
        one_site=RELEASE.epsilon,
        server=math.inf,
        server_and_site=math.inf,
        all_others=math.inf,
    )


def test_noise_whose_law_cannot_be_proven_gives_no_bound() -> None:
    assert math.isfinite(secure_view(RELEASE, 50, 1).all_others)
    far = replace(RELEASE, distance=1e-10)
    assert secure_view(far, 3, 1).outsider < RELEASE.epsilon
    assert secure_view(far, 50, 1).all_others == math.inf


def test_a_smaller_noise_lies_further_from_its_law() -> None:
    """Half of the variance: four times as far, which the reserved share of δ does not cover."""
    far = replace(RELEASE, distance=2.5e-10)
    known = closed_form(math.sqrt(2) / RELEASE.noise_multiplier, RELEASE.delta)
    assert (1 + math.exp(known)) * far.distance < 2**-10 * RELEASE.delta
    assert secure_view(far, 3, 1).all_others == math.inf
    assert secure_view(far, 3, 1).server_and_site == RELEASE.epsilon


def test_a_fit_without_gaussian_noise_has_no_secure_sums() -> None:
    choice = replace(RELEASE, accountant="permute-and-flip")
    with pytest.raises(UsageError, match="Secure sums need Gaussian noise"):
        secure_view(choice, 3, 1)
    assert {*vars(local_view([choice] * 3, only_sums=True)).values()} == {choice.epsilon}


@pytest.mark.parametrize(("sites", "colluders"), [(1, 0), (3, 3), (3, -1)])
def test_numbers_that_no_consortium_has_are_refused(sites: int, colluders: int) -> None:
    with pytest.raises(UsageError, match="Expected"):
        secure_view(RELEASE, sites, colluders)
