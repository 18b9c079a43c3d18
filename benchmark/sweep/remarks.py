"""Remarks that a sweep makes beside its table: on patients, settings and missing rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmark.privacy.ledger.ledger import ledger_in
from benchmark.results.bookends import LOWER, UPPER
from benchmark.results.explanation import NOT_PRIVATE
from benchmark.results.spec import RunSpec
from benchmark.results.tuned_settings import FREE, NOT_ACCOUNTED, why_none
from benchmark.sweep.inputs import Inputs
from benchmark.sweep.plan_cells import wanted
from benchmark.sweep.request import Request, is_bookend


def of_patients(inputs: Inputs, state: Path) -> list[str]:
    """Write what is to be known of a sweep's own patients before anything is charged to them.

    Args:
        inputs: The sweep's data.
        state: The state folder, with the ledger.

    Raises:
        LedgerError: If the ledger cannot be used.
    """
    said = [f"Left out: {fault}" for fault in inputs.skipped]
    said += [f"Note: {note}" for note in inputs.notes]
    said += [inputs.cost_of_skipping] if inputs.cost_of_skipping else []
    known = ledger_in(state).known_by_id_alone(inputs.patients)
    if known:
        said.append(
            f"The ledger knows {known} of the {len(inputs.patients)} patients by their participant "
            "ids, with other voxels: they pay as the same patients. If they are other people, "
            "give them ids of their own before anything is fitted."
        )
    return said


def of_the_table(request: Request, inputs: Inputs) -> list[str]:
    """Write the notes below the table, on patients and rows that are missing from it."""
    notes = [inputs.cost_of_skipping] if inputs.cost_of_skipping else []
    if inputs.own:
        own, rest = len(inputs.own), len(inputs.train)
        notes.append(
            f"{own} of the {own + rest} training patients were withheld from every fit as own "
            f"patients, so N = {rest}. {NOT_PRIVATE.format(own)}"
        )
    if request.lacks_real:
        notes.append(
            f"`{UPPER}` was not fitted: on private data it costs every patient ε = ∞, for good; "
            f"add it to --generator to have it, and the column `of {UPPER}`."
        )
    return notes


def of_tuning(request: Request, specs: Sequence[RunSpec]) -> list[str]:
    """Write where every tuned generator's settings come from, and for which there are none."""
    said = {}
    for spec in specs if request.tuned else ():
        name = f"{spec.generator.name}, ε = {spec.epsilon:g}"
        if spec.tuned:
            how = "" if spec.tuned.selection == FREE else f"; selection: {NOT_ACCOUNTED}"
            level = f"tuned at ε = {spec.tuned.epsilon:g} on {spec.tuned.on} data{how}."
            said[name] = f"{name}: settings {level}"
        elif spec.generator.name in request.generators and not spec.is_direct:
            why = why_none(request.tuned, wanted(request, spec.generator.name), spec.epsilon)
            said[name] = f"{name}: {why}; the preset's own settings."
    return list(said.values())


def of_sites(request: Request) -> list[str]:
    """Write which generators that were asked for take no part in a federation."""
    if not request.federation.asked:
        return []
    pooled = "is a bookend: it runs once, on all patients pooled, and --sites does not concern it."
    nowhere = (
        "is left out: no federation trains a segmenter, and one of all patients pooled would need "
        "the trust that --sites does without."
    )
    return [
        f"{name} {pooled if name in (UPPER, LOWER) else nowhere}"
        for name in request.generators
        if is_bookend(name)
    ]
