"""``bench fingerprint``: what a site's people tell those of all other sites, for secure sums."""

from __future__ import annotations

from pathlib import Path

import click

from benchmark.core.folders import state_folder


@click.command()
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    help="The site's state folder, as its SuperNode has it.  [default: this user's own]",
)
def fingerprint(state: Path | None) -> None:
    """Print the fingerprint of this site's key for secure sums; the first call makes the key.

    Tell it to the people of all other sites by another way than the server, such as the telephone.
    Their SuperNodes name it in `trusted`. The key never leaves the state folder.
    """
    from federation.secure_identity import identity_in, shown

    found = identity_in(state or state_folder()).fingerprint
    click.echo(shown(found))
    click.echo(f'In --node-config of every other site: trusted="{found}"')
