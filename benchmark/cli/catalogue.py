"""``bench list`` and ``bench show``: what there is, and what can be set."""

from __future__ import annotations

import click


@click.command("list")
def list_() -> None:
    """Name the generators and segmenters."""
    from benchmark.core.registry import generators, segmenters

    for registry in (generators, segmenters):
        click.echo(f"{registry.kind}s: {', '.join(registry.names())}")


@click.command()
@click.argument("name")
@click.option("--preset", default="quick", show_default=True, metavar="NAME")
def show(name: str, preset: str) -> None:
    """Print a plug-in's settings, their ranges and its source."""
    from benchmark.core.errors import UsageError
    from benchmark.core.registry import generators, segmenters, unknown
    from benchmark.core.settings import describe

    registry = next((r for r in (generators, segmenters) if name in r.names()), None)
    if registry is None:
        raise UsageError(unknown("plug-in", name, generators.names() + segmenters.names()))
    kind = registry.get(name)
    if preset not in kind.presets:
        raise UsageError(unknown(f"preset of {name}", preset, list(kind.presets)))
    click.echo(f"{name} (version {kind.version}): {kind.citation}")
    click.echo(f"presets: {', '.join(kind.presets)}; shown: {preset}")
    for field in kind.presets[preset].fields():
        click.echo(f"  {name}.{field.name} = {field.value}   ({describe(field.range)})")
