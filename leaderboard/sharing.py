"""What may leave of a cell: the one law of pages, reports and published files.

Of phantoms, all. Of patients, means over enough of them, distances to enough of them, a coarse
duration, and synthetic patches under a finite ε whose noise nobody can draw again; nothing that was
seen of one patient or at one site: no scores, no curves, which no noise protects, no errors, which
may name somebody, no neighbours. A test set that is withheld takes all that was said of it along.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from benchmark.core.budget import Guarantee
from benchmark.core.errors import DataError
from benchmark.core.files import plain
from benchmark.sweep.leaving import FEWEST, without_few, without_patients
from benchmark.sweep.spec import RunSpec
from leaderboard.entries import OUTDATED, Entry
from leaderboard.published import Published

ERROR = "Its error.txt says why; errors of patients' data may name somebody, and do not leave."
SMALL = f"Every test set has fewer than {FEWEST} patients, and such means tell of single ones."


def is_of_phantoms(entry: Entry) -> bool:
    """Whether a finished cell says that its data concern nobody, and nothing speaks against it."""
    return entry.status == "done" and not entry.faults and not entry.result["private_data"]


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
    result = {**entry.result, "private_data": True}
    result = result if for_owner else without_few(result)
    if not result["test_sets"]:
        return Entry(spec=entry.spec, status="withheld", reason=SMALL, verdict=entry.verdict)
    pictures = {"samples"} if samples_may_leave(entry.spec, result) else set()
    return replace(
        entry,
        result=without_patients(result, for_owner=for_owner),
        curves={},
        pictures={name: png for name, png in entry.pictures.items() if name in pictures},
    )


def samples_may_leave(spec: RunSpec, result: Mapping[str, Any]) -> bool:
    """Whether patches made from patients may: whoever knows a seed can take its noise away."""
    epsilon = Guarantee.from_dict(result["guarantee"]).epsilon
    return epsilon == 0 or (math.isfinite(epsilon) and spec.noise == "system")


def published(entry: Entry) -> Published:
    """A finished cell as its author may publish it.

    Raises:
        DataError: If nothing of it may leave.
    """
    one = shared(entry, phantoms=is_of_phantoms(entry))
    if one.status == "withheld":
        raise DataError(f"{entry.spec.generator.name} {entry.spec.key} is not published: {SMALL}")
    return Published(
        spec=one.spec,
        result=_as_now(one.spec, one.result),
        curves=one.curves,
        pictures=one.pictures,
    )


def _as_now(spec: RunSpec, result: Mapping[str, Any]) -> dict[str, Any]:
    """A result that an earlier version of the suite computed, with the fields that it lacks."""
    sites = [{**site, "guarantee": _guarantee(site)} for site in result.get("sites", ())]
    return {
        **result,
        "spec": plain(spec.as_dict()),
        "guarantee": _guarantee(result),
        **({"sites": sites} if sites else {}),
    }


def _guarantee(said: Mapping[str, Any]) -> Any:
    return plain(Guarantee.from_dict(said["guarantee"]).as_dict())
