"""``bench list`` and ``bench show``: the plug-ins, and the settings of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmark.cli import option
from benchmark.core.budget import delta_text, epsilon_text
from benchmark.core.errors import UsageError

if TYPE_CHECKING:
    from benchmark.core.budget import Unit
    from benchmark.core.settings import Settings
    from benchmark.results.tuned_settings import Wanted


@click.command("list")
def list_() -> None:
    """List the generators and segmenters, with a sentence on each.

    `bench show NAME` says more about one of them.
    """
    from benchmark.core.registry import generators, segmenters

    for registry in (generators, segmenters):
        click.echo(f"{registry.kind}s:")
        names = registry.names()
        width = max(map(len, names), default=0)
        for name in names:
            click.echo(f"  {name:<{width}}  {registry.summary(name)}".rstrip())


@click.command()
@click.argument("name")
@option.preset
@option.protocol
@click.option("--tuned", is_flag=True, help="Also show the settings tuned for each ε.")
@option.unit("What the tuned settings' ε protects.")
@option.out("The folder of `bench tune`; shipped settings are shown too.")
def show(name: str, preset: str, protocol: str, tuned: bool, unit: Unit, out: Path) -> None:
    """Print a plug-in's settings, their ranges and its source.

    NAME is a generator, a segmenter, or `protocol` for the settings that belong to no plug-in:
    patches, samples, and the parameters of FID.
    """
    import inspect

    from benchmark.core.designs import designs_of
    from benchmark.core.editions import PROTOCOL, preset_in
    from benchmark.core.names import unknown
    from benchmark.core.protocol import PROTOCOLS, Protocol
    from benchmark.core.registry import generators, segmenters
    from benchmark.results.bookends import LOWER, UPPER
    from benchmark.results.tuned_settings import Wanted

    registry = next((r for r in (generators, segmenters) if name in r.names()), None)
    if tuned and (registry is segmenters or name in (UPPER, LOWER, PROTOCOL)):
        raise UsageError(
            f"{name} is never tuned: `bench tune` searches the settings of generators, and the "
            "bookends stay as they are; leave --tuned out."
        )
    if name == PROTOCOL:
        click.echo(f"{PROTOCOL}: {inspect.getdoc(Protocol)}")
        _settings(PROTOCOL, PROTOCOLS, preset, protocol)
    elif registry is not None:
        kind = registry.get(name)
        click.echo(f"{name} (version {kind.version}): {inspect.getdoc(kind)}")
        click.echo(f"Source: {kind.citation}")
        for design, line in (designs_of(kind) if registry is generators else {}).items():
            click.echo(f"Across sites: --design {design}: {line}")
        _settings(name, kind.presets, preset, protocol)
        if tuned:
            begun = preset_in(protocol, kind.presets, name, preset)
            start = begun.completed(begun.as_dict())
            _tuned(start, Wanted(name, unit, preset, protocol=protocol), out)
    else:
        known = [*generators.names(), *segmenters.names(), PROTOCOL]
        raise UsageError(unknown("plug-in", name, known))


def _settings(name: str, presets: Mapping[str, Settings], preset: str, protocol: str) -> None:
    from benchmark.core.editions import preset_in
    from benchmark.core.names import unknown
    from benchmark.core.settings import describe

    if preset not in presets:
        raise UsageError(unknown(f"preset of {name}", preset, list(presets)))
    click.echo(f"Presets: {', '.join(presets)}; shown: {preset}, of protocol {protocol}")
    for field in preset_in(protocol, presets, name, preset).fields():
        click.echo(f"  {name}.{field.name} = {field.value}   ({describe(field.range)})")


def _tuned(start: Mapping[str, Any], wanted: Wanted, out: Path) -> None:
    from benchmark.privacy.ledger.ledger import DELTA
    from benchmark.results.tuned_settings import FOLDER, PRIVATE, SHIPPED, levels

    name, unit, roots = wanted.generator, wanted.unit, [out / FOLDER, SHIPPED]
    found = [
        (one, where)
        for where in (False, True)
        for one in levels(roots, replace(wanted, federated=where))
    ]
    if not found:
        click.echo(
            f"Tuned: nothing for {wanted.preset}, {unit}; `bench tune --generator {name}` does."
        )
    for one, federated in found:
        how = one.checked().provenance
        sites = f", {how.sites} sites" if federated else ""
        click.echo(
            f"Tuned for ε = {one.epsilon:g} (one {unit}, δ = {delta_text(how.delta)}{sites}): "
            f"{how.trials} trials on {how.on} data, {how.objectives[0]} on validation patients "
            f"{how.default:.3f} → {how.score:.3f}; selection: {how.selection}"
        )
        if how.on == PRIVATE:
            click.echo(
                f"  Composed over all trials: ε = {epsilon_text(how.epsilon_of_all_trials)} "
                f"for a {unit}; δ = {DELTA:g}. Validation patients have no guarantee."
            )
        click.echo(f"  Found with: {how.command}")
        changed = {n: value for n, value in one.settings.items() if value != start[n]}
        for setting, value in changed.items():
            said = f"{value:.4g}" if isinstance(value, float) else value
            click.echo(f"  {name}.{setting} = {start[setting]} → {said}")
        if len(changed) < len(one.settings):
            click.echo(f"  {'the rest' if changed else 'everything'} as the preset has it")
