"""A user's request for a sweep, and the checks of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.core.bounds import (
    CANARIES,
    EPSILONS,
    FIRST_SEED,
    LEVELS,
    ROUNDS,
    SEEDS,
    SITES,
    within,
)
from benchmark.core.budget import Unit
from benchmark.core.editions import DEFAULT, PROTOCOL, found
from benchmark.core.errors import UsageError
from benchmark.core.names import unknown
from benchmark.core.presets import Words, check_preset, protocol_from, settings_from
from benchmark.core.protocol import spacing_of
from benchmark.core.registry import Registry, class_of, generators, registry_of, segmenters
from benchmark.core.settings import Settings
from benchmark.privacy.accounting.units import check_delta, default_delta
from benchmark.results.bookends import FREE, LOWER, METHODS, UPPER
from benchmark.results.spec_parts import PlugIn
from benchmark.sweep.sites import Federation
from federation.partition import Partition

FIRST_SEEDS = 3
"""The number of seeds that ``--seeds auto`` begins with. With two, an interval is too wide to
decide."""

UNUSABLE = 0
"""The version of a plug-in that cannot be imported. Its cells fail, and no others."""


@dataclass(frozen=True, kw_only=True)
class Precision:
    """The precision that is asked for each row's Dice, with a limit on the seeds.

    Attributes:
        reach: The largest half width of the 95 % interval; in (0, 1).
        most_seeds: The most seeds; 3 or more.

    Raises:
        UsageError: At construction, for a value out of range.
    """

    reach: float = 0.03
    most_seeds: int = 20

    def __post_init__(self) -> None:
        if not 0 < self.reach < 1:
            raise UsageError(f"Expected --precision above 0 and below 1, got {self.reach:g}.")
        if self.most_seeds < FIRST_SEEDS:
            raise UsageError(
                f"Expected --max-seeds of at least {FIRST_SEEDS}, with which --seeds auto begins, "
                f"got {self.most_seeds}."
            )
        within("--max-seeds", self.most_seeds, SEEDS)


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
        protocol: The edition of the protocol (``editions``).
        settings: Texts by setting, by plug-in (or ``protocol``), that override the preset.
        seeds: How many seeds; with a precision, how many to begin with.
        first_seed: The first of them.
        bookends: Whether ``real`` and the free rows run too. On private data ``real`` costs
            patients ε = ∞, so it runs there only if it is among the ``generators``.
        noise: ``seeded`` or ``system``.
        federation: Across which sites, and how.
        tuned: Folders of tuned settings, the first before the others; empty to use none.
        private: Whether the patients to fit on are real; false for phantoms.
        own_patients: How many own patients a segmenter learns from beside synthetic patches: each
            above 0 and once, rising; empty for none.
        precision: The precision up to which seeds are added; ``None`` to add none.
        canaries: How many made-up units are planted in every private fit; 0 for none.
        arithmetic: ``exact``, or ``fast`` for segmenters in bf16 where the machine has it.
    """

    generators: Sequence[str]
    epsilons: Sequence[float]
    unit: Unit = "patch"
    delta: float | None = None
    segmenters: Sequence[str] = ("unet",)
    preset: str = "quick"
    protocol: str = DEFAULT
    settings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    seeds: int = 1
    first_seed: int = 0
    bookends: bool = True
    noise: str = "seeded"
    federation: Federation = field(default_factory=Federation)
    tuned: Sequence[Path] = ()
    private: bool = False
    own_patients: Sequence[int] = ()
    precision: Precision | None = None
    canaries: int = 0
    arithmetic: str = "exact"

    def __post_init__(self) -> None:
        within("--canaries", self.canaries, CANARIES)
        if self.canaries and self.federation.asked:
            raise UsageError(
                "--canaries plants units in one fit, and each site has its own; leave --sites out, "
                "or audit the federated run by what it draws (`bench audit --run`)."
            )
        within("--seeds", self.seeds, SEEDS)
        within("--first-seed", self.first_seed, FIRST_SEED)
        within("the number of levels in --epsilon", len(self.epsilons), LEVELS)
        for level in self.epsilons:
            if math.isfinite(level):
                within("--epsilon", level, EPSILONS)
        within("--sites", self.federation.sites, SITES)
        within("--rounds", self.federation.rounds or 1, ROUNDS)
        within("--local-steps", self.federation.local_steps or 1, ROUNDS)
        if self.federation.curious is not None:
            check_curious(self.federation.curious, self.federation.sites, self.epsilons)
        if self.delta is not None and not 0 < self.delta < 1:
            raise UsageError(f"Expected delta in (0, 1), got {self.delta}.")

    @property
    def lacks_real(self) -> bool:
        """Whether ``real`` is left out only because the data are private."""
        return self.bookends and self.private and UPPER not in self.generators


def check_curious(curious: int, sites: int, epsilons: Sequence[float]) -> None:
    """Refuse secure sums that cannot be.

    Args:
        curious: t, how many curious sites the noise is sized for.
        sites: The number of sites.
        epsilons: The targets.

    Raises:
        UsageError: Without sites, for another t, or for an infinite ε.
    """
    if sites < 2:
        raise UsageError("--secure-sum adds up what several sites send; name them with --sites.")
    if not 0 <= curious < sites:
        raise UsageError(
            f"Expected --secure-sum t=0 to t={sites - 1} of {sites} sites, got t={curious}."
        )
    if not all(math.isfinite(one) for one in epsilons):
        raise UsageError(
            "--secure-sum shares noise among the sites, so every --epsilon must be finite; got inf."
        )


def check(request: Request) -> None:
    """Refuse a request that cannot be run, before any data are read.

    Raises:
        UsageError: With one sentence.
    """
    check_settings(request)
    if request.federation.asked:
        _check_federation(request)
    usable = {name: class_of(registry_of(name), name) for name in request.generators}
    plain = [name for name, kind in usable.items() if kind and not kind.is_private]
    if len(plain) == len(request.generators) and math.inf not in request.epsilons:
        raise UsageError(
            f"{', '.join(plain)} is not private, so it cannot run at a finite epsilon; "
            "ask for --epsilon inf, or for a private generator beside it."
        )


def check_settings(request: Request) -> None:
    """Refuse a preset, a plug-in or a setting that does not exist.

    Raises:
        UsageError: With one sentence.
    """
    found(request.protocol)
    if "edition" in request.settings.get(PROTOCOL, {}):
        raise UsageError("The edition of the protocol is chosen by --protocol, not by --set.")
    check_preset(request.preset)
    used = {*names_of(request), PROTOCOL}.difference(METHODS) | {*request.segmenters}
    for name in request.settings:
        if name not in used:
            raise UsageError(unknown("plug-in of this sweep", name, sorted(used)))
    protocol_of(request)
    for segmenter in request.segmenters:
        plug_in_of(segmenters, segmenter, request)
    for name in names_of(request):
        plug_in_of(registry_of(name), name, request)


def delta_of(request: Request, units: int) -> float:
    """Return the δ that is asked for, or else the largest that the units allow.

    Args:
        request: The request.
        units: N, the number of units.

    Raises:
        UsageError: For a δ that is too large for this number of units.
    """
    delta = default_delta(units) if request.delta is None else request.delta
    check_delta(delta, units)
    return delta


def names_of(request: Request) -> list[str]:
    """Return the names of every generator of the sweep, the bookends first."""
    ends = [*FREE] if request.private else [UPPER, *FREE]
    bookends = ends if request.bookends else []
    return list(dict.fromkeys([*bookends, *request.generators]))


def is_bookend(name: str) -> bool:
    """Tell whether a generator is only there for comparison.

    It is then never tuned, and takes part in no federation.
    """
    return name in (UPPER, LOWER) or registry_of(name) is segmenters


def words_of(request: Request) -> Words:
    """Return the edition and the preset that all settings of a request start from."""
    return Words(edition=request.protocol, preset=request.preset)


def protocol_of(request: Request) -> Settings:
    """Return the protocol of a request: the preset's values, with what the request overrides."""
    return protocol_from(words_of(request), request.settings.get(PROTOCOL, {}))


def plug_in_of(registry: Registry, name: str, request: Request) -> PlugIn:
    """Return a plug-in with the settings that a request gives it.

    Args:
        registry: The registry of the plug-in.
        name: Its name.
        request: The request.

    Returns:
        The plug-in; of version ``UNUSABLE`` without settings if it cannot be imported.

    Raises:
        UsageError: For an unknown name, preset or setting.
    """
    kind = class_of(registry, name)
    if kind is None:
        return PlugIn(name=name, version=UNUSABLE, settings={})
    params = settings_from(
        words_of(request),
        name,
        kind.presets,
        spacing_mm=spacing_of(protocol_of(request).as_dict()),
        texts=request.settings.get(name, {}),
    )
    return PlugIn(name=name, version=kind.version, settings=params.as_dict())


def free_method(name: str) -> PlugIn:
    """Return a free segmenter with its published constants.

    No preset and no ``--set`` changes them.
    """
    kind = class_of(segmenters, name)
    if kind is None:
        return PlugIn(name=name, version=UNUSABLE, settings={})
    return PlugIn(name=name, version=kind.version, settings=kind.constants.as_dict())


def make(registry: Registry, plug_in: PlugIn) -> Any:
    """Make an instance of a plug-in with its settings.

    Raises:
        PlugInError: If it cannot be imported.
    """
    kind = registry.get(plug_in.name)
    return kind(kind.Params(**plug_in.settings))


def _check_federation(request: Request) -> None:
    """Refuses sites that cannot be, before any data are looked at."""
    how = request.federation
    Partition(text=how.partition, sites=how.sites)
    for name in request.generators:
        if is_bookend(name):
            continue
        kind = class_of(generators, name)
        if kind is not None:
            how.of(kind, plug_in_of(generators, name, request).settings)
