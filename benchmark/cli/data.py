"""``bench data``: make a cohort of phantoms, or inspect a cohort."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmark.cli import option
from benchmark.core.bounds import FIRST_SEED, JOBS, PHANTOMS
from benchmark.core.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from benchmark.data.inspection import Finding


@click.group()
def data() -> None:
    """Make and inspect cohorts."""


@data.command()
@click.argument("out", type=click.Path(path_type=Path), required=False)
@click.option(
    "--patients", type=click.IntRange(*PHANTOMS), default=10, show_default=True, help="How many."
)
@click.option(
    "--size",
    type=click.Choice(["quick", "pegasus", "slab", "head"]),
    default="quick",
    show_default=True,
    help="quick: small heads of version 2; pegasus: the paper's 312x384x127 voxels; slab and head: "
    "30 mm and 90 mm of a head with the published anatomy of version 3.",
)
@click.option(
    "--seed",
    type=click.IntRange(*FIRST_SEED),
    default=0,
    show_default=True,
    help="Another seed, others.",
)
@option.annotators
@click.option(
    "--jobs",
    type=click.IntRange(1, JOBS[1]),
    default=1,
    show_default=True,
    help="Patients at a time.",
)
@click.option(
    "--describe",
    is_flag=True,
    help="Write nothing; print statistics of such phantoms beside published ones of people.",
)
def phantom(
    out: Path | None,
    patients: int,
    size: str,
    seed: int,
    annotators: str,
    jobs: int,
    describe: bool,
) -> None:
    """Write a phantom TOF-MRA cohort (BIDS, NIfTI) into OUT."""
    if describe == (out is not None):
        raise UsageError("Expected either a folder OUT to write phantoms into, or --describe.")
    if out is None:
        _describe(size, seed, annotators)
        return
    from rich.progress import Progress

    from benchmark.data.phantom import write_cohort

    with Progress() as bar:
        task = bar.add_task("Making phantoms", total=patients)
        write_cohort(
            out,
            patients=patients,
            size=size,
            seed=seed,
            annotators=annotators,
            jobs=jobs,
            progress=lambda done, total: bar.update(task, completed=done),
        )
    click.echo(f"{patients} patients written to {out}")


def _describe(size: str, seed: int, annotators: str) -> None:
    from rich import box
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

    from benchmark.data.phantom.describing import describe as described

    out = Console()
    with Progress(console=out, disable=not out.is_terminal, transient=True) as bar:
        task = bar.add_task("Scanning phantoms", total=None)
        lines = described(
            size,
            seed=seed,
            annotators=annotators,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for heading in (f"phantoms of size {size}", "mean ± sd", "published", "source"):
        table.add_column(heading)
    for line in lines:
        table.add_row(*line)
    (out if out.is_terminal else Console(width=160)).print(table)


@data.command()
@click.argument("cohort", type=click.Path(path_type=Path))
@option.layout
@option.acquisition
@click.option(
    "--picture",
    type=click.Path(path_type=Path),
    default=Path("cohort.png"),
    show_default=True,
    help="The file for the picture of all patients.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1, JOBS[1]),
    default=1,
    show_default=True,
    help="Patients at a time.",
)
def inspect(
    cohort: Path, layout: str | None, acquisition: str | None, picture: Path, jobs: int
) -> int:
    """Print what COHORT holds, and everything that is wrong with it."""
    from rich.console import Console
    from rich.progress import Progress

    from benchmark.data.inspection import check_picture, save_picture
    from benchmark.data.inspection import inspect as examine

    check_picture(picture)
    out = Console()
    wide = out if out.is_terminal else Console(width=160)
    with Progress(console=out, disable=not out.is_terminal, transient=True) as bar:
        task = bar.add_task("Reading patients", total=None)
        report = examine(
            cohort,
            layout=layout,
            acquisition=acquisition,
            jobs=jobs,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    save_picture(report.findings, picture)
    wide.print(_table(report.findings))
    for note in report.notes:
        click.echo(f"Note: {note}")
    for fault in report.every_fault:
        click.echo(f"Fault: {fault}")
    usable = [found for found in report.findings if found.vessel_fraction is not None]
    readable = 0 if report.is_fatal else len(usable)
    faults = len(report.every_fault)
    click.echo(
        f"{readable} patient{'s' * (readable != 1)} can be used, {faults} "
        f"fault{'s' * (faults != 1)}; see {picture}"
    )
    return 2 if report.every_fault else 0


def _table(findings: list[Finding]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for heading in ("patient", "site", "split"):
        table.add_column(heading)
    for heading in ("voxels", "mm", "axes", "intensities", "vessels"):
        table.add_column(heading, justify="right")
    for found in findings:
        table.add_row(*_row(found))
    return table


def _row(found: Finding) -> list[str]:
    who = [found.patient.id, found.patient.site, found.patient.split or "-"]
    if found.shape is None or found.spacing_mm is None:
        return [*who, "unreadable", "", "", "", ""]
    share = found.vessel_fraction
    return [
        *who,
        "x".join(str(side) for side in found.shape),
        "x".join(f"{side:.3g}" for side in found.spacing_mm),
        found.orientation,
        f"{found.low:g} to {found.high:g}",
        "unusable" if share is None else f"{100 * share:.2f} %",
    ]
