"""``bench federate``: a federation over real sites, and an exit code that says how it ended."""

from __future__ import annotations

from pathlib import Path

import click

from benchmark.core.errors import UsageError

FLOWERS_OWN = {"ignore_unknown_options": True, "allow_interspersed_args": False}


@click.command(context_settings=FLOWERS_OWN)
@click.argument("out", type=click.Path(path_type=Path))
@click.argument("flower", nargs=-1, type=click.UNPROCESSED, metavar="SUPERLINK [OPTION]…")
def federate(out: Path, flower: tuple[str, ...]) -> int:
    """Run `flwr run` for the federation's app, and wait until it ends.

    Results go to the folder OUT of this machine, the server's. SUPERLINK and the options are
    Flower's, as `consortium --run-config 'sites=3 epsilon="5"'`. Without SUPERLINK `flwr run` would
    leave one running on this machine, so this command refuses. Exits with 1 if the run failed,
    which `flwr run` does not.
    """
    if not flower or flower[0].startswith("-"):
        got = f"{flower[0]!r} in its place" if flower else "none"
        raise UsageError(
            f"Expected the name of a SuperLink after the folder {out}, got {got}; "
            "Flower's config.toml names them (docs/federation.md)."
        )
    from federation.launch import launch

    reason = launch(out, flower)
    if reason is not None:
        click.echo(f"bench: {reason}", err=True)
        return 1
    click.echo(f"The run ended well; {out} has it.")
    return 0
