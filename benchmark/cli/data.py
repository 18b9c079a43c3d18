"""``bench data``: make a cohort."""

from __future__ import annotations

from pathlib import Path

import click


@click.group()
def data() -> None:
    """Make cohorts."""


@data.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--patients", type=click.IntRange(1), default=10, show_default=True, help="How many.")
@click.option(
    "--size",
    type=click.Choice(["quick", "pegasus"]),
    default="quick",
    show_default=True,
    help="Volumes a second each, or of the paper's 312x384x127 voxels.",
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Another seed, others."
)
@click.option(
    "--jobs", type=click.IntRange(1), default=1, show_default=True, help="Patients at a time."
)
def phantom(out: Path, patients: int, size: str, seed: int, jobs: int) -> None:
    """Write a phantom TOF-MRA cohort (BIDS, NIfTI) into OUT."""
    from rich.progress import Progress

    from benchmark.data.phantom import write_cohort

    with Progress() as bar:
        task = bar.add_task("Making phantoms", total=patients)
        write_cohort(
            out,
            patients=patients,
            size=size,
            seed=seed,
            jobs=jobs,
            progress=lambda done, total: bar.update(task, completed=done),
        )
    click.echo(f"{patients} patients written to {out}")
