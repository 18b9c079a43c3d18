"""The command that computes a cell again."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from benchmark.core.budget import Guarantee
from benchmark.core.editions import DEFAULT, PROTOCOL, edition_of, found, preset_in
from benchmark.core.errors import UsageError
from benchmark.core.protocol import PROTOCOLS
from benchmark.core.registry import Registry, segmenters
from benchmark.core.settings import Settings
from benchmark.data.phantom.cohorts import FIRST, name_of
from benchmark.privacy.accounting.units import default_delta
from benchmark.results.bookends import FREE, METHODS
from benchmark.results.settings import all_settings
from benchmark.results.spec import RunSpec
from benchmark.results.spec_parts import AcrossSites, OneSite, PlugIn

DEFAULT_SEGMENTER, DEFAULT_PRESET, DEFAULT_UNIT = "unet", "quick", "patch"


def command_of(
    spec: RunSpec, guarantee: Guarantee | None, *, phantoms: bool, seeds: Sequence[int] = ()
) -> str:
    """Return the shortest ``bench run`` with a spec's key.

    ``COHORT`` stands for the reader's folder. There is one line for each run of consecutive seeds.
    Tuned settings are given one by one, because others do not have the study. The command then
    computes the same under another key, which names no study.

    Args:
        spec: The cell's spec.
        guarantee: For the public numbers of its data; ``None`` if the cell is not done.
        phantoms: Whether its data are the embedded ones.
        seeds: The seeds to repeat; the spec's own if empty.
    """
    parts = [word for part in _parts(spec, guarantee, phantoms) for word in part]
    lines = []
    for first, many in _consecutive(sorted(seeds or [spec.seed])):
        words = [*(("--first-seed", str(first)) if first else ())]
        words += [*(("--seeds", str(many)) if many > 1 else ())]
        lines.append(shlex.join(["bench", "run", *parts, *words, "--no-bookends"]))
    return "\n".join(lines)


def _consecutive(seeds: Sequence[int]) -> list[tuple[int, int]]:
    """The first of each run of seeds, and how many they are."""
    runs: list[tuple[int, int]] = []
    for seed in seeds:
        if runs and seed == sum(runs[-1]):
            runs[-1] = runs[-1][0], runs[-1][1] + 1
        else:
            runs.append((seed, 1))
    return runs


def _parts(spec: RunSpec, guarantee: Guarantee | None, phantoms: bool) -> Iterator[tuple[str, ...]]:
    name = spec.generator.name
    yield "--generator", name
    yield "--epsilon", "inf" if math.isinf(spec.epsilon) or name in FREE else f"{spec.epsilon!r}"
    if spec.unit != DEFAULT_UNIT:
        yield "--unit", spec.unit
    if guarantee is None or spec.delta != _default_delta(spec, guarantee):
        yield "--delta", repr(spec.delta)
    if spec.segmenter.name != DEFAULT_SEGMENTER and not spec.is_direct:
        yield "--segmenter", spec.segmenter.name
    yield from _settings(spec)
    if phantoms and (cohort := cohort_of(spec)) != FIRST:
        yield "--phantoms", cohort
    if not phantoms:
        yield "--data", "COHORT"
        yield from (("--test-data", name.upper()) for name in list(spec.test_data)[1:])
    if spec.noise != ("seeded" if phantoms else "system"):
        yield "--noise", spec.noise
    if spec.own:
        yield "--own-patients", ",".join(map(str, spec.own.patients))
    if spec.canaries:
        yield "--canaries", str(spec.canaries)
    yield from _sites(spec.federation, spec.sites)


def cohort_of(spec: RunSpec) -> str:
    """Return the name of the embedded cohort that a spec of phantoms is of."""
    return name_of(spec.data, found(edition_of(spec.protocol)).phantoms)


def _default_delta(spec: RunSpec, guarantee: Guarantee) -> float:
    patients = guarantee.patients
    patches = patients * int(spec.protocol["patches_per_patient"])
    return default_delta(patients if spec.unit == "patient" else patches)


def preset_of(protocol: Mapping[str, Any]) -> str:
    """Return the preset whose protocol agrees with most of the values."""
    said = {preset: _rules(protocol, preset).items() for preset in PROTOCOLS}
    return max(said, key=lambda preset: len(said[preset] & protocol.items()))


def _settings(spec: RunSpec) -> Iterator[tuple[str, ...]]:
    """The preset that is nearest, and what differs from it."""
    presets = {preset: list(_differences(spec, preset)) for preset in PROTOCOLS}
    nearest = min(presets, key=lambda preset: len(presets[preset]))
    if nearest != DEFAULT_PRESET:
        yield "--preset", nearest
    if (edition := edition_of(spec.protocol)) != DEFAULT:
        yield "--protocol", edition
    yield from (("--set", text) for text in presets[nearest])


def _differences(spec: RunSpec, preset: str) -> Iterator[str]:
    edition, plug_ins = edition_of(spec.protocol), [(spec.registry, spec.generator)]
    plug_ins = [*plug_ins, (segmenters, spec.segmenter)] if not _is_method(spec) else []
    changed = [_changed(*one, preset, edition) for one in plug_ins]
    said = {name: value for found in changed for name, value in found.items()}
    protocol = _rules(spec.protocol, preset)
    said |= {
        f"{PROTOCOL}.{name}": value
        for name, value in spec.protocol.items()
        if protocol.get(name) != value
    }
    yield from (f"{name}={value}" for name, value in said.items())


def _is_method(spec: RunSpec) -> bool:
    """Whether it rests on published constants, which no preset and no ``--set`` changes."""
    return spec.generator.name in METHODS


def changed_settings(spec: RunSpec, preset: str = DEFAULT_PRESET) -> Mapping[str, Any]:
    """Return the generator's settings that differ from a preset's.

    If the generator is not installed, all are returned.
    """
    if _is_method(spec):
        return {}
    edition = edition_of(spec.protocol)
    changed = _changed(spec.registry, spec.generator, preset, edition)
    return {name.split(".", 1)[1]: value for name, value in changed.items()}


def is_judged_as_usual(spec: RunSpec) -> bool:
    """Tell whether protocol and segmenter are those of the default preset in the cell's edition."""
    edition = edition_of(spec.protocol)
    if spec.protocol != _rules(spec.protocol, DEFAULT_PRESET):
        return False
    usual = spec.segmenter.name == DEFAULT_SEGMENTER
    return usual and not _changed(segmenters, spec.segmenter, DEFAULT_PRESET, edition)


def _rules(protocol: Mapping[str, Any], preset: str) -> dict[str, Any]:
    """What a preset of the same edition has for the protocol."""
    return preset_in(edition_of(protocol), PROTOCOLS, PROTOCOL, preset).as_dict()


def _changed(registry: Registry, plug_in: PlugIn, preset: str, edition: str) -> dict[str, Any]:
    settings = _presets(registry, plug_in.name, edition).get(preset, {})
    return {
        f"{plug_in.name}.{name}": value
        for name, value in all_settings(registry, plug_in).items()
        if name not in settings or settings[name] != value
    }


@cache
def _presets(registry: Registry, name: str, edition: str) -> dict[str, dict[str, Any]]:
    try:
        presets: Mapping[str, Settings] = registry.get(name).presets
    except UsageError:  # not installed, or cannot be imported: a row of it is shown all the same
        return {}
    made = {preset: preset_in(edition, presets, name, preset) for preset in presets}
    return {preset: one.completed(one.as_dict()) for preset, one in made.items()}


def _sites(how: AcrossSites | OneSite | None, sites: int) -> Iterator[tuple[str, ...]]:
    if how is None:
        return
    yield "--sites", str(how.of if isinstance(how, OneSite) else sites)
    yield "--partition", how.partition
    if isinstance(how, OneSite):
        yield ("--baselines",)
        return
    yield "--design", how.design
    yield "--rounds", str(how.rounds)
    yield "--local-steps", str(how.local_steps)
    if how.curious is not None:
        yield "--secure-sum", f"t={how.curious}"
