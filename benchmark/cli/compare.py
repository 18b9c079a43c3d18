"""``bench compare``: two runs, patient by patient."""

from __future__ import annotations

from pathlib import Path

import click

from benchmark.core.errors import UsageError


@click.command()
@click.argument("left", metavar="A")
@click.argument("right", metavar="B")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="The folder of results.",
)
def compare(left: str, right: str, out: Path) -> None:
    """Compare runs A and B: settings, and scores by patient.

    A and B are folders, or run keys.
    """
    from benchmark.results.store import find
    from benchmark.terminal.comparison import differences, scores_table, settings_table
    from benchmark.terminal.console import Console
    from leaderboard.entries import entries_of

    one, other = (entries_of([find(run, out)])[0] for run in (left, right))
    found = differences(one, other)
    if not found:
        raise UsageError(
            f"{left} and {right} were tested on different patients, so nothing can be paired; "
            "compare runs of one cohort."
        )
    console = Console()
    console.show(settings_table(one.spec, other.spec))
    console.show(scores_table(found, one.spec.key, other.spec.key))
