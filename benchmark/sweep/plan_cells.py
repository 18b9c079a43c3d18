"""The cells of a sweep, derived from what a user asks for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmark.audit.slots import public_with_canaries
from benchmark.core.budget import Guarantee
from benchmark.core.federation import worst
from benchmark.core.generator import Generator
from benchmark.core.registry import class_of, generators, registry_of, segmenters
from benchmark.core.segmenter import FreeSegmenter, PrivateSegmenter
from benchmark.data.patching import public_numbers
from benchmark.results.bookends import FREE, LOWER, METHODS, UPPER
from benchmark.results.spec import RunSpec
from benchmark.results.spec_parts import PlugIn, TunedBy
from benchmark.results.tuned_settings import Found, Wanted, nearest
from benchmark.sweep.inputs import Inputs
from benchmark.sweep.judging.own_patients import said_of
from benchmark.sweep.plan_cache import planned
from benchmark.sweep.request import (
    UNUSABLE,
    Request,
    delta_of,
    free_method,
    make,
    names_of,
    plug_in_of,
    protocol_of,
)
from benchmark.sweep.site_plans import site_plans
from benchmark.sweep.sites import Federation, assignment_of, inputs_of, split
from benchmark.sweep.training_patches import recipe_of
from federation.partition import Partition


def cells(request: Request, inputs: Inputs, fid_weights: str) -> list[RunSpec]:
    """Return the cells of a sweep, the bookends first, because the others are compared with them.

    A method has no randomness, so it is one cell whatever the seeds.

    Args:
        request: What the user asks for.
        inputs: The sweep's data.
        fid_weights: Digest of the Inception weights; empty where they are missing.

    Raises:
        UsageError: For a δ that is too large for this number of units.
    """
    first = [
        spec
        for segmenter in request.segmenters
        for spec in _cells_of(request, inputs, fid_weights, segmenter, request.first_seed)
    ]
    made = [
        spec if spec.generator.name in METHODS else replace(spec, seed=seed)
        for seed in range(request.first_seed, request.first_seed + request.seeds)
        for spec in first
    ]
    once = {spec.key: spec for spec in made}
    ends = (UPPER, *FREE)
    return sorted(once.values(), key=lambda spec: _rank(spec.generator.name, ends))


def _rank(name: str, ends: Sequence[str]) -> int:
    return ends.index(name) if name in ends else len(ends)


def guarantee_of(spec: RunSpec, inputs: Inputs, cache: Path) -> Guarantee:
    """Plan a cell's fit from public numbers alone; the plan is remembered in the cache folder.

    Args:
        spec: The cell.
        inputs: The sweep's data, of which only the counts are used.
        cache: The cache folder.

    Returns:
        The guarantee; across sites, the worst.

    Raises:
        UsageError: If the generator cannot honour the budget or the patch size.
    """
    if spec.is_federated:
        return worst(list(site_plans(spec, inputs, cache).values()))
    fitted: Generator | PrivateSegmenter | FreeSegmenter = make(spec.registry, spec.generator)
    public = public_numbers(inputs_of(spec, inputs).train, recipe_of(spec))
    public = public_with_canaries(spec, public)
    return planned(spec.generator, fitted, public, spec.budget, cache)


def tuned_for(request: Request, generator: str, epsilon: float) -> Found | None:
    """Return the tuned settings for a cell.

    Args:
        request: What the user asks for, with the folders of tuned settings.
        generator: The generator's name.
        epsilon: The cell's target.

    Returns:
        The settings; ``None`` if none are to be used or there are none.

    Raises:
        UsageError: If they are of another version of the generator, or are not its settings.
    """
    found = nearest(request.tuned, wanted(request, generator), epsilon)
    return None if found is None else found.checked()


def wanted(request: Request, generator: str) -> Wanted:
    """Return the purpose for which a request can use tuned settings of a generator."""
    return Wanted(
        generator=generator,
        unit=request.unit,
        preset=request.preset,
        federated=request.federation.asked,
        protocol=request.protocol,
    )


def _cells_of(
    request: Request, inputs: Inputs, fid_weights: str, segmenter: str, seed: int
) -> Iterator[RunSpec]:
    protocol = protocol_of(request)
    base = RunSpec(
        generator=PlugIn(name="", version=0, settings={}),
        segmenter=plug_in_of(segmenters, segmenter, request),
        protocol=protocol.as_dict(),
        epsilon=math.inf,
        delta=0.5,
        unit=request.unit,
        data=inputs.data,
        test_data=inputs.test_data,
        fid_weights=fid_weights,
        noise=request.noise,
        seed=seed,
        own=said_of(request.own_patients),
    )
    planted = replace(base, canaries=request.canaries)
    public = public_with_canaries(planted, public_numbers(inputs.train, recipe_of(base)))
    units = public.units(request.unit)
    delta = delta_of(request, units)
    for name in names_of(request):
        registry = registry_of(name)
        plug_in = free_method(name) if name in METHODS else plug_in_of(registry, name, request)
        scored = inputs.validation_data if name in FREE else ""
        for epsilon in _levels(class_of(registry, name), request.epsilons):
            start = planted if _can_be_audited(class_of(registry, name), epsilon) else base
            pooled = replace(start, generator=plug_in, epsilon=epsilon, delta=delta)
            pooled = replace(pooled, validation=scored)
            if registry is segmenters:
                if name in METHODS:
                    yield replace(_direct(pooled), seed=0)
                elif not request.federation.asked:
                    yield _direct(pooled)
                continue
            pooled = _with_tuned(pooled, request)
            usable = plug_in.version != UNUSABLE
            if request.federation.asked and usable and name not in (UPPER, LOWER):
                yield from _across_sites(pooled, request.federation, inputs)
            else:
                yield pooled


def _can_be_audited(kind: Any, epsilon: float) -> bool:
    """Whether a fit claims something that canaries could refute."""
    return kind is not None and kind.is_private and kind.needs_data and math.isfinite(epsilon)


def _direct(pooled: RunSpec) -> RunSpec:
    """The segmenter itself; no patch is synthetic, so FID's weights decide nothing."""
    return replace(pooled, segmenter=pooled.generator, fid_weights="")


def _with_tuned(spec: RunSpec, request: Request) -> RunSpec:
    """The cell with what was tuned for it; what the user set himself stays."""
    found = tuned_for(request, spec.generator.name, spec.epsilon)
    if found is None:
        return spec
    own = request.settings.get(found.generator, {})
    news = {name: value for name, value in found.settings.items() if name not in own}
    kind = generators.get(found.generator)
    settings = kind.Params(**{**spec.generator.settings, **news}).as_dict()
    how = TunedBy(
        epsilon=found.epsilon,
        study=found.provenance.study,
        on=found.provenance.on,
        selection=found.provenance.selection,
    )
    return replace(spec, generator=replace(spec.generator, settings=settings), tuned=how)


def _across_sites(pooled: RunSpec, how: Federation, inputs: Inputs) -> Iterator[RunSpec]:
    """The federated cell, and what it is compared with."""
    kind = generators.get(pooled.generator.name)
    partition = Partition(text=how.partition, sites=how.sites)
    across = how.of(kind, pooled.generator.settings)
    across = replace(across, assignment=assignment_of(partition, inputs))
    yield replace(pooled, sites=how.sites, federation=across)
    if how.baselines:
        yield pooled
        for site, mine in split(partition, inputs).items():
            yield replace(pooled, federation=replace(how.alone(site), assignment=mine.data))


def _levels(
    kind: type[Generator | PrivateSegmenter | FreeSegmenter] | None, epsilons: Sequence[float]
) -> list[float]:
    """At which ε a generator runs: a private one, or an unusable one, at all; another once."""
    if kind is None or (kind.is_private and kind.needs_data):
        return list(dict.fromkeys(epsilons))
    return [math.inf] if kind.needs_data else [0.0]
