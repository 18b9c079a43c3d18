"""What may leave of a cell: the one law of pages, reports and published files.

Of phantoms, all. Of patients, means over enough of them, distances to enough of them, a coarse
duration, and synthetic patches under a finite ε whose noise nobody can draw again; nothing that was
seen of one patient or at one site: no scores, no curves, which no noise protects, no errors, which
may name somebody, no neighbours. A test set that is withheld takes all that was said of it along.
"""

from __future__ import annotations

from dataclasses import replace

from benchmark.core.errors import DataError
from benchmark.results.disclosure import FEWEST, synthetic_may_leave, without_few, without_patients
from benchmark.results.result import Result
from benchmark.results.spec import RunSpec
from leaderboard.entries import OUTDATED, Entry
from leaderboard.published import Published

ERROR = "Its error.txt says why; errors of patients' data may name somebody, and do not leave."
WITH_OWN = (
    "Its generator was fitted without the patients that --own-patients withheld, so that it is no "
    "peer of cells fitted on the whole training cohort."
)
SMALL = f"Every test set has fewer than {FEWEST} patients, and such means tell of single ones."


def is_of_phantoms(entry: Entry) -> bool:
    """Whether a finished cell says that its data concern nobody, and nothing speaks against it."""
    return entry.status == "done" and not entry.faults and not entry.told.private_data


def shared(entry: Entry, *, phantoms: bool, for_owner: bool = False) -> Entry:
    """The cell as it may leave.

    Args:
        entry: A cell.
        phantoms: Whether its data concern nobody.
        for_owner: Whether it goes to whoever has the data, who may see means over few patients.
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
        curves={},
        pictures={name: png for name, png in entry.pictures.items() if name in pictures},
    )


def samples_may_leave(spec: RunSpec, result: Result) -> bool:
    """Whether patches made from patients may: whoever knows a seed can take its noise away."""
    return synthetic_may_leave(result.guarantee.epsilon, seeded=spec.noise != "system")


def published(entry: Entry) -> Published:
    """A finished cell as its author may publish it.

    Raises:
        DataError: If nothing of it may leave.
    """
    if entry.spec.own is not None:
        raise DataError(
            f"{entry.spec.generator.name} {entry.spec.key} is not published: {WITH_OWN}"
        )
    one = shared(entry, phantoms=is_of_phantoms(entry))
    if one.status == "withheld":
        raise DataError(f"{entry.spec.generator.name} {entry.spec.key} is not published: {SMALL}")
    return Published(
        spec=one.spec,
        result=one.told.but(spec=one.spec),
        curves=one.curves,
        pictures=one.pictures,
    )
