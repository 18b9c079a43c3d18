"""The laws of what a release promises: those of any result, and those of a release alone.

What a machine can compute from a statement is computed. That an audit, a search for copies and a
replay were made, and what a ledger holds, only whoever has the patients can see: it must be there,
favourable and free of contradictions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmark.core.errors import BenchError
from benchmark.release.checks.evidence import (
    claim_of,
    of_evidence,
    of_ledger,
    people_in_parts,
    people_of,
    where_of,
)
from benchmark.release.statement import Place, Statement
from benchmark.results.disclosure import FEWEST
from benchmark.results.spec import DeployedSpec
from benchmark.results.tuned_settings import NOT_ACCOUNTED, PRIVATE
from benchmark.sweep.inputs import Inputs
from benchmark.sweep.plan_cache import same
from benchmark.sweep.site_plans import run_of
from leaderboard.guarantees import (
    OWN_SITES,
    claimed_in,
    of_guarantees,
    of_mechanisms,
    of_plan,
    unknown_patients,
)

Phantoms = Callable[[], Inputs]
"""A function that returns the embedded phantoms. It is called for a release of phantoms alone."""

DRAWS = "that the patches are the generator's own draws, as a stranger's generator is never run"
HEARSAY = (
    "that the attack, the search for copies, the replay and the ledger were as it says, which only "
    "whoever has the patients can repeat"
)


def of_claim(said: Statement, phantoms: Phantoms) -> Iterator[str]:
    """Yield faults that show without planning anything.

    Args:
        said: The statement.
        phantoms: Returns the embedded phantoms.
    """
    if said.run != (due := run_of(said.spec)):
        yield f"its run is {said.run}, and its spec's key is {due}"
    if said.phantoms and (spec := said.run_spec):
        made = phantoms()
        if (spec.data, spec.test_data) != (made.data, made.test_data):
            yield "it says that its data are the embedded phantoms, and their digests are others"
    yield from of_guarantees(said, phantoms)
    yield from _of_people(said)
    yield from _of_assignment(said)
    yield from of_evidence(said)
    if said.is_private:
        yield from _of_private(said)
    elif not said.phantoms:
        yield "it is of patients' data and not private, and such data leave under a guarantee alone"


def of_epsilons(said: Statement, phantoms: Phantoms, cache: Path) -> tuple[list[str], list[str]]:
    """Plan the fit again from its settings, and compute every ε from its mechanism's numbers.

    Args:
        said: The statement.
        phantoms: Returns the embedded phantoms.
        cache: The cache folder, where plans are remembered.

    Returns:
        Faults, and what could not be checked.
    """
    faults = [*of_mechanisms(claimed_in(said)), *of_ledger(said)]
    unchecked = [*unknown_patients(said)]
    try:
        faults += of_plan(said, phantoms, cache)
    except BenchError as error:
        unchecked.append(f"the plan, as {error}".rstrip("."))
        if said.is_private and not _reads_patients(said):
            faults.append(
                "it says that its generator reads no patient, and that generator is not installed"
            )
    return faults, unchecked


def hearsay(said: Statement) -> Iterator[str]:
    """Yield what of the statement is its owner's word alone.

    Args:
        said: The statement.
    """
    yield DRAWS
    if said.private_data and _reads_patients(said):
        yield HEARSAY
    if many := len(said.sites):
        unsigned = sum(one.signer is None for one in said.sites)
        yield (
            f"who wrote the consents of its {many} sites: {unsigned} are not signed, and a key is "
            "a site's only if the site says so by another way"
        )


def _reads_patients(said: Statement) -> bool:
    """Whether the fit spent anything: free generators have ε = 0, and nothing to attack."""
    return said.guarantee.epsilon > 0


def _of_people(said: Statement) -> Iterator[str]:
    """The sites of a deployed secure sum have the patients that its N counts."""
    own = [place.people for place in said.places if place.people is not None]
    if own and sum(own) != said.guarantee.patients:
        yield f"its sites have {sum(own)} patients, and N is {said.guarantee.patients}"


def _of_assignment(said: Statement) -> Iterator[str]:
    """The key of a deployment's run says nothing of which patients are where."""
    if not isinstance(said.spec, DeployedSpec):
        return
    how = said.spec.federation
    if (how.partition, how.assignment) != (OWN_SITES, None):
        yield "it says which patients are at which site, and nobody knows that of a deployment"


def _of_private(said: Statement) -> Iterator[str]:
    """What must hold for any guarantee to be claimed."""
    if not all(math.isfinite(one.epsilon) for one in claimed_in(said).values()):
        yield "it claims to be private, and its ε is infinite"
    if not _reads_patients(said):
        return
    if said.spec.noise != "system" or any(one.seeded for one in claimed_in(said).values()):
        yield "it claims to be private, and its noise was seeded"
    yield from _of_selection(said)
    for place in said.places:
        yield from (f"{fault}{where_of(place)}" for fault in _of_place(said, place))
    if said.replay is None or not (said.replay.held and said.replay.laws):
        yield "it claims to be private, and its generator was not shown to keep the laws by replay"


def _of_place(said: Statement, place: Place) -> Iterator[str]:
    """What must have been found where the patients are."""
    charged = place.evidence.ledger
    fewest = min(people_in_parts(said, place))
    if said.private_data and fewest < FEWEST:
        yield f"it was fitted on {fewest} patients at one place, and at least {FEWEST} are needed"
    yield from _of_audit(place)
    yield from _of_copies(said, place)
    if said.private_data and (charged is None or not charged.entries):
        yield "it claims to be private, and no ledger was charged"


def _of_selection(said: Statement) -> Iterator[str]:
    """Choosing is spending."""
    tuned = said.spec.chosen_by
    if tuned and (tuned.on == PRIVATE or tuned.selection == NOT_ACCOUNTED):
        yield "it claims to be private, and its settings were chosen by looking at patients"


def _of_audit(place: Place) -> Iterator[str]:
    """An attack on this claim was made, and refuted nothing."""
    audit = place.evidence.audit
    if audit is None:
        yield "it claims to be private, and nobody attacked it"
        return
    tests = (audit, *audit.further)
    if audit.refuted or any((one.proven or 0.0) > one.claim for one in tests):
        yield "it claims to be private, and its own audit refutes it"
    for one in tests:
        if not same(one.claim, claim_of(place.guarantee, audit, one).epsilon):
            yield f"its audit attacks ε = {one.claim:g}, which is not what it claims"


def _of_copies(said: Statement, place: Place) -> Iterator[str]:
    """Every released patch was compared with every fitted patient's."""
    found = place.evidence.nearest_real
    if found is None or not found.passed:
        yield "it claims to be private, and was not found to be free of copies of patients"
        return
    if found.samples < said.samples.n or found.fitted < people_of(said, place):
        yield "its search for copies did not compare all patches with all fitted patients"
