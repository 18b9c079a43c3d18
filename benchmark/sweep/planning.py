"""From what a user asks for to the cells of a sweep."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmark.core.budget import Guarantee, Unit
from benchmark.core.errors import PlugInError, UsageError
from benchmark.core.federation import federated
from benchmark.core.generator import Generator
from benchmark.core.registry import Registry, generators, segmenters, unknown
from benchmark.core.segmenter import PrivateSegmenter
from benchmark.core.settings import Settings
from benchmark.data.patching import public_numbers
from benchmark.privacy.units import check_delta, default_delta
from benchmark.sweep.cell import recipe_of
from benchmark.sweep.inputs import Inputs
from benchmark.sweep.plans import planned
from benchmark.sweep.presets import PROTOCOLS
from benchmark.sweep.sites import Federation, inputs_of, is_federated, site_plans, split, worst
from benchmark.sweep.spec import PlugIn, RunSpec
from benchmark.sweep.tuned import Found, Wanted, nearest
from federation.partition import Partition

UPPER, LOWER = "real", "simulator"
UNUSABLE = 0
"""The version of a plug-in that cannot be imported; its cells fail, and no others."""

PROTOCOL = "protocol"


@dataclass(frozen=True, kw_only=True)
class Request:
    """A sweep as a user asks for it.

    Attributes:
        generators: Names of generators, and of private segmenters to be fitted on patients
            themselves.
        epsilons: Targets, each above 0 or inf.
        unit: What is protected.
        delta: δ; ``None`` for the default at the number of units.
        segmenters: Names of segmenters.
        preset: The name of the settings to start from.
        settings: Texts by setting, by plug-in (or ``protocol``), that override the preset.
        seeds: How many seeds.
        first_seed: The first of them.
        bookends: Whether ``real`` and ``simulator`` run too.
        noise: ``seeded`` or ``system``.
        federation: Across which sites, and how.
        tuned: Folders of tuned settings, the first before the others; empty to use none.
    """

    generators: Sequence[str]
    epsilons: Sequence[float]
    unit: Unit = "patch"
    delta: float | None = None
    segmenters: Sequence[str] = ("unet",)
    preset: str = "quick"
    settings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    seeds: int = 1
    first_seed: int = 0
    bookends: bool = True
    noise: str = "seeded"
    federation: Federation = field(default_factory=Federation)
    tuned: Sequence[Path] = ()


def check(request: Request) -> None:
    """Refuses what cannot be meant, before any data are looked at.

    Raises:
        UsageError: With one sentence.
    """
    check_settings(request)
    if request.federation.asked:
        _check_federation(request)
    usable = {name: _class(registry_of(name), name) for name in request.generators}
    plain = [name for name, kind in usable.items() if kind and not kind.is_private]
    if len(plain) == len(request.generators) and math.inf not in request.epsilons:
        raise UsageError(
            f"{', '.join(plain)} is not private, so it cannot run at a finite epsilon; "
            "ask for --epsilon inf, or for a private generator beside it."
        )


def check_settings(request: Request) -> None:
    """Refuses a preset, a plug-in or a setting that there is not.

    Raises:
        UsageError: With one sentence.
    """
    if request.preset not in PROTOCOLS:
        raise UsageError(unknown("preset", request.preset, list(PROTOCOLS)))
    used = {*_generator_names(request), *request.segmenters, PROTOCOL}
    for name in request.settings:
        if name not in used:
            raise UsageError(unknown("plug-in of this sweep", name, sorted(used)))
    protocol_of(request)
    for segmenter in request.segmenters:
        plug_in_of(segmenters, segmenter, request)
    for name in _generator_names(request):
        plug_in_of(registry_of(name), name, request)


def cells(request: Request, inputs: Inputs, fid_weights: str) -> list[RunSpec]:
    """The cells, the upper bookend first, as every other one is compared with it.

    Raises:
        UsageError: For a δ above its law at this number of units.
    """
    made = [
        spec
        for seed in range(request.first_seed, request.first_seed + request.seeds)
        for segmenter in request.segmenters
        for spec in _cells_of(request, inputs, fid_weights, segmenter, seed)
    ]
    once = {spec.key: spec for spec in made}
    return sorted(once.values(), key=lambda spec: spec.generator.name != UPPER)


def delta_of(request: Request, units: int) -> float:
    """The δ that is asked for, or else the largest that so many units allow.

    Raises:
        UsageError: For a δ above its law.
    """
    delta = default_delta(units) if request.delta is None else request.delta
    check_delta(delta, units)
    return delta


def reference_of(spec: RunSpec, specs: Sequence[RunSpec]) -> RunSpec | None:
    """The upper bookend's cell that a cell is a fraction of, if the sweep has one.

    Where the segmenter itself was fitted privately, it is that of the sweep's first segmenter.
    """
    if spec.generator.name == UPPER:
        return None
    return next(
        (
            s
            for s in specs
            if s.generator.name == UPPER
            and s.seed == spec.seed
            and (spec.is_direct or s.segmenter == spec.segmenter)
        ),
        None,
    )


def guarantee_of(spec: RunSpec, inputs: Inputs, cache: Path) -> Guarantee:
    """What the cell's fit would be, from public numbers alone; remembered in the cache folder.

    Raises:
        UsageError: If the generator cannot honour the budget or the patch size.
    """
    if is_federated(spec):
        return worst(list(site_plans(spec, inputs, cache).values()))
    fitted: Generator | PrivateSegmenter = make(spec.registry, spec.generator)
    public = public_numbers(inputs_of(spec, inputs).train, recipe_of(spec))
    return planned(spec.generator, fitted, public, spec.budget, cache)


def registry_of(name: str) -> Registry:
    """Where a name among the generators is found: a private segmenter's is that of a segmenter.

    Raises:
        UsageError: If it is a segmenter that cannot be fitted on patients privately.
    """
    if name in generators.names() or name not in segmenters.names():
        return generators
    kind = _class(segmenters, name)
    if kind is not None and not issubclass(kind, PrivateSegmenter):
        raise UsageError(
            f"{name} is a segmenter that learns from synthetic patches: name it by --segmenter, "
            "and a generator by --generator."
        )
    return segmenters


def is_bookend(name: str) -> bool:
    """Whether it is there to be compared with: it is never tuned, and takes part at no site."""
    return name in (UPPER, LOWER) or registry_of(name) is segmenters


def protocol_of(request: Request) -> Settings:
    """The preset's numbers that belong to no plug-in, with what the request overrides."""
    return PROTOCOLS[request.preset].with_texts(request.settings.get(PROTOCOL, {}))


def plug_in_of(registry: Registry, name: str, request: Request) -> PlugIn:
    """A plug-in with the settings that the request gives it.

    Raises:
        UsageError: For an unknown name, preset or setting.
    """
    kind = _class(registry, name)
    if kind is None:
        return PlugIn(name=name, version=UNUSABLE, settings={})
    if request.preset not in kind.presets:
        raise UsageError(
            f"{name} has no preset {request.preset!r}; it has: {', '.join(kind.presets)}."
        )
    try:
        params = kind.presets[request.preset].with_texts(request.settings.get(name, {}))
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from None
    return PlugIn(name=name, version=kind.version, settings=params.as_dict())


def make(registry: Registry, plug_in: PlugIn) -> Any:
    """The plug-in with its settings.

    Raises:
        PlugInError: If it cannot be imported.
    """
    kind = registry.get(plug_in.name)
    return kind(kind.Params(**plug_in.settings))


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
    )
    units = public_numbers(inputs.train, recipe_of(base)).units(request.unit)
    delta = delta_of(request, units)
    for name in _generator_names(request):
        registry = registry_of(name)
        plug_in = plug_in_of(registry, name, request)
        for epsilon in _levels(_class(registry, name), request.epsilons):
            pooled = replace(base, generator=plug_in, epsilon=epsilon, delta=delta)
            if registry is segmenters:
                if not request.federation.asked:
                    yield _direct(pooled)
                continue
            pooled = _with_tuned(pooled, request)
            usable = plug_in.version != UNUSABLE
            if request.federation.asked and usable and name not in (UPPER, LOWER):
                yield from _across_sites(pooled, request.federation, inputs)
            else:
                yield pooled


def _direct(pooled: RunSpec) -> RunSpec:
    """The segmenter itself on patients; no patch is synthetic, so FID's weights decide nothing."""
    return replace(pooled, segmenter=pooled.generator, fid_weights="")


def _with_tuned(spec: RunSpec, request: Request) -> RunSpec:
    """The cell with what was tuned for it; what the user set himself stays."""
    found = tuned_for(request, spec.generator.name, spec.epsilon)
    if found is None:
        return spec
    own = request.settings.get(found.generator, {})
    news = {name: value for name, value in found.settings.items() if name not in own}
    settings = {**spec.generator.settings, **news}
    how = {
        "epsilon": found.epsilon,
        "study": found.provenance.study,
        "on": found.provenance.on,
        "selection": found.provenance.selection,
    }
    return replace(spec, generator=replace(spec.generator, settings=settings), tuned=how)


def tuned_for(request: Request, generator: str, epsilon: float) -> Found | None:
    """The tuned settings that a cell takes, if it is to take any and there are some.

    Raises:
        UsageError: If they are of another version of the generator, or none of its settings.
    """
    found = nearest(request.tuned, wanted(request, generator), epsilon)
    return None if found is None else found.checked()


def wanted(request: Request, generator: str) -> Wanted:
    """Which tuned settings a request can take."""
    return Wanted(
        generator=generator,
        unit=request.unit,
        preset=request.preset,
        federated=request.federation.asked,
    )


def _across_sites(pooled: RunSpec, how: Federation, inputs: Inputs) -> Iterator[RunSpec]:
    """The federated cell, and what it is compared with."""
    made = federated(make(generators, pooled.generator))
    yield replace(pooled, sites=how.sites, federation=how.of(made))
    if how.baselines:
        yield pooled
        for site in split(Partition(text=how.partition, sites=how.sites), inputs):
            yield replace(pooled, federation=how.alone(site))


def _check_federation(request: Request) -> None:
    """Refuses sites that cannot be, before any data are looked at."""
    how = request.federation
    Partition(text=how.partition, sites=how.sites)
    for name in request.generators:
        if is_bookend(name):
            continue
        kind = _class(generators, name)
        if kind is not None:
            how.of(federated(make(generators, plug_in_of(generators, name, request))))


def _generator_names(request: Request) -> list[str]:
    bookends = [UPPER, LOWER] if request.bookends else []
    return list(dict.fromkeys([*bookends, *request.generators]))


def _levels(
    kind: type[Generator | PrivateSegmenter] | None, epsilons: Sequence[float]
) -> list[float]:
    """At which ε a generator runs: a private one, or an unusable one, at all; another once."""
    if kind is None or (kind.is_private and kind.needs_data):
        return list(dict.fromkeys(epsilons))
    return [math.inf] if kind.needs_data else [0.0]


def _class(registry: Registry, name: str) -> Any | None:
    """The plug-in's class; ``None`` for one that cannot be imported."""
    try:
        return registry.get(name)
    except PlugInError:
        return None
