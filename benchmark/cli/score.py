"""``bench score``: a released generator, tested on patients whose data must not leave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from benchmark.cli import option
from benchmark.cli.finite import LIMIT


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@option.folder("--data", "A cohort; its patients of the split `test` are tested on.", required=True)
@option.layout
@option.acquisition
@option.accept
@option.segmenter
@option.preset
@option.protocol
@click.option("--seed", default=0, show_default=True, help="Of the samples and the segmenter.")
@click.option(
    "--memory",
    default=4.0,
    show_default=True,
    type=LIMIT,
    metavar="GIB",
    help="What the generator may take to draw its patches.",
)
def score(**options: Any) -> None:
    """Test a released generator on your own held-out patients.

    RUN is the folder of a sweep's cell, or what a federation left at its server. A segmenter learns
    from the generator's samples alone, and sees your volumes at the pixel size of the patches that
    the generator was fitted on. --preset and --protocol decide the segmenter's settings and the
    number of samples. Digests of your files are kept in this machine's state folder. Nothing else
    is written, and nothing leaves this machine.
    """
    import torch

    from benchmark.core.folders import state_folder
    from benchmark.results.disclosure import SCORES_RULE
    from benchmark.sweep.saved_generator import score_released
    from benchmark.terminal.console import Console
    from benchmark.terminal.table import patients_table

    torch.set_num_threads(1)
    console = Console()
    with console:
        found, notes = score_released(
            options["run"],
            options["data"],
            reading=option.reading_of(options),
            state=state_folder(),
            segmenter=options["segmenter"],
            preset=options["preset"],
            protocol=options["protocol"],
            seed=options["seed"],
            listener=console.prepare,
            memory_gib=options["memory"],
        )
    console.show(patients_table(found))
    for note in notes:
        click.echo(f"Note: {note}")
    click.echo(SCORES_RULE)
