"""The cross-site matrix: generators trained at one site and tested on another site's patients."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmark.core.files import write_text
from benchmark.results.outcome import Outcome
from benchmark.results.result import Result
from benchmark.results.spec import MAIN_TEST, RunSpec
from benchmark.results.store import Store

MATRIX = "matrix.csv"
TOGETHER, POOLED = "all sites, federated", "all patients, pooled"


@dataclass(frozen=True, kw_only=True)
class Square:
    """One entry of the cross-site matrix.

    Attributes:
        generator: Its name.
        segmenter: The segmenter's name.
        epsilon: The target.
        trained: The site at which it was trained, ``TOGETHER`` or ``POOLED``.
        tested: The site whose held-out patients it was tested on.
        dice: Their mean Dice, over patients and seeds; ``None`` if the site has none.
        patients: The number of these patients.
    """

    generator: str
    segmenter: str
    epsilon: float
    trained: str
    tested: str
    dice: float | None
    patients: int


def cross_site(
    outcomes: Sequence[Outcome], held_out: Mapping[str, Sequence[str]], store: Store
) -> list[Square]:
    """Compute every entry that the sweep's cells allow.

    Args:
        outcomes: The sweep's cells.
        held_out: The held-out patients of the main test set at every site.
        store: Where the cells' results are.
    """
    names = {o.spec.generator.name for o in outcomes if o.spec.is_federated}
    found: dict[tuple[Any, ...], list[float]] = {}
    for outcome in outcomes:
        result = store.result(outcome.spec)
        if result is None or outcome.spec.generator.name not in names:
            continue
        for tested, patients in held_out.items():
            values = found.setdefault((*_line(outcome.spec), tested), [])
            values += _dice_of(result, patients)
    return [
        Square(
            generator=generator,
            segmenter=segmenter,
            epsilon=epsilon,
            trained=trained,
            tested=tested,
            dice=fmean(values) if values else None,
            patients=len(held_out[tested]),
        )
        for (generator, segmenter, epsilon, trained, tested), values in sorted(
            found.items(), key=lambda item: _order(*item[0])
        )
    ]


def write_matrix(path: Path, squares: Sequence[Square]) -> None:
    """Write the entries as CSV, whole or not at all.

    Args:
        path: The file.
        squares: The entries.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(Square.__dataclass_fields__)
    for square in squares:
        dice = "" if square.dice is None else f"{square.dice:.6g}"
        values: Mapping[str, Any] = {**vars(square), "dice": dice}
        writer.writerow(values.values())
    write_text(path, out.getvalue())


def _order(
    generator: str, segmenter: str, epsilon: float, trained: str, tested: str
) -> tuple[Any, ...]:
    """By falling ε; the sites by name, then all patients, pooled and federated."""
    of_all = (POOLED, TOGETHER)
    last = of_all.index(trained) + 1 if trained in of_all else 0
    return generator, segmenter, -epsilon, last, trained, tested


def _line(spec: RunSpec) -> tuple[str, str, float, str]:
    trained = TOGETHER if spec.is_federated else spec.alone_at or POOLED
    return spec.generator.name, spec.segmenter.title, spec.epsilon, trained


def _dice_of(result: Result, patients: Sequence[str]) -> list[float]:
    """The Dice of some held-out patients of the main test set."""
    main = result.test(MAIN_TEST)
    return [one.dice for one in main.patients if one.patient in patients] if main else []
