"""Private steps whose noise is drawn in shares: every site adds a part.

``mechanisms.shared_noise`` has the law of shares.
Every site rounds the clipped sum of its own drawn units to one grid, and adds a share of the noise,
of scale a. Of n sites t may be curious. The h = n - t honest shares together are noise of scale
a √h, up to the distance of ``shared_noise``. Of all sites' patients, each is drawn with the
probability q of the pooled fit, in secret, by its own site alone. It moves the rounded sum of that
site by S at most, and no other (``step.grid_for``). So the sum over honest sites is the pooled
private step with noise of σ, if the grid has

    γ = σ S / √(h a² - 1/12),

which follows from σ, C, d and the numbers of sites, so from public numbers. A share is no coarser
than the noise of a private step of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from benchmark.core.budget import Guarantee
from benchmark.core.errors import UsageError
from benchmark.core.mechanism import Grid
from benchmark.privacy.dpsgd.step import grid_for, grid_of, law_of
from benchmark.privacy.mechanisms.discrete import Layered
from benchmark.privacy.mechanisms.poisson_gaussian import plan_poisson_gaussian
from benchmark.privacy.mechanisms.shared_noise import (
    DEVIATIONS,
    InShares,
    SharedPlan,
    Sharing,
    checked,
    distance_of_sums,
    refuse_infinite,
    with_distance,
)


@dataclass(frozen=True, kw_only=True)
class SharedSteps(SharedPlan):
    """The guarantee of private steps whose noise is shared among sites.

    Attributes:
        numbers: d: how many numbers a step's sum has.
    """

    numbers: int
    draws: ClassVar[bool] = True

    @cached_property
    def share(self) -> Layered:
        """The law of one site's noise, in steps of the grid."""
        return law_of(self.guarantee.noise_multiplier, self.numbers)

    @property
    def largest_sum(self) -> int:
        """A bound on the magnitude of the exact sum over all sites, from public numbers."""
        one = math.ceil(self.guarantee.sensitivity / self.guarantee.grid)
        noise = DEVIATIONS * math.ceil(self.share.scale) + 1
        return self.guarantee.units * one + self.sharing.sites * noise


def plan_shared_steps(
    plain: Guarantee,
    *,
    epsilon: float,
    clip_norm: float,
    accountant: str,
    numbers: int,
    sharing: Sharing,
) -> SharedSteps:
    """Calibrate private steps over all sites' patients, whose noise is drawn in shares.

    Args:
        plain: The same fit without privacy, with the numbers of all sites' patients together.
        epsilon: The finite ε that holds against the server and the curious sites.
        clip_norm: C.
        accountant: ``prv``, ``rdp`` or ``pld``.
        numbers: d: how many numbers get noise in a step.
        sharing: Among whom the noise is shared.

    Returns:
        The plan. Its σ is that of the pooled fit with the same numbers.

    Raises:
        UsageError: If no noise reaches the target, ε is infinite, or the sum could be too large.
    """
    refuse_infinite(epsilon)
    pooled = plan_poisson_gaussian(
        plain,
        epsilon=epsilon,
        clip_norm=clip_norm,
        accountant=accountant,
        numbers=numbers * sharing.sites,  # each share may be off by its own rounding
        grid_of=lambda sigma, norm, _: shared_grid_of(sigma, norm, numbers, sharing),
    )
    share = law_of(pooled.noise_multiplier, numbers)
    apart = distance_of_sums(numbers * pooled.steps, share.scale, sharing.sites)
    said = with_distance(pooled, apart)
    return checked(SharedSteps(sharing=sharing, guarantee=said, numbers=numbers))


def shared_grid_of(
    noise_multiplier: float, clip_norm: float, numbers: int, sharing: Sharing
) -> Grid:
    """Make the grid that is common to all sites, and the law of the honest sites' noise.

    Args:
        noise_multiplier: σ of the honest sites' sum, above 0.
        clip_norm: C.
        numbers: d.
        sharing: Among whom the noise is shared.
    """
    share = law_of(noise_multiplier, numbers)
    together = InShares(share.scale * math.sqrt(sharing.honest))
    return grid_for(together, noise_multiplier, clip_norm, numbers)


def planned_grid(guarantee: Guarantee, numbers: int) -> Grid:
    """Return the grid that a guarantee was planned with.

    Args:
        guarantee: Of a site's own noise, or of noise in shares. Both name the grid.
        numbers: d.

    Returns:
        The grid. The law of noise in shares refuses to draw: ``SharedNoise`` draws a share.

    Raises:
        UsageError: If the guarantee has no grid of a private step.
    """
    own = grid_of(guarantee.noise_multiplier, guarantee.clip_norm, numbers)
    if (own.spacing, own.sensitivity) == (guarantee.grid, guarantee.sensitivity):
        return own
    if not (guarantee.grid > 0 and guarantee.clip_norm <= guarantee.sensitivity < math.inf):
        raise UsageError(
            f"Expected a plan with a grid of private steps, got a spacing of {guarantee.grid:g}; "
            "plan the fit anew."
        )
    scale = guarantee.noise_multiplier * guarantee.sensitivity / guarantee.grid
    return Grid(spacing=guarantee.grid, sensitivity=guarantee.sensitivity, law=InShares(scale))
