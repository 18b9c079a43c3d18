"""``bench check``: whether a plug-in keeps the laws of its contract."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click


@click.command()
@click.argument("name")
def check(name: str) -> int:
    """Test a plug-in against every law of its contract.

    NAME is a generator or a segmenter.
    """
    import generators.checks
    import segmenters.checks
    from benchmark.core.errors import UsageError
    from benchmark.core.laws import LawBrokenError
    from benchmark.core.names import unknown
    from benchmark.core.registry import generators as known_generators
    from benchmark.core.registry import segmenters as known_segmenters

    laws: Mapping[str, Callable[[Any], None]]
    if name in known_generators.names():
        kind, laws = known_generators.get(name), generators.checks.LAWS
    elif name in known_segmenters.names():
        kind, laws = known_segmenters.get(name), segmenters.checks.LAWS
    else:
        known = [*known_generators.names(), *known_segmenters.names()]
        raise UsageError(unknown("plug-in", name, known))
    broken = 0
    for law, holds in laws.items():
        try:
            holds(kind)
        except LawBrokenError as error:
            verdict = f"BROKEN: {error}"
        except Exception as error:  # a plug-in may raise anything
            verdict = f"BROKEN: {type(error).__name__}: {error}"
        else:
            verdict = "holds"
        broken += verdict != "holds"
        click.echo(f"{law.replace('_', ' ')}: {verdict}")
    click.echo(
        f"{name} breaks {broken} of {len(laws)} laws." if broken else f"{name} keeps all laws."
    )
    return 1 if broken else 0
