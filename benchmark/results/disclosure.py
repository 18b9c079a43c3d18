"""The parts of a result that may leave the place where it was computed, for MLflow or publication.

Unless the data are phantoms, whatever concerns single patients is removed: their scores, who was
left out and why, and notes on files with names and paths. So are the training curves, which no
noise protects, and distances of synthetic patches from test patients where these are few. A
duration depends on which patients were drawn and on the size of each volume. It leaves as one
coarse number, without its stages; memory and the rounds' seconds stay behind.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from benchmark.metrics.scores import METRICS
from benchmark.results.result import Result
from benchmark.results.scored import TestSet

DISTANCES = ("offline_distance", "mask_distance", "fid")
"""The fields of a test set that describe synthetic patches."""

FEWEST = 5
"""The fewest patients whose mean may leave, because it does not reveal a single one."""

SCORES_RULE = (
    f"Of scores on patients, means over at least {FEWEST} of them may leave, with their intervals. "
    "No patient's own score may, and no training curve. No ε covers the means."
)
"""The one rule on what scores may leave, in words."""

SOME_HAVE = tuple(metric.name for metric in METRICS if metric.can_lack)
"""Scores that a patient may lack, for example if no vessel has the calibre."""


def without_patients(result: Result, *, for_owner: bool = False) -> Result:
    """Remove from a result what may not leave; results on phantoms stay as they are.

    Args:
        result: The result.
        for_owner: Whether the reader has the data, so that distances to few patients may stay.

    Returns:
        A copy without what concerns single patients.
    """
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
    """Tell whether a test set has so few patients that a mean would reveal single ones."""
    return are_few(test.many)


def are_few(patients: int | None) -> bool:
    """Tell whether there are so few patients that their mean would reveal single ones.

    Args:
        patients: The number; ``None``, if it is unknown, does not count as few.
    """
    return patients is not None and patients < FEWEST


def without_few(result: Result) -> Result:
    """Remove the test sets of too few patients, their fractions, and validation scores of too few.

    Results on phantoms stay as they are.
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
    """Round a cell's whole duration to one significant digit, and drop its stages.

    Args:
        seconds: By stage, with ``total``.

    Examples:
        >>> coarse({"fit": 11.4, "total": 40.39}), coarse({"total": 163.0})
        ({'total': 40.0}, {'total': 200.0})
    """
    return {"total": float(f"{seconds['total']:.0e}")}


def synthetic_may_leave(epsilon: float, *, seeded: bool) -> bool:
    """Tell whether synthetic data made from patients may be seen by others.

    Their ε must be finite and their noise unseeded, because a known seed removes the noise. Data
    for which no patient was used (ε = 0) may always leave.

    Args:
        epsilon: The ε that was spent.
        seeded: Whether the noise came from a seed.
    """
    return epsilon == 0 or (math.isfinite(epsilon) and not seeded)


def curves_may_leave(result: Result) -> bool:
    """Tell whether the training curves may leave, as they may for phantoms alone."""
    return not result.private_data


def _without_patients(test: TestSet, for_owner: bool) -> TestSet:
    made = test.but("patients", *(DISTANCES if is_small(test) and not for_owner else ()))
    return made if for_owner else made.but(**dict.fromkeys(_of_few(test)))


def _of_few(test: TestSet) -> list[str]:
    """The scores that only some of the patients have, as thick vessels, and too few of them."""
    told = {
        score: sum(value is not None for value in test.patients.column(score))
        for score in SOME_HAVE
    }
    return [score for score, many in told.items() if 0 < many < FEWEST]
