"""Noise in shares: every site draws a part, and their sum is what a guarantee needs.

Of n sites, t may be curious: they pool all that they know with the server, their own noise
included. The other n - t are honest. With s the scale that the pooled mechanism needs, each site
draws discrete Gaussian noise of scale

    a = ⌈s / √(n - t)⌉,   so that   (n - t) a² ≥ s².

If nobody sees more than the sum over sites (``federation.secure_sum``), those who are curious learn
the honest sites' sum with noise of scale a √(n - t) ≥ s. So the pooled plan's ε holds against them,
for every patient of an honest site. One unit moves the sum of one site by the sensitivity at most,
and no other.

The sum of m discrete Gaussians of scale a is not exactly one of scale a √m. Kairouz, Liu and
Steinke (2021), arXiv:2102.06387, bound the logarithm of the ratio of any number's probabilities by

    τ = 10 Σ_{k=1}^{m-1} exp(-2π² a² k / (k + 1)),   a² ≥ 1/2,

by Poisson's summation, as in ``discrete``. So the two laws are at most e^τ - 1 apart in total
variation, for every number. That joins the distance of the drawn noise from rounded normal noise,
which δ covers. Each share may be off by its own rounding, so that distance is counted n times.

The number of patients divides the sum. It decides no noise, so a wrong one costs no privacy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Never, Protocol, TypeVar, cast

from benchmark.core.budget import Budget, Guarantee, PublicNumbers
from benchmark.core.designs import check_shares_noise
from benchmark.core.errors import UsageError
from benchmark.core.federation import FederatedGenerator, Schedule
from benchmark.core.mechanism import NoiseLaw, Words
from benchmark.privacy.mechanisms.discrete import Exact
from benchmark.privacy.mechanisms.poisson_gaussian import provable_epsilon, recomputed
from benchmark.privacy.mechanisms.release import FINENESS, LONGEST, grid_of, plan_releases

LARGEST = 1 << 63
"""Sums must be smaller than this in magnitude, because they are computed modulo 2^64."""

SLACK = 1e-9
MOST_NOISE = 1.05
"""How far the drawn noise may be below the planned one (by rounding), and above (whole steps)."""

DEVIATIONS = 64
"""How many scales of noise a sum is given room for. A number is further off once in e^2048 draws.
It then comes out wrong, which costs no privacy: reduction modulo 2^64 is post-processing."""


@dataclass(frozen=True, kw_only=True)
class Sharing:
    """Among how many sites the noise is shared, and how many of them may be curious.

    Attributes:
        sites: n, at least 2.
        curious: t, in [0, n - 1]. The more, the more noise there is in the sum.

    Raises:
        UsageError: At construction, for numbers out of range.

    Examples:
        >>> Sharing(sites=3, curious=1).excess
        1.224744871391589
    """

    sites: int
    curious: int

    def __post_init__(self) -> None:
        if self.sites < 2:
            raise UsageError(f"Expected at least 2 sites for a secure sum, got {self.sites}.")
        if not 0 <= self.curious < self.sites:
            raise UsageError(
                f"Expected from 0 to {self.sites - 1} curious sites among {self.sites}, got "
                f"{self.curious}."
            )

    @property
    def honest(self) -> int:
        """N - t: how many shares of the noise are enough."""
        return self.sites - self.curious

    @property
    def excess(self) -> float:
        """√(n / (n - t)): the noise of all shares over that of the pooled mechanism."""
        return math.sqrt(self.sites / self.honest)

    def share_of(self, law: NoiseLaw) -> Exact:
        """Return the law of one site's share.

        Args:
            law: The law that the pooled mechanism draws from.

        Returns:
            The exact discrete Gaussian of scale ⌈s / √(n - t)⌉.
        """
        square = math.ceil(law.scale) ** 2
        return Exact(math.isqrt(-(-square // self.honest) - 1) + 1)


def log_ratio_of_sums(scale: float, shares: int) -> float:
    """Bound how far the sum of discrete Gaussians is from the discrete Gaussian of its variance.

    Reference: Kairouz, Liu and Steinke (2021), arXiv:2102.06387.

    Args:
        scale: a, of each; a² is at least 1/2.
        shares: m, at least 1.

    Returns:
        τ: an upper bound on |log P(sum = k) - log P(Gaussian = k)| over all integers k. It is above
        0 for two shares or more, even where the bound is below the least float.
    """
    exponents = (2 * math.pi**2 * scale**2 * k / (k + 1) for k in range(1, shares))
    return 10 * sum(max(math.exp(-one), math.ulp(0.0)) for one in exponents)


def distance_of_sums(numbers: float, scale: float, shares: int) -> float:
    """Bound the total variation between sums of discrete Gaussians and discrete Gaussians.

    Args:
        numbers: How many sums, over all steps.
        scale: a, of each share.
        shares: m.
    """
    return numbers * math.expm1(log_ratio_of_sums(scale, shares))


@dataclass(frozen=True)
class InShares:
    """The law of noise that nobody draws as a whole, because sites draw shares of it.

    Attributes:
        scale: s, of all honest shares together.
    """

    scale: float

    @property
    def deviation(self) -> float:
        """√(s² - 1/12): the standard deviation of normal noise of the same privacy cost."""
        return math.sqrt(self.scale**2 - 1 / 12)

    def draw(self, n: int, words: Words) -> Never:
        """Refuse: a site that drew the whole noise, or less, would not be what was planned."""
        raise UsageError("This plan's noise is drawn in shares; give the site ``SharedNoise``.")


@dataclass(frozen=True, kw_only=True)
class SharedPlan:
    """The guarantee of releases whose noise is shared among sites.

    Attributes:
        sharing: The numbers of sites and of curious ones.
        guarantee: What holds for every patient against the server and any ``sharing.curious``
            other sites together. Its numbers are those of the honest sites' sum: the same grid,
            the pooled σ, and N of all sites' patients.
        draws: Whether sites draw units for each sum.
    """

    sharing: Sharing
    guarantee: Guarantee
    draws: ClassVar[bool] = False

    @cached_property
    def share(self) -> NoiseLaw:
        """The law of one site's noise, in steps of the grid."""
        grid = grid_of(self.guarantee.noise_multiplier, self.guarantee.clip_norm)
        return self.sharing.share_of(grid.law)

    @property
    def largest_sum(self) -> int:
        """A bound on the magnitude of the exact sum over all sites, from public numbers."""
        noise = self.sharing.sites * DEVIATIONS * math.ceil(self.share.scale)
        return self.guarantee.units * FINENESS + noise

    def check_share(self) -> None:
        """Refuse shares that are not the planned noise on the planned grid.

        Raises:
            UsageError: If the honest shares' noise is below σ, or far above.
        """
        said = self.guarantee
        due = said.noise_multiplier * said.sensitivity / said.grid
        drawn = math.sqrt(self.sharing.honest) * self.share.scale
        if not due * (1 - SLACK) <= drawn <= due * MOST_NOISE:
            raise UsageError(
                f"Expected shares that add up to noise of {due:g} grid steps, got {drawn:g}; make "
                "the plan by the generator's own plan_in_shares."
            )

    def against(self, curious: int) -> Guarantee:
        """Recompute the guarantee against the server and another number of sites.

        Against 0, it is that of all shares, which is in the sum that the server reads. Against
        n - 1, it is that of a site's share alone, which nobody may claim.

        Args:
            curious: How many sites pool what they know with the server, in [0, n - 1].

        Returns:
            The guarantee with the σ that is left, and its ε for both units.
        """
        left = replace(self.sharing, curious=curious).honest
        sigma = self.guarantee.noise_multiplier * math.sqrt(left / self.sharing.honest)
        return recomputed(replace(self.guarantee, noise_multiplier=sigma))


Plan = TypeVar("Plan", bound=SharedPlan)


class SharesNoise(Protocol):
    """What a generator has beside ``core.federation`` if sites can share its noise."""

    def plan_in_shares(
        self, public: PublicNumbers, budget: Budget, schedule: Schedule, sharing: Sharing
    ) -> SharedPlan:
        """Plan a fit over all sites' patients, whose noise the sites share.

        Args:
            public: The numbers of all sites' patients together.
            budget: The finite ε, δ and unit that are asked for.
            schedule: The rounds and steps.
            sharing: The numbers of sites and of curious ones.

        Returns:
            What every site charges, draws its noise by, and may claim.

        Raises:
            UsageError: If the budget cannot be honoured.
        """


def planned_in_shares(
    generator: FederatedGenerator,
    public: PublicNumbers,
    budget: Budget,
    schedule: Schedule,
    sharing: Sharing,
) -> SharedPlan:
    """Plan a fit by secure sums; see ``SharesNoise``.

    Raises:
        UsageError: If sites cannot share the generator's noise, or the budget cannot be honoured.
    """
    check_shares_noise(type(generator), schedule.design)
    return cast(SharesNoise, generator).plan_in_shares(public, budget, schedule, sharing)


def plan_shared_releases(
    public: PublicNumbers,
    budget: Budget,
    *,
    clip_norm: float,
    releases: int,
    sharing: Sharing,
) -> SharedPlan:
    """Calibrate noised means over all sites' patients, whose noise is drawn in shares.

    Args:
        public: The numbers of all sites' patients together. Every site plans from the same ones.
        budget: The finite ε, δ and unit that hold against the server and the curious sites.
        clip_norm: C, as in ``plan_releases``.
        releases: T, as there.
        sharing: Among whom the noise is shared.

    Returns:
        The plan. Its σ is that of ``plan_releases`` for the same numbers.

    Raises:
        UsageError: If no noise reaches the target, ε is infinite, or the sum could be too large.
    """
    refuse_infinite(budget.epsilon)
    pooled = plan_releases(
        public, budget, clip_norm=clip_norm, releases=releases, shares=sharing.sites
    )
    share = sharing.share_of(grid_of(pooled.noise_multiplier, clip_norm).law)
    apart = distance_of_sums(LONGEST * releases, share.scale, sharing.sites)
    return checked(SharedPlan(sharing=sharing, guarantee=with_distance(pooled, apart)))


def refuse_infinite(epsilon: float) -> None:
    """Refuse to share no noise.

    Raises:
        UsageError: For an infinite ε.
    """
    if math.isinf(epsilon):
        raise UsageError(
            "A secure sum shares noise among the sites, so it needs a finite epsilon; at inf, "
            "leave it out."
        )


def with_distance(pooled: Guarantee, apart: float) -> Guarantee:
    """Return a guarantee whose noise is further from its law by what sums of shares are."""
    return replace(pooled, distance=pooled.distance + apart)


def checked(plan: Plan) -> Plan:
    """Return the plan, if δ covers its distance and its sums fit into 64 bits.

    Raises:
        UsageError: If not.
    """
    said = plan.guarantee
    if said.epsilon > provable_epsilon(said):
        raise UsageError(
            f"Noise in {plan.sharing.sites} shares cannot be proven to be within epsilon = "
            f"{said.target_epsilon:g} at δ = {said.delta:g}; ask for a smaller epsilon."
        )
    if plan.largest_sum >= LARGEST:
        raise UsageError(
            f"The sum over {said.units:,} units could reach {plan.largest_sum:.3g}, and a secure "
            f"sum is exact below 2^63; ask for fewer patients, or for a larger epsilon."
        )
    return plan
