"""What of a result may leave the place where it was computed: for MLflow, and for publishing.

Unless the data are phantoms, what was seen of single patients stays behind: their scores, who was
left out and why, and what is noted of files (with names and paths), the training curves, which no
noise protects, and how far synthetic patches lie from test patients who are so few that this tells
of single ones. A duration depends on which patients were drawn, and on every volume's size: it
leaves as one coarse number, without its stages; memory and the rounds' seconds stay.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from benchmark.metrics.scores import METRICS
from benchmark.results.result import Result
from benchmark.results.scored import TestSet

DISTANCES = ("offline_distance", "mask_distance", "fid")
"""What a test set says of synthetic patches."""

FEWEST = 5
"""So many patients have a mean that tells of none of them."""

SOME_HAVE = tuple(metric.name for metric in METRICS if metric.can_lack)
"""Scores that a patient may lack, as when no vessel has the calibre."""


def without_patients(result: Result, *, for_owner: bool = False) -> Result:
    """The result as it may leave; for whoever has the data, with distances to few patients."""
    if not result.private_data:
        return result
    made = result.with_tests(lambda test: _without_patients(test, for_owner))
    made = made.but("peak_mib", "notes", skipped=(), seconds=coarse(result.seconds))
    if result.validation:
        made = made.but(validation=_without_patients(result.validation, for_owner))
    if result.rounds:
        made = made.but(rounds={n: v for n, v in result.rounds.items() if n != "seconds"})
    return made


def is_small(test: TestSet) -> bool:
    """Whether a test set has so few patients that a number about them tells of single ones."""
    return are_few(test.many)


def are_few(patients: int | None) -> bool:
    """Whether a mean over so many patients tells of single ones; unknown numbers are believed."""
    return patients is not None and patients < FEWEST


def without_few(result: Result) -> Result:
    """The result without test sets of so few patients, and without shares on them.

    Scores of so few validation patients stay behind, too.
    """
    if not result.private_data:
        return result
    made = result.with_tests(lambda test: None if is_small(test) else test)
    if result.validation and is_small(result.validation):
        made = made.but("validation")
    names = {test.name for test in made.test_sets}
    told = {n: share for n, share in (result.fraction_of_real or {}).items() if n in names}
    return made.but(fraction_of_real=told or None)


def coarse(seconds: Mapping[str, float]) -> dict[str, float]:
    """A cell's whole duration to one significant digit.

    >>> coarse({"fit": 11.4, "total": 40.39}), coarse({"total": 163.0})
    ({'total': 40.0}, {'total': 200.0})
    """
    return {"total": float(f"{seconds['total']:.0e}")}


def synthetic_may_leave(epsilon: float, *, seeded: bool) -> bool:
    """Whether what was made from patients may be seen by others.

    Its ε must be finite, and nobody may be able to draw its noise again: whoever knows a seed takes
    the noise away. What looked at no patient (ε = 0) may leave in any case.
    """
    return epsilon == 0 or (math.isfinite(epsilon) and not seeded)


def curves_may_leave(result: Result) -> bool:
    """Whether the training curves may leave too."""
    return not result.private_data


def _without_patients(test: TestSet, for_owner: bool) -> TestSet:
    made = test.but("patients", *(DISTANCES if is_small(test) and not for_owner else ()))
    return made if for_owner else made.but(**dict.fromkeys(_of_few(test)))


def _of_few(test: TestSet) -> list[str]:
    """The scores that only some of the patients have, as thick vessels, and too few of them."""
    told = {
        score: sum(getattr(one, score) is not None for one in test.patients) for score in SOME_HAVE
    }
    return [score for score, many in told.items() if 0 < many < FEWEST]
