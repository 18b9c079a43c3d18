"""``bench doctor``: whether this machine is ready, and if not, what to do."""

from __future__ import annotations

from pathlib import Path

import click

from benchmark.cli import option

MARKS = {True: "ok", False: "MEND", None: "note"}


@click.command()
@option.out("The folder for results.")
def doctor(out: Path) -> int:
    """Check whether this machine is ready, and say what to do.

    It looks at versions, threads, memory, disk, weights, store, ledger and GPU.
    """
    from benchmark.terminal.health import examine

    findings = examine(out)
    for finding in findings:
        click.echo(f"{MARKS[finding.healthy]:>4}  {finding.what}: {finding.sentence}")
    return 1 if any(finding.healthy is False for finding in findings) else 0
