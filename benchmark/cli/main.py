"""``bench``: the group of all commands, and the form in which errors are printed."""

from __future__ import annotations

import sys
import traceback

import click

from benchmark.cli import (
    audit,
    catalogue,
    check,
    compare,
    data,
    doctor,
    explain,
    federate,
    leaderboard,
    ledger,
    plan,
    report,
    run,
    score,
    tune,
    ui,
    weights,
)
from benchmark.core.errors import BenchError

FAILED, USAGE, INTERRUPTED = 1, 2, 130


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="angiobench", prog_name="bench")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def bench(debug: bool) -> None:
    """Benchmark generators of labelled brain angiography: Dice and FID against ε."""


for command in (
    run.run,
    audit.audit,
    catalogue.list_,
    catalogue.show,
    check.check,
    compare.compare,
    data.data,
    doctor.doctor,
    explain.explain,
    federate.federate,
    leaderboard.leaderboard,
    ledger.ledger,
    plan.plan,
    report.report,
    score.score,
    tune.tune,
    ui.ui,
    weights.weights,
):
    bench.add_command(command)


def main() -> None:
    """Run a command. A known error is printed as one sentence, with exit code 2.

    A failure of the operating system has exit code 1, and an interrupt 130.
    """
    try:
        code = bench.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(USAGE)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted; what was finished is kept, the same command goes on.", err=True)
        # An interrupt within some library's `exec` marks CPython to die of it under `python -m`,
        # although it was caught here; any further evaluation takes the mark away.
        eval("None")  # noqa: S307
        sys.exit(INTERRUPTED)
    except (BenchError, OSError) as error:
        if "--debug" in sys.argv:
            traceback.print_exc()
        click.echo(f"bench: {error}", err=True)
        sys.exit(USAGE if isinstance(error, BenchError) else FAILED)
    sys.exit(code if isinstance(code, int) else 0)
