"""``bench federate``: a federation over real sites, with an exit code that says how it ended."""

from __future__ import annotations

from pathlib import Path

import click

from benchmark.core.errors import UsageError

FLOWERS_OWN = {"ignore_unknown_options": True, "allow_interspersed_args": False}


@click.command(context_settings=FLOWERS_OWN)
@click.argument("out", type=click.Path(path_type=Path))
@click.argument("flower", nargs=-1, type=click.UNPROCESSED, metavar="SUPERLINK [OPTION]…")
def federate(out: Path, flower: tuple[str, ...]) -> int:
    """Run a federation over real sites, and wait for its end.

    It runs `flwr run` for the federation's app. Results are written to the folder OUT on this
    machine, which is the server's. SUPERLINK and the options are Flower's, such as `consortium
    --run-config 'sites=3 epsilon="5"'`. There `protocol`, `preset` and `settings` mean what they
    mean in `bench run`. A run in OUT belongs to its sites: over others it is refused. Without
    SUPERLINK this command refuses to start, because `flwr run` would leave a SuperLink running on
    this machine. The exit code is 1 if the run failed; that of `flwr run` is not.
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
