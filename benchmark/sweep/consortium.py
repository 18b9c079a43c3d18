"""The ways in which sites could add up a planned fit: their noise, and who could see what.

Everything follows from public numbers. ``privacy.accounting.coalitions`` has the formulae, and
``feasibility`` has the ratio of noise to signal. The noise of a way is that of one step's sum over
that of a pooled fit, and the ratio grows by the same factor.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.core.budget import Budget, Guarantee, PublicNumbers, Unit, epsilon_text
from benchmark.core.errors import UsageError
from benchmark.core.federation import FederatedGenerator, Schedule
from benchmark.core.registry import generators
from benchmark.privacy.accounting.coalitions import (
    Seen,
    has_sums,
    local_noise,
    local_view,
    pooled_view,
    secure_noise,
    secure_view,
)
from benchmark.results.observers import LOCAL, Observed, secure
from benchmark.sweep.feasibility import (
    HOPELESS,
    WORKABLE,
    Preparing,
    Prospect,
    public_numbers,
    verdict,
)
from benchmark.sweep.request import Request, make, plug_in_of
from benchmark.sweep.site_plans import planned_site

POOLED = "pooled"
SECURE = secure(1)
BARELY_SECURE = secure(0)
"""Sized for no curious site, so that a site that subtracts its own noise sees more than asked."""

NOT_SHARED = "planned only, as no design of it shares its noise"

COLLUDERS = {SECURE: 1, BARELY_SECURE: 0}


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way of adding up.

    Attributes:
        noise: Of the sum, over that of a pooled fit; ``None`` where nothing is added up.
        noise_to_signal: r; ``None`` if it is unknown.
        verdict: One word for r.
        rounds: How often sites and server exchange messages; 0 for none.
        seen: The ε of each observer.
    """

    noise: float | None
    noise_to_signal: float | None
    verdict: str
    rounds: int
    seen: Seen


@dataclass(frozen=True, kw_only=True)
class Consortium:
    """The ways of one generator at one ε.

    Attributes:
        generator: Its name.
        unit: What is protected.
        epsilon: The ε asked for.
        delta: δ.
        ways: By name; secure sums are missing where a fit adds up nothing.
        reason: Why there is no plan.
        how: How secure sums are asked for, in words.
    """

    generator: str
    unit: Unit
    epsilon: float
    delta: float
    ways: dict[str, Way]
    reason: str = ""
    how: str = NOT_SHARED

    @property
    def observed(self) -> list[Observed]:
        """What the observers of each way could see."""
        return [
            Observed(
                generator=self.generator,
                unit=self.unit,
                epsilon=self.epsilon,
                delta=self.delta,
                way=name,
                seen=way.seen,
            )
            for name, way in self.ways.items()
        ]


def consortia(
    request: Request,
    found: Sequence[Prospect],
    sizes: Sequence[int],
    cache: Path,
    preparing: Preparing,
) -> list[Consortium]:
    """Plan the ways of every private generator that sites can train together.

    Args:
        request: As for a sweep.
        found: The pooled plans that ``feasibility.prospects`` made of the request.
        sizes: The public number of patients of each site.
        cache: The folder in which plans are remembered.
        preparing: Called with how many plans are made.
    """
    asked = [
        (one, one.plan, generator)
        for one in found
        if one.plan is not None and (generator := _together(request, one, one.plan)) is not None
    ]
    made = []
    for done, (one, pooled, generator) in enumerate(asked):
        preparing("Calibrating noise at the sites", done, len(asked))
        made.append(_consortium(request, one, pooled, generator, sizes, cache))
    return made


def recommendations(made: Sequence[Consortium]) -> list[str]:
    """Recommend a generator and a way in one sentence for each ε, by noise against signal alone.

    Of the ways that hold the target against the server and one site, local noise is taken where it
    is workable, and secure sums where they have less noise.

    Args:
        made: The planned ways.
    """
    return [
        _recommendation(epsilon, [one for one in made if one.epsilon == epsilon])
        for epsilon in dict.fromkeys(one.epsilon for one in made if one.ways)
    ]


def _recommendation(epsilon: float, made: Sequence[Consortium]) -> str:
    at = f"at ε = {epsilon_text(epsilon)}"
    known = [
        (float(f"{way.noise_to_signal:.3g}"), one.generator, name, one)
        for one in made
        for name in (LOCAL, SECURE)
        if (way := one.ways.get(name)) is not None and way.noise_to_signal is not None
    ]
    if not known:
        return f"No recommendation {at}: no noise against signal is known."
    ratio, generator, name, one = min(known, key=lambda row: row[:3])
    local = one.ways[LOCAL]
    if one.ways[name].verdict == HOPELESS:
        return (
            f"No generator is recommended {at}: across these sites all are hopeless, {generator} "
            f"the least so (noise / signal {ratio:.2g}, {name}); `simulator` needs no patient."
        )
    if local.verdict == WORKABLE:
        return (
            f"Recommended {at}: {generator} with local noise (noise / signal "
            f"{local.noise_to_signal:.2g}, {local.verdict}), which needs no secure sums."
        )
    if name == LOCAL:
        return (
            f"Recommended {at}: {generator} with local noise (noise / signal {ratio:.2g}, "
            f"{local.verdict}); secure sums for one curious site have no less."
        )
    return (
        f"Recommended {at}: {generator} with secure sums sized for one curious site (noise / "
        f"signal {ratio:.2g}, {one.ways[name].verdict}), which is {one.how}; with local noise it "
        f"is {local.noise_to_signal:.2g} ({local.verdict})."
    )


def _together(request: Request, one: Prospect, pooled: Guarantee) -> FederatedGenerator | None:
    """The generator of a plan with a finite ε, if sites can train it together."""
    if not 0 < pooled.epsilon < math.inf:
        return None
    made = make(generators, plug_in_of(generators, one.generator, request))
    return made if isinstance(made, FederatedGenerator) else None


def _consortium(
    request: Request,
    one: Prospect,
    pooled: Guarantee,
    generator: FederatedGenerator,
    sizes: Sequence[int],
    cache: Path,
) -> Consortium:
    budget = Budget(epsilon=one.epsilon, delta=pooled.delta, unit=one.unit)
    row = Consortium(
        generator=one.generator,
        unit=one.unit,
        epsilon=one.epsilon,
        delta=pooled.delta,
        ways={},
        how=_how(generator),
    )
    try:
        schedule = generator.schedule(design=next(iter(generator.designs)))
        sites = _planned_sites(generator, schedule, request, budget, sizes, cache)
        adds_sums = schedule.design in generator.summing_designs
        return replace(row, ways=_ways(one, pooled, sites, schedule, adds_sums=adds_sums))
    except UsageError as error:
        return replace(row, reason=str(error))


def _how(generator: FederatedGenerator) -> str:
    """How a run has secure sums, if some design of the generator shares its noise."""
    first = next(iter(generator.designs))
    for design in generator.designs:
        if generator.shares_noise(design):
            return "`--secure-sum t=1`" + ("" if design == first else f" with `--design {design}`")
    return NOT_SHARED


def _planned_sites(
    generator: FederatedGenerator,
    schedule: Schedule,
    request: Request,
    budget: Budget,
    sizes: Sequence[int],
    cache: Path,
) -> list[Guarantee]:
    """Every site's plan; sites of one size have the same."""
    whole = sum(sizes)

    def plan(size: int) -> Guarantee:
        public: PublicNumbers = public_numbers(request, size)
        return planned_site(generator, schedule, public, size / whole, budget, cache)

    of_size = {size: plan(size) for size in dict.fromkeys(sizes)}
    return [of_size[size] for size in sizes]


def _ways(
    one: Prospect,
    pooled: Guarantee,
    sites: Sequence[Guarantee],
    schedule: Schedule,
    *,
    adds_sums: bool,
) -> dict[str, Way]:
    def way(noise: float | None, rounds: int, seen: Seen) -> Way:
        signal = one.noise_to_signal
        ratio = None if noise is None or signal is None else noise * signal
        said = verdict(pooled, ratio)
        return Way(noise=noise, noise_to_signal=ratio, verdict=said, rounds=rounds, seen=seen)

    seen = local_view(sites, only_sums=adds_sums)
    if not has_sums(pooled):
        return {
            LOCAL: way(None, schedule.rounds, seen),
            POOLED: way(None, 0, pooled_view(pooled)),
        }
    many = len(sites)
    return {
        LOCAL: way(local_noise(sites, pooled), schedule.rounds, seen),
        **{
            name: way(secure_noise(many, t), pooled.steps, secure_view(pooled, many, t))
            for name, t in COLLUDERS.items()
        },
        POOLED: way(1.0, 0, pooled_view(pooled)),
    }
