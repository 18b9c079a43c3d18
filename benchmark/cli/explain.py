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
    help="The folder of results.",
)
def explain(run: str, out: Path) -> None:
    """Explain in words what a result promises, and what not.

    RUN is a folder, or a run key.
    """
    from benchmark.results.explanation import explain as words
    from benchmark.results.store import found

    click.echo(words(found(run, out)[1]))
