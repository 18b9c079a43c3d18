"""The ledger entries of a cell's fit: one, or one for each site, before any patient is read.

A fit that continues from its checkpoint continues under its own entry.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from benchmark.core.addresses import folder_name
from benchmark.core.budget import Guarantee, epsilon_text
from benchmark.core.errors import PlugInError, UsageError
from benchmark.core.files import locked, read_json, write_json
from benchmark.core.folders import COUNTED
from benchmark.core.generator import Generator
from benchmark.core.segmenter import PrivateSegmenter
from benchmark.privacy.checkpoint import Checkpoint
from benchmark.privacy.ledger.ledger import Spending, ledger_in
from benchmark.results.fit_key import purpose_of
from benchmark.results.spec import RunSpec
from benchmark.results.store import CANARIES, CHARGE, CHECKPOINT, REPLIES
from benchmark.sweep.inputs import Inputs
from benchmark.sweep.site_plans import site_plans
from benchmark.sweep.sites import inputs_of, partition_of, split

CLAIMS = f"sites/*/{CHARGE}"
CLAIM = "claim"
"""A name of a fit's own, by which its entry and its counted rounds are found."""


def places_of(
    spec: RunSpec, planned: Guarantee, folder: Path, state: Path
) -> tuple[Path, Guarantee, Path]:
    """Where a cell's checkpoint is, whose it is, and where its rounds are counted."""
    claim = str(read_json(folder / CHARGE).get(CLAIM, ""))
    name = f"{spec.key}-{folder_name(claim)}" if claim else spec.key  # of an earlier version
    return folder / CHECKPOINT, planned, state / COUNTED / f"{name}.json"


@contextmanager
def begun(
    spec: RunSpec, planned: Guarantee, inputs: Inputs, *, folder: Path, state: Path
) -> Iterator[None]:
    """Hold a fit while it runs, under the claim that it has or under a new one.

    What is paid is decided by what is there now, before the fit leaves anything: a fit that goes on
    keeps its claim. Any other, as after its result was removed or its checkpoint was damaged,
    begins anew, and will be charged.

    Args:
        spec: The cell.
        planned: The plan of the fit.
        inputs: The sweep's data.
        folder: The cell's folder.
        state: The state folder.

    Raises:
        UsageError: If a copy of the folder is being fitted, under the same entry.
    """
    if not is_paid(spec, planned, inputs, folder=folder, state=state):
        for name in (CHECKPOINT, CANARIES):  # of an earlier fit
            (folder / name).unlink(missing_ok=True)
        write_json(folder / CHARGE, {CLAIM: secrets.token_hex(16)})
    counted = places_of(spec, planned, folder, state)[2]
    with locked(counted.with_suffix(".lock")) as mine:
        if not mine:
            raise UsageError(
                f"{folder}: a copy of this folder is being fitted under the same entry of the "
                "ledger; wait until it ends, or remove this one."
            )
        yield


def is_paid(
    spec: RunSpec, planned: Guarantee, inputs: Inputs, *, folder: Path, state: Path
) -> bool:
    """Tell whether a cell's fit continues from its checkpoint, and so under its own entry.

    Args:
        spec: The cell.
        planned: The plan of the fit.
        inputs: The sweep's data.
        folder: The cell's folder.
        state: The state folder.
    """
    if spec.is_federated:
        return (folder / CHECKPOINT).exists()  # each site looks itself before it joins
    if not Checkpoint(*places_of(spec, planned, folder, state)).pays:
        return False
    noted, ledger = read_json(folder / CHARGE), ledger_in(state)
    spending = replace(_spending(spec, planned, inputs), claim=str(noted.get(CLAIM, "")))
    entry = noted.get("ledger_entry")
    return ledger.pays_for(entry, spending) or ledger.entry_for(spending) is not None


def sites_have_begun(folder: Path) -> bool:
    """Tell whether a federated fit in a folder is unfinished: some site has answered, or has paid.

    Args:
        folder: The folder in which the fit ran.
    """
    places = (CHECKPOINT, REPLIES, CLAIMS)
    return any(True for place in places for _ in folder.glob(place))


def pay(
    spec: RunSpec,
    guarantee: Guarantee,
    inputs: Inputs,
    *,
    planned: Guarantee,
    folder: Path,
    state: Path,
) -> None:
    """Enter the fit into the ledger, durably, and note the entry's number in the cell's folder.

    Nothing is entered if the fit continues from its checkpoint.

    Args:
        spec: The cell.
        guarantee: What the fit charges.
        inputs: The sweep's data.
        planned: The plan of the fit.
        folder: The cell's folder.
        state: The state folder.

    Raises:
        OverCapError: If the ledger's cap does not allow it.
    """
    if is_paid(spec, planned, inputs, folder=folder, state=state):
        return
    claim = str(read_json(folder / CHARGE).get(CLAIM) or secrets.token_hex(16))
    noted = {**guarantee.as_dict(), CLAIM: claim}
    write_json(folder / CHARGE, noted)
    entry = ledger_in(state).charge(replace(_spending(spec, guarantee, inputs), claim=claim))
    write_json(folder / CHARGE, {**noted, "ledger_entry": entry})


def check_charged(
    fitted: Generator | PrivateSegmenter,
    charged: Sequence[Guarantee],
    spent: Guarantee,
    charge: Callable[[Guarantee], None],
) -> None:
    """Refuse the result of a plug-in that used patients without charging enough for it.

    Args:
        fitted: The plug-in.
        charged: What it charged.
        spent: What it reports as spent.
        charge: Enters a spending that was not charged.

    Raises:
        PlugInError: If it charged nothing, which is entered now, or reports more than it charged.
    """
    if not fitted.needs_data:
        return
    if not charged:
        charge(spent)
        raise PlugInError(
            f"{fitted.name} fitted on patients without a call of context.charge before; the fit "
            "is in the ledger now, and its result is not kept."
        )
    if spent.epsilon > max(guarantee.epsilon for guarantee in charged):
        raise PlugInError(
            f"{fitted.name} charged ε = {epsilon_text(charged[0].epsilon)} and reports "
            f"{epsilon_text(spent.epsilon)} of a {spent.unit}; what is charged must cover the fit."
        )


def spendings_of(
    spec: RunSpec, guarantee: Guarantee, inputs: Inputs, cache: Path
) -> list[Spending]:
    """Return the spendings of a cell's fit: one, or one for each site.

    Args:
        spec: The cell.
        guarantee: Its plan.
        inputs: The sweep's data.
        cache: The cache folder, where plans are remembered.
    """
    if not spec.is_federated:
        return [_spending(spec, guarantee, inputs_of(spec, inputs))]
    mine, plans = split(partition_of(spec), inputs), site_plans(spec, inputs, cache)
    return [_spending(spec, plans[site], one) for site, one in mine.items()]


def _spending(spec: RunSpec, guarantee: Guarantee, inputs: Inputs) -> Spending:
    return Spending(
        kind=purpose_of(spec),
        run=spec.key,
        generator=spec.generator.name,
        guarantee=replace(guarantee, seeded=spec.noise == "seeded"),
        patients=inputs.patients,
        private=inputs.private,
    )
