"""``bench verify-release``: the receiver's check of a released data set."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("verify-release")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--key",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The owner's public key, as you got it by another way than the release.",
)
@click.option(
    "--other-version",
    is_flag=True,
    help="Accept a release whose pages this version cannot make again: it holds in part.",
)
def verify_release(folder: Path, key: Path | None, other_version: bool) -> int:
    """Check a release that you received: its files, its promise and its signature.

    DIR is the folder of `bench release`. Nothing in it is trusted, and nothing of it is run. The
    exit code is 0 if the release holds, 1 if it does not, and 2 if DIR is no release. A release of
    another version holds in part: its pages cannot be compared, and the exit code is 1 unless
    --other-version is given.
    """
    from benchmark.release.verification import verify_release as verified
    from benchmark.terminal.console import Console

    console = Console()
    with console:
        verdict = verified(folder, key=key, progress=console.prepare)
    for line in verdict.lines():
        click.echo(line)
    return 0 if verdict.holds or (other_version and verdict.holds_in_part) else 1
