"""A row's scores: means over seeds and patients, with intervals, beside the bookends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from benchmark.metrics.bootstrap import Interval, intervals
from benchmark.sweep.free import Choice, best_free, gain, is_free
from benchmark.sweep.request import UPPER
from benchmark.sweep.result_form import patients_in
from leaderboard.entries import Entry

INTERVALS = ("dice", "hd95_mm", "bavd_mm", "cldice")
CALIBRES = ("dice_thin", "dice_medium", "dice_thick")


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A row's scores on one test set: means over patients and seeds, with 95 % intervals.

    Attributes:
        patients: How many they are; ``None`` where that is not told.
        dice: Dice.
        scores: By the names in ``INTERVALS``.
        calibres: Mean Dice by the names in ``CALIBRES``, of those that any patient has.
        fraction_of_real: Dice over that of the upper bookend.
        over_free: By how much Dice is above the best free row's.
        gain: That over what the upper bookend has above the same row; ``None`` if it has nothing.
        paired: Whether that is paired by patient; else its ends are those of both intervals.
        by_site: Dice by the site of the tested patients.
    """

    patients: int | None
    dice: Interval
    scores: Mapping[str, Interval]
    calibres: Mapping[str, float]
    fraction_of_real: float | None = None
    over_free: Interval | None = None
    gain: float | None = None
    paired: bool = False
    by_site: Mapping[str, float]


class Bookends:
    """What a table's rows are compared with, on each test set."""

    def __init__(self, cells: Sequence[Entry]) -> None:
        self._cells = [cell for cell in cells if cell.status == "done" and not cell.faults]
        self._of: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
        free: dict[str, list[Mapping[str, Any]]] = {}
        for cell in self._cells:
            if is_free(cell.spec):
                free.setdefault(cell.spec.generator.name, []).append(cell.result)
        self.choice: Choice | None = best_free(free)

    def real(self, name: str) -> float | None:
        """The upper one's mean Dice."""
        tests = self._tests(name, UPPER)
        return fmean(_dice(tests)) if tests else None

    def free(self, name: str) -> list[Mapping[str, Any]]:
        """The best free row's scores, chosen on validation patients for every test set alike."""
        return self._tests(name, self.choice.name) if self.choice else []

    def _tests(self, name: str, bookend: str) -> list[Mapping[str, Any]]:
        if (name, bookend) not in self._of:
            cells = [cell for cell in self._cells if cell.spec.generator.name == bookend]
            self._of[name, bookend] = tests_on(name, cells)
        return self._of[name, bookend]


def scores_on(name: str, cell: Entry) -> Mapping[str, Any]:
    """What a finished cell says of a test set."""
    found: Mapping[str, Any] = next(t for t in cell.result["test_sets"] if t["name"] == name)
    return found


def per_patient(tests: Sequence[Mapping[str, Any]], score: str) -> dict[str, float]:
    """Each patient's mean over seeds; of patients whose scores are told."""
    values: dict[str, list[float]] = {}
    for row in (row for test in tests for row in test.get("patients", ())):
        if row[score] is not None:
            values.setdefault(row["patient"], []).append(row[score])
    return {patient: fmean(scores) for patient, scores in values.items()}


def scored_on(tests: Sequence[Mapping[str, Any]], name: str, bookends: Bookends) -> Scored:
    """What a row's cells scored on the test set of that name; at least one of them is done."""
    real, free = bookends.real(name), bookends.free(name)
    told = {score: per_patient(tests, score) for score in (*INTERVALS, *CALIBRES)}
    dice = told["dice"]
    base = per_patient(free, "dice")
    paired = bool(dice) and dice.keys() == base.keys()
    columns = [[*told[score].values()] for score in INTERVALS] if dice else []
    above = [[dice[one] - base[one] for one in dice]] if paired else []
    found = intervals([*columns, *above])
    scores = dict(zip(INTERVALS, found, strict=False)) or {s: _over(tests, s) for s in INTERVALS}
    over_free = found[-1] if paired else _above(scores["dice"], free)
    return Scored(
        patients=min((n for test in tests if (n := patients_in(test))), default=None),
        dice=scores["dice"],
        scores=scores,
        calibres={c: mean for c in CALIBRES if (mean := _mean(tests, told[c], c)) is not None},
        fraction_of_real=scores["dice"].mean / real if real else None,
        over_free=over_free,
        gain=_gain(scores["dice"], over_free, real),
        paired=paired,
        by_site=_by_site(tests),
    )


def tests_on(name: str, cells: Sequence[Entry]) -> list[Mapping[str, Any]]:
    """What those say of a test set that tell of it."""
    tests = (test for cell in cells for test in cell.result["test_sets"])
    return [test for test in tests if test["name"] == name]


def _over(tests: Sequence[Mapping[str, Any]], score: str) -> Interval:
    """Over seeds, where single patients are not told."""
    told = [test[score] for test in tests]
    low, high = min(one["low"] for one in told), max(one["high"] for one in told)
    return Interval(fmean(one["mean"] for one in told), low, high)


def _gain(dice: Interval, over_free: Interval | None, real: float | None) -> float | None:
    """What lies above the free row, over what ``real`` has there; of that row itself exactly 0."""
    return None if over_free is None else gain(dice.mean, dice.mean - over_free.mean, real)


def _dice(tests: Sequence[Mapping[str, Any]]) -> list[float]:
    return [float(test["dice"]["mean"]) for test in tests]


def _above(dice: Interval, free: Sequence[Mapping[str, Any]]) -> Interval | None:
    """The difference where patients cannot be paired: from and to what both intervals allow."""
    if not free:
        return None
    other = _over(free, "dice")
    return Interval(dice.mean - other.mean, dice.low - other.high, dice.high - other.low)


def _mean(
    tests: Sequence[Mapping[str, Any]], patients: Mapping[str, float], score: str
) -> float | None:
    told = [*patients.values()] or [test[score]["mean"] for test in tests if test[score]]
    return fmean(told) if told else None


def _by_site(tests: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for row in (row for test in tests for row in test.get("patients", ())):
        if row["site"]:
            values.setdefault(row["site"], []).append(row["dice"])
    return {site: fmean(values[site]) for site in sorted(values)}
