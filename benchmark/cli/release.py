"""``bench release`` and ``bench consent``: a data set that may leave."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmark.cli import option

if TYPE_CHECKING:
    from benchmark.release.making import Released

store = click.option(
    "--store",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="The folder of results.",
)


@click.command()
@click.argument("run")
@option.folder("--out", "Where the release is put; nothing may be there.", required=True)
@click.option(
    "--licence",
    required=True,
    metavar="SPDX",
    help="The licence of the data, as CC-BY-4.0.",
)
@click.option(
    "--n",
    "patches",
    type=int,
    default=2000,
    show_default=True,
    metavar="N",
    help="How many synthetic patches.",
)
@option.folder("--data", "The cohort that was fitted on; needed unless it was of phantoms.")
@option.layout
@option.acquisition
@option.accept
@click.option("--skip-bad", is_flag=True, help="As it was given to the run.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the draws.")
@click.option(
    "--consent",
    "consents",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The consent of a site (bench consent); one of each site of a federated run.",
)
@click.option("--weights", is_flag=True, help="Release the generator's weights too.")
@click.option(
    "--sign",
    type=click.Path(path_type=Path),
    metavar="KEY",
    help="Sign the checksums with a private Ed25519 key in PEM.",
)
@click.option(
    "--per-volume",
    type=int,
    default=100,
    show_default=True,
    metavar="K",
    help="How many patches are the slices of one volume.",
)
@click.option(
    "--disclose",
    is_flag=True,
    help="Say the audit's and the search's figures on patients too, which no ε covers.",
)
@click.option(
    "--not-private",
    is_flag=True,
    help="Release what has no guarantee, as phantoms may be; every file then says so.",
)
@store
def release(**options: Any) -> None:
    """Make a data set that may leave, with everything needed to sign for it.

    RUN is a run's folder, or its key. The fit is attacked, its patches are searched for copies of
    patients, and its ledger is checked; any of these can stop the release, as can the run itself.
    What was measured on patients stays on this machine.
    """
    import torch

    from benchmark.core.folders import cache_folder, state_folder
    from benchmark.release import making
    from benchmark.release.request import ReleaseRequest
    from benchmark.terminal.console import Console

    torch.set_num_threads(1)
    asked = ReleaseRequest(
        reading=option.reading_of(options),
        jobs=os.cpu_count() or 1,
        **{name: value for name, value in options.items() if name not in option.OF_READING},
    )
    console = Console()
    with console:
        made = making.release(
            asked, cache=cache_folder(), state=state_folder(), progress=console.prepare
        )
    for line in _words(made):
        click.echo(line)


def _words(made: Released) -> list[str]:
    from benchmark.release.statement import DOSSIER, DOSSIER_PDF
    from benchmark.release.wording import promise

    said, folder = made.statement, made.folder
    lines = [
        f"{folder}: {said.samples.n} synthetic patches, {said.samples.per_volume} in a volume.",
        promise(said),
        f"Read and sign {folder / DOSSIER} (or {DOSSIER_PDF}) before anything leaves.",
        f"The ledger has the release as entry {made.entry}. It cost nobody anything.",
    ]
    if made.fingerprint:
        lines.append(f"Signed by the key {made.fingerprint}; tell it to the receiver by phone.")
    return [*lines, f"The receiver checks it by `bench verify-release {folder.name}`."]


@click.command()
@click.argument("run")
@click.option("--site", required=True, metavar="NAME", help="The site that consents.")
@click.option(
    "--by", "approved_by", required=True, metavar="WHO", help="Who approves, and as what."
)
@option.folder("--out", "Where the file is put.", required=True)
@store
def consent(run: str, site: str, approved_by: str, out: Path, store: Path) -> None:
    """Write one site's consent to a release of a federated run.

    RUN is a run's folder, or its key. The file names the site's ε and the generator's digest, so it
    holds for this fit alone.
    """
    from benchmark.release.consent import write_consent
    from benchmark.release.source import source_of

    file = write_consent(source_of(run, store), site, approved_by, out)
    click.echo(f"{site} consents: {file}")
