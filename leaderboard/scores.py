"""The scores of a row: means over seeds and patients, with intervals, compared with bookends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from benchmark.metrics.crossed import Estimate, Told, estimate, within
from benchmark.metrics.gains import share
from benchmark.metrics.paired import Chance, Pairing, chance, difference
from benchmark.metrics.scores import CALIBRES, DICE, ON_BOARD
from benchmark.results import bookends as ends
from benchmark.results.bookends import UPPER, Choice, best_free, is_free
from benchmark.results.over_seeds import Tests, is_certain, told_of
from benchmark.results.result import Result
from benchmark.results.scored import TestSet
from leaderboard.entries import Entry


@dataclass(frozen=True, kw_only=True)
class Scored:
    """The scores of a row on one test set: means over seeds and patients, with 95 % intervals.

    Attributes:
        patients: The number of patients; ``None`` where it is not given.
        dice: Dice; a single draw, which has no interval, where one seed is done.
        scores: By the names of the metrics that are ``on_board``.
        calibres: Mean Dice by calibre, of those that any patient has.
        told: Dice by seed and patient, for comparisons.
        fraction_of_real: Dice over that of the upper bookend.
        over_free: By how much Dice is above the best free row's.
        over_each_free: By how much it is above every free row's, by name.
        paired: What of that difference is paired.
        better: The probability that a new fit is better than the free row's; ``None`` for one draw.
        gain: ``over_free`` over the upper bookend's difference to the same row; ``None`` if that
            difference is too small.
        of_real: ``fraction_of_real`` with its interval, where it has one.
        gained: ``gain`` with its interval, likewise.
        by_site: Dice by the site of the tested patients.
    """

    patients: int | None
    dice: Estimate
    scores: Mapping[str, Estimate]
    calibres: Mapping[str, float]
    told: Told
    fraction_of_real: float | None = None
    over_free: Estimate | None = None
    over_each_free: Mapping[str, Estimate]
    paired: Pairing | None = None
    better: Chance | None = None
    gain: float | None = None
    of_real: Estimate | None = None
    gained: Estimate | None = None
    by_site: Mapping[str, float]


class Bookends:
    """The bookends of a table, with which its rows are compared.

    Args:
        cells: The table's cells.

    Attributes:
        choice: The best free row; ``None`` if there is none.
    """

    def __init__(self, cells: Sequence[Entry]) -> None:
        self._cells = [cell for cell in cells if cell.status == "done" and not cell.faults]
        self._of: dict[tuple[str, str], Told | None] = {}
        free: dict[str, list[Result]] = {}
        for cell in self._cells:
            if is_free(cell.spec):
                free.setdefault(cell.spec.generator.name, []).append(cell.told)
        self._free = sorted(free)
        self.choice: Choice | None = best_free(free)

    def real(self, name: str) -> float | None:
        """Return the upper bookend's mean Dice on a test set; ``None`` if there is none."""
        told = self.reals(name)
        return None if told is None else float(told.values.mean())

    def reals(self, name: str) -> Told | None:
        """Return the upper bookend's Dice on a test set."""
        return self._told(name, UPPER)

    def free(self, name: str) -> Told | None:
        """Return the best free row's Dice on a test set.

        Validation patients choose the row, the same for every test set.
        """
        return self._told(name, self.choice.name) if self.choice else None

    def each_free(self, name: str) -> dict[str, Told]:
        """Return every free row's Dice on a test set that it was scored on."""
        found = {one: self._told(name, one) for one in self._free}
        return {one: told for one, told in found.items() if told}

    def _told(self, name: str, bookend: str) -> Told | None:
        if (name, bookend) not in self._of:
            cells = [cell for cell in self._cells if cell.spec.generator.name == bookend]
            tests = tests_on(name, cells)
            certain = bool(cells) and is_certain(cells[0].spec)
            self._of[name, bookend] = told_of(tests, "dice", certain=certain) if tests else None
        return self._of[name, bookend]


def scores_on(name: str, cell: Entry) -> TestSet:
    """Return a finished cell's scores on a test set that its result has."""
    return next(test for test in cell.told.test_sets if test.name == name)


def scored_on(tests: Tests, name: str, bookends: Bookends, *, certain: bool = False) -> Scored:
    """Compute a row's scores on a test set.

    Args:
        tests: By seed; one or more.
        name: The test set's name.
        bookends: The bookends of the row's table.
        certain: Whether a cell has no randomness.
    """
    real, reals, free = bookends.real(name), bookends.reals(name), bookends.free(name)
    shown = [m for m in ON_BOARD if all(test.mean(m.name) for test in tests.values())]
    told = {metric.name: told_of(tests, metric.name, certain=certain) for metric in shown}
    scores = {m.name: within(estimate(told[m.name]), 0, m.most) for m in shown}
    dice = told[DICE.name]
    over_free, paired = difference(dice, free) if free else (None, None)
    return Scored(
        patients=min((test.many for test in tests.values() if test.many), default=None),
        dice=scores[DICE.name],
        scores=scores,
        calibres={c: m for c, name in CALIBRES.items() if (m := _mean(tests, name)) is not None},
        told=dice,
        fraction_of_real=scores[DICE.name].mean / real if real else None,
        over_free=over_free,
        over_each_free={
            one: difference(dice, told)[0] for one, told in bookends.each_free(name).items()
        },
        paired=paired,
        better=chance(dice, free) if free else None,
        gain=(gain := _gain(scores[DICE.name], over_free, real)),
        of_real=share(dice, reals) if reals else None,
        gained=share(dice, reals, free) if reals and free and gain is not None else None,
        by_site=_by_site(tests),
    )


def tests_on(name: str, cells: Sequence[Entry]) -> dict[int, TestSet]:
    """Return a test set of the cells that have it, by rising seed."""
    by_seed = sorted(cells, key=lambda cell: cell.spec.seed)
    tests = ((cell.spec.seed, cell.told.test(name)) for cell in by_seed)
    return {seed: test for seed, test in tests if test}


def _gain(dice: Estimate, over_free: Estimate | None, real: float | None) -> float | None:
    """What lies above the free row, over what ``real`` has there; of that row itself exactly 0."""
    return None if over_free is None else ends.gain(dice.mean, dice.mean - over_free.mean, real)


def _mean(tests: Tests, name: str) -> float | None:
    """Over the patients that have the score, of each one's mean over seeds."""
    values: dict[str, list[float]] = {}
    for test in tests.values():
        for patient, value in test.patients.by_patient(name).items():
            if value is not None:
                values.setdefault(patient, []).append(value)
    told = [fmean(scores) for scores in values.values()]
    told = told or [mean.mean for test in tests.values() if (mean := test.mean(name))]
    return fmean(told) if told else None


def _by_site(tests: Tests) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for one in (one for test in tests.values() for one in test.patients):
        if one.site:
            values.setdefault(one.site, []).append(one.dice)
    return {site: fmean(values[site]) for site in sorted(values)}
