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
    from benchmark.core.errors import UsageError
    from benchmark.sweep.explanation import explain as words
    from benchmark.sweep.store import RESULT, read_result

    folders = [Path(run), *out.glob(f"*/{run}")]
    found = next((result for result in map(read_result, folders) if result), None)
    if found is None:
        known = sorted(file.parent.name for file in out.glob(f"*/*/{RESULT}"))
        has = ", ".join(known) or "none"
        raise UsageError(f"{run}: there is no finished run of this name; {out} has: {has}.")
    click.echo(words(found))
