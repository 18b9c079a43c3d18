"""The free rows of a sweep, and by how much other rows exceed the best of them.

A free row uses no patient (ε = 0): random vessels (``simulator``), and segmenters that use
published constants alone. A generator that spends ε must beat the best of them. Which one that is
depends on the data, so it is chosen by mean Dice on *validation* patients. A choice on test
patients would favour the row that was lucky on them. The choice is made once for all test sets.

Free rows without such a score cannot be chosen among. The score is missing without validation
patients, in results of earlier versions, and where the patients are too few to publish it. Then the
simulator is used, whatever it reaches, and the table says that it was not chosen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

from benchmark.results.result import Result
from benchmark.results.spec import RunSpec
from benchmark.results.spec_parts import PlugIn

UPPER, LOWER = "real", "simulator"
METHODS = ("threshold", "frangi")
"""Segmenters that use published constants alone; each has a row of its own."""

FREE = (LOWER, *METHODS)
"""The free rows: they use no patient."""

LEAST_ROOM = 0.05
"""The least difference in Dice between real patches and the best free row for which a gain is
computed. With less, the divisor would be as small as the differences between fits
(docs/experiments.md)."""

GAIN = (
    "gain: (Dice − free) / (real − free), with free the best free row (ε = 0), marked *; empty "
    f"where `real` is missing or less than {LEAST_ROOM:g} above it."
)
COLUMNS = (
    "over free: Dice less that of the best free row (ε = 0, no patient looked at). gain: (Dice − "
    f"free) / (real − free), empty where `real` is missing or not {LEAST_ROOM:g} above that row; "
    "its interval, and that of Dice over real's (of real), is to first order."
)


class Choice(NamedTuple):
    """The free row that the others are compared with.

    Attributes:
        name: Its name.
        scores: The mean validation Dice of every free row; empty where there is none.
        patients: The number of validation patients; ``None`` if it was not chosen by them.
    """

    name: str
    scores: Mapping[str, float]
    patients: int | None

    @property
    def words(self) -> str:
        """A sentence that names the row and says why."""
        if self.patients is None:
            why = "not chosen, as not every free row has a score on validation patients"
            return f"The free row is {self.name}, {why}."
        told = ", ".join(f"{name} {dice:.3f}" for name, dice in self.scores.items())
        many = f"{self.patients} validation patient{'' if self.patients == 1 else 's'}"
        return f"The free row is {self.name}, the best by Dice on {many} ({told})."


def is_free(spec: RunSpec) -> bool:
    """Tell whether a cell is a free row."""
    return spec.generator.name in FREE and spec.epsilon == 0


def best_free(rows: Mapping[str, Sequence[Result]]) -> Choice | None:
    """Choose the best free row by mean validation Dice.

    Args:
        rows: The results of finished cells by the name of their free row.

    Returns:
        The choice; ``None`` if there is no free row.
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
    """Compute (Dice − free) / (real − free).

    Args:
        dice: The row's Dice.
        free: The Dice of the best free row.
        real: The Dice of the upper bookend.

    Returns:
        The gain; ``None`` where a value is missing or ``real`` is not ``LEAST_ROOM`` above
        ``free``.

    Examples:
        >>> gain(0.75, 0.5, 1.0), gain(0.8, 0.7, 0.72)
        (0.5, None)
    """
    if dice is None or free is None or real is None or real - free < LEAST_ROOM:
        return None
    return (dice - free) / (real - free)


def reference_of(spec: RunSpec, specs: Sequence[RunSpec]) -> RunSpec | None:
    """Find the upper bookend's cell that a cell is compared with.

    It has the same seed and segmenter. Where the segmenter itself was fitted privately, it is the
    one of the sweep's first segmenter.

    Args:
        spec: The cell.
        specs: The sweep's cells.

    Returns:
        The reference; ``None`` if the sweep has none, or for the upper bookend itself.
    """
    return references_of([spec], specs)[spec.key]


def references_of(cells: Sequence[RunSpec], specs: Sequence[RunSpec]) -> dict[str, RunSpec | None]:
    """Find the references of several cells, by their keys: see ``reference_of``.

    Args:
        cells: The cells.
        specs: The sweep's cells.
    """
    uppers = [spec for spec in specs if spec.generator.name == UPPER]
    of_seed: dict[int, list[RunSpec]] = {}
    for upper in uppers:
        of_seed.setdefault(upper.seed, []).append(upper)
    return {
        spec.key: _reference(
            spec, uppers if spec.generator.name in METHODS else of_seed.get(spec.seed, [])
        )
        for spec in cells
    }


def _reference(spec: RunSpec, uppers: Sequence[RunSpec]) -> RunSpec | None:
    if spec.generator.name == UPPER:
        return None
    fits = (s for s in uppers if spec.is_direct or s.segmenter == spec.segmenter)
    return next(fits, None)


def fraction(result: Result, reference: Result | None) -> dict[str, float] | None:
    """Divide a cell's Dice by its reference's Dice, for each test set.

    Returns:
        The fractions by test set; ``None`` without a reference.
    """
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
        self._chosen: list[tuple[PlugIn, Choice | None]] = []
        self._scored: list[tuple[PlugIn, dict[tuple[str, int | None, str], float]]] = []

    def choice(self, segmenter: PlugIn) -> Choice | None:
        """Choose the best free row for cells with a segmenter.

        Returns:
            The choice; ``None`` if there is no free row.
        """
        known = [choice for plug_in, choice in self._chosen if plug_in == segmenter]
        if known:
            return known[0]
        rows: dict[str, list[Result]] = {}
        for spec, result in self._beside(segmenter):
            rows.setdefault(spec.generator.name, []).append(result)
        self._chosen.append((segmenter, best_free(rows)))
        return self._chosen[-1][1]

    def dice(self, choice: Choice, segmenter: PlugIn, seed: int, test_set: str) -> float | None:
        """Return the mean Dice of the chosen row's cell on a test set.

        A method has one cell for all seeds.

        Args:
            choice: The chosen row.
            segmenter: The segmenter of the compared cell.
            seed: The seed of the compared cell.
            test_set: The test set's name.

        Returns:
            The mean; ``None`` if that cell is not done.
        """
        asked = None if choice.name in METHODS else seed
        return self._dice_beside(segmenter).get((choice.name, asked, test_set))

    def _dice_beside(self, segmenter: PlugIn) -> dict[tuple[str, int | None, str], float]:
        """Mean Dice by row, seed and test set; a method's is of no seed."""
        known = [found for plug_in, found in self._scored if plug_in == segmenter]
        if known:
            return known[0]
        found: dict[tuple[str, int | None, str], float] = {}
        for spec, result in self._beside(segmenter):
            name = spec.generator.name
            for test in result.test_sets:
                seed = None if name in METHODS else spec.seed
                found.setdefault((name, seed, test.name), test.dice.mean)
        self._scored.append((segmenter, found))
        return found

    def _beside(self, segmenter: PlugIn) -> Iterator[tuple[RunSpec, Result]]:
        for spec, result in self._cells:
            if spec.is_direct or spec.segmenter == segmenter:
                yield spec, result
