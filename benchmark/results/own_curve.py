"""Dice against the number of own patients, as ``--own-patients`` asks for it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.core.files import write_text
from benchmark.results.outcome import Outcome
from benchmark.results.result import Result
from benchmark.results.scored import TestSet
from benchmark.results.spec import RunSpec
from benchmark.results.store import Store
from benchmark.results.summary import called

OWN_CURVE = "own-patients.csv"
ALONE = "own patients alone"


@dataclass(frozen=True, kw_only=True)
class OwnPoint:
    """The score of a segmenter that learnt from some own patients, on one test set.

    Attributes:
        generator: The generator whose synthetic patches it also learnt from; ``ALONE`` for none.
        segmenter: Its name.
        epsilon: The target of the generator's fit; ``None`` for ``ALONE``, as none is claimed.
        seed: The cell's seed.
        own_patients: The number of own patients whose patches it learnt from.
        test_set: The test set's name.
        dice: The mean over the patients of the test set.
        dice_low: The lower end of its 95 % interval over them.
        dice_high: The upper end.
        patients: The number of these patients.
    """

    generator: str
    segmenter: str
    epsilon: float | None
    seed: int
    own_patients: int
    test_set: str
    dice: float
    dice_low: float
    dice_high: float
    patients: int | None


def own_curve(outcomes: Sequence[Outcome], store: Store) -> list[OwnPoint]:
    """Collect the points of the sweep's cells.

    Returns:
        The points; none where no own patients were asked for.
    """
    found: dict[tuple[Any, ...], OwnPoint] = {}
    for outcome in outcomes:
        result = store.result(outcome.spec)
        if result is None or not outcome.spec.own_counts:
            continue
        for said in judgements(result):
            for point in _points(outcome.spec, said):
                found.setdefault(_what(point), point)
    return [*found.values()]


class Judgement(NamedTuple):
    """The scores with some own patients.

    Attributes:
        patients: The number of own patients.
        alone: Whether the segmenter learnt from these alone.
        tests: The test sets.
    """

    patients: int
    alone: bool
    tests: Sequence[TestSet]


def judgements(result: Result) -> Iterator[Judgement]:
    """Yield all judgements of a result, first the one without own patients.

    A result that has no own patients yields none.
    """
    if result.own:
        yield Judgement(0, False, result.test_sets)
    for one in result.own:
        yield Judgement(one.patients, False, one.test_sets)
        yield Judgement(one.patients, True, one.alone)


def write_own_curve(path: Path, points: Sequence[OwnPoint]) -> None:
    """Write the points as CSV, whole or not at all."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(OwnPoint.__dataclass_fields__)
    for point in points:
        writer.writerow(_text(value) for value in vars(point).values())
    write_text(path, out.getvalue())


def _points(spec: RunSpec, said: Judgement) -> Iterator[OwnPoint]:
    name = called(spec) + (", tuned" if spec.tuned else "")
    for test in said.tests:
        yield OwnPoint(
            generator=ALONE if said.alone else name,
            segmenter=spec.segmenter.title,
            epsilon=None if said.alone else spec.epsilon,
            seed=spec.seed,
            own_patients=said.patients,
            test_set=test.name,
            dice=test.dice.mean,
            dice_low=test.dice.low,
            dice_high=test.dice.high,
            patients=test.many,
        )


def _what(point: OwnPoint) -> tuple[Any, ...]:
    """All that tells a point from others."""
    who = (point.generator, point.segmenter, point.epsilon, point.seed)
    return (*who, point.own_patients, point.test_set)


def _text(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else value
