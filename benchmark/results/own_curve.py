"""Dice against the number of own patients: the curve that ``--own-patients`` asks for."""

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
    """What a segmenter reached with some own patients on one test set.

    Attributes:
        generator: Whose synthetic patches it learnt from too; ``ALONE`` for none.
        segmenter: Its name.
        epsilon: The target of the generator's fit; ``None`` for ``ALONE``, as none is claimed.
        seed: The cell's.
        own_patients: From how many own patients' patches it learnt.
        test_set: Its name.
        dice: The mean over the patients of the test set.
        dice_low: The lower end of its 95 % interval over them.
        dice_high: The upper end.
        patients: How many they are.
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
    """Every point of the sweep's cells; none where no own patients were asked for."""
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
    """Some own patients, whether alone, and the tests."""

    patients: int
    alone: bool
    tests: Sequence[TestSet]


def judgements(result: Result) -> Iterator[Judgement]:
    """All of a result, that without own patients first; none if it has no others."""
    if result.own:
        yield Judgement(0, False, result.test_sets)
    for one in result.own:
        yield Judgement(one.patients, False, one.test_sets)
        yield Judgement(one.patients, True, one.alone)


def write_own_curve(path: Path, points: Sequence[OwnPoint]) -> None:
    """Writes the points as CSV, whole or not at all."""
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
            segmenter=spec.segmenter.name,
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
