"""The rules for what may leave of a cell, for pages, reports and published files.

For phantoms, everything may. For patients, these may: means over enough of them, distances to
enough of them, a coarse duration, and synthetic patches under a finite ε whose noise cannot be
drawn again. Nothing may that concerns one patient or one site: no scores, no curves (no noise
protects them), no errors (they may name somebody) and no neighbours. If a test set is withheld, so
is everything about it.
"""

from __future__ import annotations

from dataclasses import replace

from benchmark.core.errors import DataError
from benchmark.results.disclosure import FEWEST, synthetic_may_leave, without_few, without_patients
from benchmark.results.result import Result
from benchmark.results.spec import RunSpec
from leaderboard.entries import OUTDATED, Entry
from leaderboard.lazily import Lazily
from leaderboard.published import Published

ERROR = "Its error.txt says why; errors of patients' data may name somebody, and do not leave."
WITH_OWN = (
    "Its generator was fitted without the patients that --own-patients withheld, so that it is no "
    "peer of cells fitted on the whole training cohort."
)
WITH_CANARIES = (
    "Made-up units were planted in its fit (--canaries), so that it is no peer of cells without."
)
SMALL = f"Every test set has fewer than {FEWEST} patients, and such means tell of single ones."


def is_of_phantoms(entry: Entry) -> bool:
    """Tell whether a finished cell says that its data are phantoms, and its numbers add up."""
    return entry.status == "done" and not entry.faults and not entry.told.private_data


def shared(entry: Entry, *, phantoms: bool, for_owner: bool = False) -> Entry:
    """Return a cell without what may not leave.

    Args:
        entry: The cell.
        phantoms: Whether its data are phantoms.
        for_owner: Whether the reader has the data, and may see means over few patients.
    """
    if phantoms:
        return entry
    if entry.status != "done":
        told = entry.reason in ("", OUTDATED)
        return entry if told else replace(entry, reason=ERROR)
    result = entry.told.but(private_data=True)
    result = result if for_owner else without_few(result)
    if not result.test_sets:
        return Entry(spec=entry.spec, status="withheld", reason=SMALL, verdict=entry.verdict)
    pictures = {"samples"} if samples_may_leave(entry.spec, result) else set()
    return replace(
        entry,
        result=without_patients(result, for_owner=for_owner),
        audit=entry.audit if for_owner else "",
        curves={},
        pictures=Lazily(lambda: {n: entry.pictures[n] for n in entry.pictures if n in pictures}),
    )


def samples_may_leave(spec: RunSpec, result: Result) -> bool:
    """Tell whether patches made from patients may leave. A known seed would remove their noise."""
    return synthetic_may_leave(result.guarantee.epsilon, seeded=spec.noise != "system")


def published(entry: Entry) -> Published:
    """Return a finished cell in the form in which its author may publish it.

    Raises:
        DataError: If nothing of it may leave.
    """
    for why, there in ((WITH_OWN, entry.spec.own), (WITH_CANARIES, entry.spec.canaries)):
        if there:
            raise DataError(f"{entry.spec.generator.name} {entry.spec.key} is not published: {why}")
    one = shared(entry, phantoms=is_of_phantoms(entry))
    if one.status == "withheld":
        raise DataError(f"{entry.spec.generator.name} {entry.spec.key} is not published: {SMALL}")
    return Published(
        spec=one.spec,
        result=one.told.but(spec=one.spec),
        curves=one.curves,
        pictures=one.pictures,
    )
