"""The noise and signal of a planned fit, from public numbers alone, without any data.

A private fit learns d numbers through noise: a critic's weights, or the vectors that are released.
In each of T steps every one of N units enters with probability q and contributes a vector of norm C
at most, and N(0, σ²C²) is added to each number. Over the fit the noise grows to a length of σ C √(d
T). The sum of all units is at most q N C T long, if all of them agree in every step, at the full
clip norm. *Noise against signal* is the first over the second:

    r = σ √d / (q N √T)

One release of d numbers has q = T = 1. T releases of different vectors, d numbers together, have a
noise of σ C √d and a signal of N C √T, which is the same r.

r is a bound on the best case, as units never agree so well, and it proves nothing: a fit may use
only a few of its d directions, or learn nothing at an r of 0. Its interpretation, and the two
limits below, come from measured cases (docs/privacy.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.core.budget import Budget, Guarantee, PublicNumbers, Unit
from benchmark.core.errors import BenchError, PlugInError
from benchmark.core.generator import Generator
from benchmark.core.protocol import protocol_recipe
from benchmark.core.registry import generators
from benchmark.sweep.plan_cache import planned
from benchmark.sweep.request import Request, check_settings, delta_of, make, plug_in_of, protocol_of

WORKABLE_UP_TO = 0.1
"""About the largest r at which a fit learnt from phantoms. At 0.29, using no data was as good."""

HOPELESS_ABOVE = 2.5
"""At r = 3 a network's features were worth less than no data. At 1.9 a few votes were worth
much."""

WORKABLE, DOUBTFUL, HOPELESS = "workable", "doubtful", "hopeless"
FREE, NOT_PRIVATE, UNKNOWN, FAILED = "free: ε = 0", "not private", "unknown", "failed"

Preparing = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Prospect:
    """The plan of one generator at one ε, with a verdict.

    Attributes:
        generator: Its name.
        unit: What is protected.
        epsilon: The ε asked for; 0 for a generator that reads no data.
        plan: The guarantee of the fit; ``None`` where there is no plan.
        noise_to_signal: r; ``None`` without noise, or where the number of noised numbers is
            unknown.
        verdict: One word for r.
        reason: Why there is no plan.
    """

    generator: str
    unit: Unit
    epsilon: float
    plan: Guarantee | None = None
    noise_to_signal: float | None = None
    verdict: str = FAILED
    reason: str = ""


def with_preset(preset: str) -> list[str]:
    """Return the registered generators that have a preset, or that cannot be imported."""
    return [name for name in generators.names() if not _lacks(name, preset)]


def prospects(request: Request, patients: int, cache: Path, preparing: Preparing) -> list[Prospect]:
    """Plan every generator of a request for a number of patients.

    Args:
        request: As for a sweep. Segmenters and bookends are those that it names; seeds are ignored.
        patients: The public number of patients.
        cache: The folder in which plans are remembered.
        preparing: Called with how many plans are made.

    Raises:
        UsageError: For a name, a setting or a δ that is not allowed.
    """
    check_settings(request)
    public = public_numbers(request, patients)
    delta = delta_of(request, public.units(request.unit))
    asked = [
        (name, Budget(epsilon=epsilon, delta=delta, unit=request.unit))
        for name in request.generators
        for epsilon in _levels(name, request.epsilons)
    ]
    found = []
    for done, (name, budget) in enumerate(asked):
        preparing("Calibrating noise", done, len(asked))
        found.append(_prospect(request, name, public, budget, cache))
    return found


def noise_to_signal(plan: Guarantee, public: PublicNumbers, numbers: int | None) -> float | None:
    """Compute noise against signal, r = σ √d / (q N √T).

    Args:
        plan: The guarantee of the fit.
        public: The declared numbers of the data.
        numbers: d; ``None`` if it is unknown.

    Returns:
        r; ``None`` for a plan without noise, or an unknown d.
    """
    if not (numbers and plan.steps and 0 < plan.noise_multiplier < math.inf):
        return None
    entering = plan.sampling_rate * public.units(plan.unit)
    return plan.noise_multiplier * math.sqrt(numbers / plan.steps) / entering


def verdict(plan: Guarantee, ratio: float | None) -> str:
    """Describe a plan in a word, by its ε and by the limits on noise against signal.

    Args:
        plan: The guarantee of the fit.
        ratio: r; ``None`` if it is unknown.
    """
    if plan.epsilon == 0:
        return FREE
    if math.isinf(plan.epsilon):
        return NOT_PRIVATE
    if ratio is None:
        return UNKNOWN
    if ratio > HOPELESS_ABOVE:
        return HOPELESS
    return WORKABLE if ratio <= WORKABLE_UP_TO else DOUBTFUL


def _prospect(
    request: Request, name: str, public: PublicNumbers, budget: Budget, cache: Path
) -> Prospect:
    row = Prospect(generator=name, unit=budget.unit, epsilon=budget.epsilon)
    try:
        plan, numbers = _planned(request, name, public, budget, cache)
    except Exception as error:  # a plug-in may raise anything
        said = str(error) if isinstance(error, BenchError) else f"{type(error).__name__}: {error}"
        return replace(row, reason=said)
    ratio = noise_to_signal(plan, public, numbers)
    return replace(row, plan=plan, noise_to_signal=ratio, verdict=verdict(plan, ratio))


def _planned(
    request: Request, name: str, public: PublicNumbers, budget: Budget, cache: Path
) -> tuple[Guarantee, int | None]:
    """The plan that the generator can make, and on how many numbers its noise lies."""
    plug_in = plug_in_of(generators, name, request)
    generator: Generator = make(generators, plug_in)
    if not generator.is_private:
        budget = replace(budget, epsilon=math.inf)
    plan = planned(plug_in, generator, public, budget, cache)
    return plan, generator.noised_numbers(public)


def public_numbers(request: Request, patients: int) -> PublicNumbers:
    """Return what a request and a number of patients declare.

    Args:
        request: As for a sweep.
        patients: The public number of patients.
    """
    recipe = protocol_recipe(protocol_of(request).as_dict())
    return PublicNumbers(
        patients=patients, patches_per_patient=recipe.per_patient, patch_size=recipe.size
    )


def _levels(name: str, epsilons: Sequence[float]) -> list[float]:
    """Every ε once; 0 alone for a generator that reads no data."""
    try:
        needs_data = generators.get(name).needs_data
    except PlugInError:
        needs_data = True
    return list(dict.fromkeys(epsilons)) if needs_data else [0.0]


def _lacks(name: str, preset: str) -> bool:
    try:
        return preset not in generators.get(name).presets
    except PlugInError:
        return False
