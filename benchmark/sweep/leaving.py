"""What of a result may leave the place where it was computed: for MLflow, and for publishing.

Unless the data are phantoms, what was seen of single patients stays behind: their scores, who was
left out and why, and what is noted of files (with names and paths), the training curves, which no
noise protects, and how far synthetic patches lie from test patients who are so few that this tells
of single ones. A duration depends on which patients were drawn, and on every volume's size: it
leaves as one coarse number, without its stages; memory and the rounds' seconds stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmark.sweep.result_form import DISTANCES, patients_in, with_tests

FEWEST = 5
"""So many patients have a mean that tells of none of them."""

SOME_HAVE = ("dice_thin", "dice_medium", "dice_thick")
"""Scores that a patient may lack: no vessel of his has the calibre."""


def without_patients(result: Mapping[str, Any], *, for_owner: bool = False) -> dict[str, Any]:
    """The result as it may leave; for whoever has the data, with distances to few patients."""
    if not result["private_data"]:
        return dict(result)
    made = {name: value for name, value in result.items() if name not in ("peak_mib", "notes")}
    made |= with_tests(result, lambda test: _without_patients(test, for_owner))
    made |= {
        "skipped": [],
        "seconds": coarse(result["seconds"]),
    }
    if "validation" in result:
        made["validation"] = _without_patients(result["validation"], for_owner)
    if "rounds" in result:
        made["rounds"] = {n: v for n, v in result["rounds"].items() if n != "seconds"}
    return made


def is_small(test: Mapping[str, Any]) -> bool:
    """Whether a test set has so few patients that a number about them tells of single ones."""
    many = patients_in(test)
    return many is not None and many < FEWEST


def without_few(result: Mapping[str, Any]) -> dict[str, Any]:
    """The result without test sets of so few patients, and without shares on them.

    Scores of so few validation patients stay behind, too.
    """
    if not result["private_data"]:
        return dict(result)
    if is_small(result.get("validation", {"n": FEWEST})):
        result = {name: value for name, value in result.items() if name != "validation"}
    tests = with_tests(result, lambda test: None if is_small(test) else test)
    names = {test["name"] for test in tests["test_sets"]}
    shares = result.get("fraction_of_real") or {}
    told = {name: share for name, share in shares.items() if name in names}
    return {**result, **tests, "fraction_of_real": told or None}


def coarse(seconds: Mapping[str, float]) -> dict[str, float]:
    """A cell's whole duration to one significant digit.

    >>> coarse({"fit": 11.4, "total": 40.39}), coarse({"total": 163.0})
    ({'total': 40.0}, {'total': 200.0})
    """
    return {"total": float(f"{seconds['total']:.0e}")}


def curves_may_leave(result: Mapping[str, Any]) -> bool:
    """Whether the training curves may leave too."""
    return not result["private_data"]


def _without_patients(test: Mapping[str, Any], for_owner: bool) -> dict[str, Any]:
    withheld = {"patients", *(DISTANCES if is_small(test) and not for_owner else ())}
    made = {name: value for name, value in test.items() if name not in withheld}
    return made if for_owner else {**made, **dict.fromkeys(_of_few(test))}


def _of_few(test: Mapping[str, Any]) -> list[str]:
    """The scores that only some of the patients have, as thick vessels, and too few of them."""
    rows = test.get("patients", ())
    columns = {score: [row.get(score) for row in rows] for score in SOME_HAVE}
    told = {score: len(some) - some.count(None) for score, some in columns.items()}
    return [score for score, many in told.items() if 0 < many < FEWEST]
