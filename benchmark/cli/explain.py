"""``bench explain``: a result's privacy in words."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("run")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Where results went.",
)
def explain(run: str, out: Path) -> None:
    """Say in words what RUN (a folder, or a run key) promises, and what it does not."""
    from benchmark.sweep.explanation import explain as words
    from benchmark.sweep.store import find, read_result

    click.echo(words(read_result(find(run, out)) or {}))
