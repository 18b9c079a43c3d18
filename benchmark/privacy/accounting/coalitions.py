"""What a federated fit shows to whom: the ε of each observer, and the noise of each way of adding.

Site k adds up what its own patients contribute, each clipped to norm C, and draws noise. A server
forms the sum over the n sites. Let σ be the noise multiplier that keeps the fit within the target ε
if all patients are at one place (``pooled``). There are two ways without such a place:

* **local noise**: site k adds noise of σ_k, for which its own reply is within the target. The
  server sees each reply.
* **secure sums** sized for t colluders: site k adds noise of variance σ² / (n - t), whatever its
  size, and the server sees the sum of the replies alone. So the noise of the sum is √(n / (n - t))
  times that of a pooled fit. With t = n - 1 it is that of local noise.

Everybody follows the protocol, and looks at all that they get. Sites that collude know their own
patients, draws and noise, and subtract them. What is left is the sum over the other sites, as every
share of noise is drawn apart. With c colluders, the noise multiplier that is left is

    secure sums:  σ √((n - c) / (n - t)),
    local noise:  √(Σ_k (a_k σ_k s_k)²) / (a_j s_j)  over the sites k that do not collude.

The latter is for the patients of site j. Replies are divided by q_k N_k and weighted by N_k / N, so
a_k = 1 / (q_k N). s_k is the sensitivity. The victim's site draws
its Poisson batches in secret from all others. So q and T stay as they are, and the accountant of
the fit bounds the ε of this noise: at q = 1 by the closed form of the Gaussian mechanism (Balle and
Wang 2018, arXiv:1805.06530, theorem 8), else by that of the subsampled one. Shares of noise that
add up are distributed noise generation (Dwork et al. 2006, doi 10.1007/11761679_29).

Every number is an upper bound. An observer who sees less than another has at most the other's ε.
Under local noise, all but the server see less only where the server uses nothing but the sum of
plain noised sums, added exactly. Averaged critics are no such sums, so nothing less is claimed
there. Noise that is drawn on a grid is at most (σ / σ')⁴ times as far from its law at a smaller σ'
(``mechanisms.discrete``). Where the reserved share of δ does not cover that, ε is infinite.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.core.budget import ROUNDING_SHARE, Guarantee
from benchmark.core.errors import UsageError
from benchmark.privacy.accounting.subsampled_gaussian import account

_DOWN = 1 - 1e-12
"""Rounds a noise multiplier down, by more than its float arithmetic can be wrong."""

_LARGEST = 700.0
"""An ε whose exponential is a float."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The ε that each observer of a fit faces the patients of the worst-off site with.

    Attributes:
        outsider: Who sees only what is released.
        one_site: One site, which also knows its own patients, draws and noise.
        server: Who forms the sum.
        server_and_site: The server together with one site.
        all_others: The server together with all sites but one, against the last one's patients.
    """

    outsider: float
    one_site: float
    server: float
    server_and_site: float
    all_others: float


def pooled_view(pooled: Guarantee) -> Seen:
    """Return what is seen if all patients are at one place, which itself sees everything."""
    target, all_data = pooled.epsilon, math.inf
    return Seen(
        outsider=target,
        one_site=target,
        server=all_data,
        server_and_site=all_data,
        all_others=all_data,
    )


def secure_view(pooled: Guarantee, sites: int, colluders: int) -> Seen:
    """Return what is seen of secure sums.

    The target holds against the server together with ``colluders`` sites. Against more sites, ε is
    larger.

    Args:
        pooled: The guarantee of the fit with all patients at one place.
        sites: n, at least 2.
        colluders: t, the curious sites that the noise is sized for; from 0 to n - 1.

    Raises:
        UsageError: For another number of sites or colluders, or a fit that adds no Gaussian noise.
    """
    _check(sites, colluders)
    if not has_sums(pooled):
        raise UsageError(
            f"Secure sums need Gaussian noise, and this fit has none ({pooled.accountant})."
        )
    without = [
        pooled.epsilon if c == colluders else _at(pooled, secure_noise(sites, colluders, c))
        for c in (0, 1, colluders, sites - 1)
    ]
    outsider, one, target, all_others = without
    one = min(one, target, all_others) if colluders >= 1 else min(one, all_others)
    outsider = min(outsider, one, target)
    return Seen(
        outsider=outsider,
        one_site=one,
        server=outsider,
        server_and_site=one,
        all_others=max(all_others, one),
    )


def local_view(sites: Sequence[Guarantee], *, only_sums: bool) -> Seen:
    """Return what is seen if each site noises its own reply.

    Args:
        sites: The guarantee of each site; at least 2.
        only_sums: Whether all that the server makes of the replies is a function of their weighted
            sum, and a reply is a noised sum over its public divisor. Otherwise an outsider and a
            site have the bound of the server.

    Raises:
        UsageError: For fewer than two sites.
    """
    _check(len(sites), 0)
    target = max(one.epsilon for one in sites)
    outsider = one_site = target
    if only_sums and all(map(has_sums, sites)):
        outsider = min(target, _in_sum(sites, 0))
        one_site = min(target, _in_sum(sites, 1))
    return Seen(
        outsider=min(outsider, one_site),
        one_site=one_site,
        server=target,
        server_and_site=target,
        all_others=target,
    )


def secure_noise(sites: int, colluders: int, left_out: int = 0) -> float:
    """Return the noise of a secure sum over that of a pooled fit, √((n - c) / (n - t)).

    Args:
        sites: n.
        colluders: t, the curious sites that the noise is sized for.
        left_out: c, the sites whose noise is subtracted.

    Examples:
        >>> round(secure_noise(3, 1), 2), round(secure_noise(3, 0, 1), 2)
        (1.22, 0.82)
    """
    return math.sqrt((sites - left_out) / (sites - colluders))


def local_noise(sites: Sequence[Guarantee], pooled: Guarantee) -> float:
    """Return the noise of a sum of noised replies over that of a pooled fit.

    Args:
        sites: The guarantee of each site.
        pooled: The guarantee of the fit with all patients at one place.
    """
    whole = sum(one.units for one in sites)
    mean = math.hypot(*(_deviation(one, whole) for one in sites))
    return mean / _deviation(pooled, pooled.units)


def has_sums(fit: Guarantee) -> bool:
    """Tell whether a fit has a finite ε by Gaussian noise on sums."""
    noised = 0 < fit.noise_multiplier < math.inf and 0 < fit.epsilon < math.inf
    return noised and not fit.is_pure and fit.steps > 0


def _deviation(site: Guarantee, whole: int) -> float:
    """a_k σ_k s_k: a site's part of the noise on the weighted mean."""
    return _weight(site, whole) * site.noise_multiplier


def _weight(site: Guarantee, whole: int) -> float:
    """a_k s_k: the most that one unit of the site moves the weighted mean."""
    enlarged = site.sensitivity if math.isfinite(site.sensitivity) else site.clip_norm
    return enlarged / (site.sampling_rate * whole)


def _in_sum(sites: Sequence[Guarantee], colluders: int) -> float:
    """ε of the worst-off site in the weighted sum, without the noise of none or one of the others.

    The colluder is the other site with the largest noise. Of the sites that differ in noise alone,
    the one with the least counts.
    """
    whole = sum(one.units for one in sites)
    deviations = [_deviation(one, whole) for one in sites]
    first, second = sorted(range(len(sites)), key=lambda k: -deviations[k])[:2]
    without = {
        gone: math.hypot(*(noise for k, noise in enumerate(deviations) if k != gone))
        for gone in (None, first, second)
    }
    least: dict[tuple[object, ...], tuple[float, Guarantee]] = {}
    for number, site in enumerate(sites):
        gone = (second if number == first else first) if colluders else None
        noise = without[gone] / _weight(site, whole)
        kind = site.sampling_rate, site.steps, site.accounted_delta, site.accountant, site.distance
        if kind not in least or noise < least[kind][0]:
            least[kind] = noise, site
    return max(_at(site, noise / site.noise_multiplier) for noise, site in least.values())


def _at(fit: Guarantee, share: float) -> float:
    """ε of a fit with a share of its noise; infinite where the noise's law cannot be proven."""
    spent = account(
        noise_multiplier=fit.noise_multiplier * share * _DOWN,
        sampling_rate=fit.sampling_rate,
        steps=fit.steps,
        delta=fit.accounted_delta,
        accountant=fit.accountant,
    ).epsilon
    distance = fit.distance * max(1.0, share**-4)
    reserved = ROUNDING_SHARE * fit.delta
    if distance and (spent > _LARGEST or (1 + math.exp(spent)) * distance > reserved):
        return math.inf
    return spent


def _check(sites: int, colluders: int) -> None:
    if sites < 2:
        raise UsageError(f"Expected at least 2 sites, got {sites}.")
    if not 0 <= colluders < sites:
        raise UsageError(f"Expected 0 to {sites - 1} colluders of {sites} sites, got {colluders}.")
