"""``bench release``, ``bench candidate`` and ``bench consent``: a data set that may leave."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmark.cli import option
from benchmark.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmark.release.consent import Examined
    from benchmark.release.making import Released
    from benchmark.release.source import Source

store = click.option(
    "--store",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="The folder of results.",
)


count = click.option(
    "--n",
    "patches",
    type=int,
    default=2000,
    show_default=True,
    metavar="N",
    help="How many synthetic patches.",
)
seed = click.option("--seed", type=int, default=0, show_default=True, help="Of the draws.")


@click.command()
@click.argument("run")
@option.folder("--out", "Where the release is put; nothing may be there.", required=True)
@click.option(
    "--licence",
    required=True,
    metavar="SPDX",
    help="The licence of the data, as CC-BY-4.0.",
)
@count
@option.folder("--data", "The cohort that was fitted on; needed unless it was of phantoms.")
@option.layout
@option.acquisition
@option.accept
@click.option("--skip-bad", is_flag=True, help="As it was given to the run.")
@seed
@option.folder(
    "--consents", "The consents of a federated run's sites (bench consent), one of each site."
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

    RUN may be the folder of a deployment's run too. Only its sites have the patients. So each site
    does all that at its own place (bench consent), for the patches of `bench candidate`.
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
@count
@seed
def candidate(run: str, patches: int, seed: int) -> None:
    """Draw the patches that may leave a deployment, for its sites to examine.

    RUN is the folder of a deployment's run, on the server. The patches are written into it. Send
    the folder to every site, which examines them by `bench consent`. An earlier draw is replaced.
    """
    import torch

    from benchmark.release.candidate import draw_candidate
    from benchmark.release.source import source_of

    torch.set_num_threads(1)
    file = draw_candidate(source_of(run, Path("runs")), patches=patches, seed=seed)
    click.echo(f"{file}: {patches} patches of seed {seed}. Send {file.parent} to every site.")


@click.command()
@click.argument("run")
@click.option("--site", required=True, metavar="NAME", help="The site that consents.")
@click.option(
    "--by", "approved_by", required=True, metavar="WHO", help="Who approves, and as what."
)
@option.folder("--out", "Where the file is put.", required=True)
@option.folder("--data", "The site's own cohort, for a deployment: it was fitted on its patients.")
@option.accept
@click.option(
    "--sign",
    type=click.Path(path_type=Path),
    metavar="KEY",
    help="Sign the consent with a private Ed25519 key in PEM.",
)
@store
def consent(**options: Any) -> None:
    """Write one site's consent to a release of a federated run.

    RUN is a run's folder, or its key. The file names the site's ε and the generator's digest, so it
    holds for this fit alone.

    RUN may be the folder of a deployment's run too, as the server sent it. Then this is done at the
    site: its state folder must have the fit in the ledger and the site's answer to this very job.
    Its patients are searched for in the patches that may leave, and the fit is attacked. The ledger
    notes what leaves. The file says that all was passed, and no figure measured on patients.
    """
    import torch

    from benchmark.release.consent import approver, write_consent
    from benchmark.release.seals import private_key_in
    from benchmark.release.source import source_of

    torch.set_num_threads(1)
    approver(options["approved_by"])
    if options["sign"]:
        private_key_in(options["sign"])
    source, site = source_of(options["run"], options["store"]), options["site"]
    file = write_consent(
        source,
        site,
        options["approved_by"],
        options["out"],
        examined=_examined(source, site, options),
        key=options["sign"],
    )
    click.echo(f"{site} consents: {file}")


def _examined(source: Source, site: str, options: Mapping[str, Any]) -> Examined | None:
    """What a site of a deployment finds at its own place."""
    data = options["data"]
    if source.is_deployed is (data is None):
        raise UsageError(
            f"{source.folder}: "
            + (
                "each site of a deployment examines the patches at its own place; name its cohort "
                "with --data."
                if data is None
                else "the owner of this run has all its patients, and examines the patches by "
                "`bench release`; leave --data out."
            )
        )
    if data is None:
        return None
    from benchmark.core.folders import cache_folder, state_folder
    from benchmark.release.examination import examine
    from benchmark.terminal.console import Console

    console = Console()
    with console:
        made = examine(
            source,
            site,
            data,
            reading=option.reading_of(options),
            cache=cache_folder(),
            state=state_folder(),
            progress=console.prepare,
        )
    for note in made.notes:
        click.echo(f"Note: {note}")
    return made.found
