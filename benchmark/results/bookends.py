"""The free rows of a sweep, and what every other row has above the best of them.

A free row looks at no patient (ε = 0): random vessels (``simulator``), and segmenters that rest on
published constants alone. A generator that spends ε must beat the best of them. Which one that is
depends on the data, so it is chosen, by mean Dice on *validation* patients: whoever chose on test
patients would measure the others against luck. The choice is made once for all test sets.

Free rows without such a score (no validation patients, results of earlier versions, or scores of so
few patients that they may not leave) cannot be chosen among. Then the simulator stands for them,
whatever it reaches, and the table says that it was not chosen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

from benchmark.results.result import Result
from benchmark.results.spec import PlugIn, RunSpec

UPPER, LOWER = "real", "simulator"
METHODS = ("threshold", "frangi")
"""Segmenters that rest on published constants alone, in a row of their own."""

FREE = (LOWER, *METHODS)
"""The free rows: they look at no patient."""

LEAST_ROOM = 0.05
"""Of Dice, between real patches and the best free row: with less, a gain would be divided by what
one fit and the next differ by (docs/experiments.md)."""

GAIN = (
    "gain: (Dice − free) / (real − free), with free the best free row (ε = 0), marked *; empty "
    f"where `real` is missing or less than {LEAST_ROOM:g} above it."
)
COLUMNS = (
    "over free: Dice less that of the best free row (ε = 0, no patient looked at). gain: (Dice − "
    f"free) / (real − free), empty where `real` is missing or not {LEAST_ROOM:g} above that row."
)


class Choice(NamedTuple):
    """The free row that the others are compared with.

    Attributes:
        name: Its name.
        scores: The mean validation Dice of every free row; empty where there is none.
        patients: How many validation patients there were; ``None`` if it was not chosen by them.
    """

    name: str
    scores: Mapping[str, float]
    patients: int | None

    @property
    def words(self) -> str:
        """Which it is and why, in a sentence."""
        if self.patients is None:
            why = "not chosen, as not every free row has a score on validation patients"
            return f"The free row is {self.name}, {why}."
        told = ", ".join(f"{name} {dice:.3f}" for name, dice in self.scores.items())
        many = f"{self.patients} validation patient{'' if self.patients == 1 else 's'}"
        return f"The free row is {self.name}, the best by Dice on {many} ({told})."


def is_free(spec: RunSpec) -> bool:
    """Whether a cell is a free row."""
    return spec.generator.name in FREE and spec.epsilon == 0


def best_free(rows: Mapping[str, Sequence[Result]]) -> Choice | None:
    """The best free row by validation Dice; ``None`` where there is none to compare with.

    Args:
        rows: The results of finished cells by the name of their free row.
    """
    there = {name: results for name in FREE if (results := rows.get(name))}
    told = [result for results in there.values() for result in results]
    seen = {result.spec.validation for result in told}
    if len(seen) == 1 and all(result.validation for result in told):
        scores = {name: fmean(map(_dice, results)) for name, results in there.items()}
        best = max(scores, key=lambda name: scores[name])
        return Choice(best, scores, _patients(told[0]))
    fixed = LOWER if LOWER in there else next(iter(there), None) if len(there) == 1 else None
    return None if fixed is None else Choice(fixed, {}, None)


def gain(dice: float | None, free: float | None, real: float | None) -> float | None:
    """(Dice − free) / (real − free); ``None`` where a part is missing or ``LEAST_ROOM`` is.

    >>> gain(0.75, 0.5, 1.0), gain(0.8, 0.7, 0.72)
    (0.5, None)
    """
    if dice is None or free is None or real is None or real - free < LEAST_ROOM:
        return None
    return (dice - free) / (real - free)


def reference_of(spec: RunSpec, specs: Sequence[RunSpec]) -> RunSpec | None:
    """The upper bookend's cell that a cell is a fraction of, if the sweep has one.

    Where the segmenter itself was fitted privately, it is that of the sweep's first segmenter.
    """
    if spec.generator.name == UPPER:
        return None
    return next(
        (
            s
            for s in specs
            if s.generator.name == UPPER
            and (s.seed == spec.seed or spec.generator.name in METHODS)
            and (spec.is_direct or s.segmenter == spec.segmenter)
        ),
        None,
    )


def fraction(result: Result, reference: Result | None) -> dict[str, float] | None:
    """Dice over the reference's Dice, by test set; ``None`` without a usable reference."""
    if reference is None:
        return None
    yardstick = {test.name: test.dice.mean for test in reference.test_sets}
    return {
        test.name: test.dice.mean / yardstick[test.name]
        for test in result.test_sets
        if yardstick.get(test.name)
    }


def _dice(result: Result) -> float:
    return result.validation.dice.mean if result.validation else 0.0


def _patients(result: Result) -> int | None:
    return result.validation.many if result.validation else None


class FreeRows:
    """The free rows among a sweep's finished cells.

    Args:
        cells: Finished cells with their results.
    """

    def __init__(self, cells: Iterable[tuple[RunSpec, Result]]) -> None:
        self._cells = [(spec, result) for spec, result in cells if is_free(spec)]

    def choice(self, segmenter: PlugIn) -> Choice | None:
        """The best for cells with that segmenter."""
        rows: dict[str, list[Result]] = {}
        for spec, result in self._beside(segmenter):
            rows.setdefault(spec.generator.name, []).append(result)
        return best_free(rows)

    def dice(self, choice: Choice, segmenter: PlugIn, seed: int, test_set: str) -> float | None:
        """The mean Dice of the chosen row's cell of that seed, if it is done; a method has one."""
        tests = (
            test
            for spec, result in self._beside(segmenter)
            if spec.generator.name == choice.name and (spec.seed == seed or choice.name in METHODS)
            for test in result.test_sets
            if test.name == test_set
        )
        return next((test.dice.mean for test in tests), None)

    def _beside(self, segmenter: PlugIn) -> Iterator[tuple[RunSpec, Result]]:
        for spec, result in self._cells:
            if spec.is_direct or spec.segmenter == segmenter:
                yield spec, result
