"""``bench report``: one sweep, or one run, as a page and as Markdown."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("what", default="runs", metavar="[SWEEP|RUN]")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="The folder in which a run is looked for by its key.",
)
def report(what: str, out: Path) -> None:
    """Write report.html and report.md for a sweep or a run.

    A sweep is given by its folder, a run by its folder or its key.
    """
    from benchmark.results.store import find
    from benchmark.results.summary import SUMMARY
    from benchmark.terminal.reports import write_report
    from leaderboard.entries import entries_of, entries_of_sweep

    folder = Path(what)
    if (folder / SUMMARY).is_file():
        entries = entries_of_sweep(folder)
    else:
        folder = find(what, out)
        entries = entries_of([folder])
    click.echo(f"Files: {', '.join(str(file) for file in write_report(entries, folder))}")
