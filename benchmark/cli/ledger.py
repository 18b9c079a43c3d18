"""``bench ledger``: what every patient's data have spent on this machine."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import click

from benchmark.core.budget import delta_text, epsilon_text, parse_epsilon

if TYPE_CHECKING:
    from rich.table import Table

    from benchmark.privacy.ledger.chain import Entry
    from benchmark.privacy.ledger.ledger import Ledger


WHO = """\
A patient is known by the volume's voxels and by the cohort's participant id; either is enough.
The same patient: a volume that was renamed, or exported again with the same voxels; and, under the
same id, one that was resampled, denoised or changed in any other way.
A new patient, who has paid nothing: other voxels under another id. The ledger cannot know better.
Two people of two cohorts who share an id pay for each other: give them ids of their own."""

ONCE = """\
Runs that share a fit pay for it once: the entry names the run that the fit was begun for.
`bench explain RUN` says whose fit a run shares."""

HEADINGS = (
    *("entry", "time", "for", "by", "patients", "unit", "ε", "ε of a patient", "δ"),
    *("σ", "q", "T", "noise", "run"),
)


@click.group()
def ledger() -> None:
    """Show, check and cap what patients' data have spent."""


@ledger.command()
@click.option("--phantoms", is_flag=True, help="Also show entries of phantoms.")
def show(phantoms: bool) -> None:
    """Print every entry, the composed totals of patients, and who counts as one patient."""
    from rich.console import Console

    from benchmark.privacy.ledger.ledger import DELTA

    book = _ledger()
    entries = book.entries()
    shown = [e for e in entries if phantoms or e.said.get("private", True)]
    out = Console()
    (out if out.is_terminal else Console(width=160)).print(_table(shown))
    hidden = len(entries) - len(shown)
    if hidden:
        click.echo(f"{hidden} more entries concern phantoms alone (--phantoms shows them).")
    for total in book.totals():
        numbers = ", ".join(str(number) for number in total.entries)
        click.echo(
            f"{total.patients} patients have paid ε = {epsilon_text(total.epsilon)} at "
            f"δ = {DELTA:g} (entries {numbers}, composed, each patient as a whole)."
        )
    cap = book.cap()
    click.echo("There is no cap." if math.isinf(cap) else f"The cap is ε = {cap:g} for a patient.")
    click.echo(ONCE)
    click.echo(WHO)


@ledger.command()
def verify() -> int:
    """Check that no entry was changed, removed or inserted; exit with 1 if one was."""
    from benchmark.privacy.ledger.chain import ChangedError

    try:
        count = _ledger().verify()
    except ChangedError as error:
        click.echo(str(error), err=True)
        return 1
    click.echo(f"{count} entries, none changed.")
    return 0


@ledger.command()
@click.argument("epsilon")
def cap(epsilon: str) -> None:
    """Refuse from now on any fit that takes a patient's total above EPSILON (inf: no cap)."""
    from benchmark.privacy.ledger.ledger import DELTA

    value = parse_epsilon(epsilon)
    _ledger().set_cap(value)
    said = "lifted" if math.isinf(value) else f"ε = {value:g} at δ = {DELTA:g} for a patient"
    click.echo(f"Cap: {said}.")


def _ledger() -> Ledger:
    from benchmark.core.folders import state_folder
    from benchmark.privacy.ledger.ledger import ledger_in

    return ledger_in(state_folder())


def _table(entries: list[Entry]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for heading in HEADINGS:
        table.add_column(heading)
    for entry in entries:
        table.add_row(str(entry.number), entry.time, *_words(entry))
    return table


def _words(entry: Entry) -> list[str]:
    from benchmark.privacy.ledger.ledger import RELEASE

    said = entry.said
    if said["kind"] == RELEASE:
        left = f"{said['patches']} patches"
        return [RELEASE, left, *[""] * 9, str(said["run"])]
    if "guarantee" not in said:
        return [str(said["kind"]), "", "", "", _epsilon(said["epsilon"]), *[""] * 7]
    guarantee = said["guarantee"]
    return [
        str(said["kind"]),
        str(said["generator"]),
        str(len(said["patients"])),
        str(guarantee["unit"]),
        _epsilon(guarantee["epsilon"]),
        _epsilon(guarantee["epsilon_patient"]),
        delta_text(guarantee["delta"]),
        *(_number(guarantee[name]) for name in ("noise_multiplier", "sampling_rate")),
        str(guarantee["steps"]),
        "seeded" if guarantee["seeded"] else "system",
        str(said["run"]),
    ]


def _epsilon(value: float | str | None) -> str:
    return epsilon_text(None if value is None else float(value))


def _number(value: float | str) -> str:
    return "∞" if math.isinf(float(value)) else f"{float(value):.4g}"
