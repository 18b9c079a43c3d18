"""``bench``: the group of all commands, and the form in which errors are printed."""

from __future__ import annotations

import errno
import sys
import traceback
from collections.abc import Sequence

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
    release,
    report,
    run,
    score,
    tune,
    ui,
    verify_release,
    weights,
)
from benchmark.core.bounds import shortened
from benchmark.core.errors import BenchError, UsageError
from benchmark.terminal.encoding import speak_plainly

FAILED, USAGE, INTERRUPTED = 1, 2, 130
MISPLACED = (
    *(FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError),
    PermissionError,
)
"""Errors of a file that is not what was expected where it was expected."""


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
    release.candidate,
    release.consent,
    release.release,
    report.report,
    score.score,
    tune.tune,
    ui.ui,
    verify_release.verify_release,
    weights.weights,
):
    bench.add_command(command)


def main() -> None:
    """Runs a command; a mendable error is one sentence, with exit code 2 if it is usage."""
    speak_plainly()
    try:
        _check_text(sys.argv[1:])
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
    except (BenchError, OSError, MemoryError) as error:
        if "--debug" in sys.argv:
            traceback.print_exc()
        click.echo(f"bench: {_sentence(error)}", err=True)
        sys.exit(USAGE if isinstance(error, BenchError) or _is_misplaced(error) else FAILED)
    sys.exit(code if isinstance(code, int) else 0)


def _check_text(arguments: Sequence[str]) -> None:
    """Refuses an argument whose bytes are no text; no file of ours could name it.

    Raises:
        UsageError: With the argument.
    """
    for argument in arguments:
        if any("\ud800" <= one <= "\udfff" or one == "\0" for one in argument):
            shown = argument.encode("utf-8", "backslashreplace").decode()
            raise UsageError(f"The argument {shortened(shown)} is no UTF-8 text; rename the file.")


def _sentence(error: BenchError | OSError | MemoryError) -> str:
    if isinstance(error, MemoryError):
        return "There is not enough memory for this; ask for less at a time (--jobs), or for less."
    if isinstance(error, OSError) and error.filename and _is_misplaced(error):
        reason = (error.strerror or type(error).__name__).lower()
        return f"{shortened(error.filename)}: {reason}; move it away, or name another."
    return str(error)


def _is_misplaced(error: BaseException) -> bool:
    """Whether a path is at fault, and not the disk."""
    wrong = isinstance(error, OSError) and error.errno in (errno.ENAMETOOLONG, errno.ELOOP)
    return wrong or isinstance(error, MISPLACED)
