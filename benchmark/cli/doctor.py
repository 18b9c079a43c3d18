"""``bench doctor``: is this machine ready, and if not what to do."""

from __future__ import annotations

from pathlib import Path

import click

from benchmark.cli import option

MARKS = {True: "ok", False: "MEND", None: "note"}


@click.command()
@option.out("Where results would go.")
def doctor(out: Path) -> int:
    """Look at versions, threads, memory, disk, weights, store and GPU; say what to do."""
    from benchmark.terminal.health import examine

    findings = examine(out)
    for finding in findings:
        click.echo(f"{MARKS[finding.healthy]:>4}  {finding.what}: {finding.sentence}")
    return 1 if any(finding.healthy is False for finding in findings) else 0
