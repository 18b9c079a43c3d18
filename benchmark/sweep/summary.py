"""The sweep as rows: one for each cell and test set, as ``summary.csv`` has them."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.core.budget import Guarantee, Unit
from benchmark.metrics.scores import Scores
from benchmark.privacy.composition import total_epsilon
from benchmark.sweep.runner import Outcome
from benchmark.sweep.spec import RunSpec, number
from benchmark.sweep.store import Store, write_text
from benchmark.sweep.worker import fraction

SUMMARY = "summary.csv"
APPENDED = [name for name in Scores._fields if name not in ("dice", "hd95_mm")]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One cell on one test set; what is not known is ``None``."""

    generator: str
    segmenter: str
    epsilon: float
    unit: str
    epsilon_patch: float | None
    epsilon_patient: float | None
    delta: float
    seed: int
    sites: int
    test_set: str
    dice: float | None
    dice_low: float | None
    dice_high: float | None
    fraction_of_real: float | None
    hd95_mm: float | None
    fid: float | None
    fid_dims: int | None
    fid_n: int | None
    offline_distance: float | None
    seconds: float | None
    status: str
    run_key: str
    bavd_mm: float | None = None
    cldice: float | None = None
    precision: float | None = None
    recall: float | None = None
    dice_thin: float | None = None
    dice_medium: float | None = None
    dice_thick: float | None = None
    kid: float | None = None


class Together(NamedTuple):
    """The composed ε of whoever sees every private fit of a sweep.

    Attributes:
        fits: Fits with a finite ε; those without have none to compose.
        unit: Their unit.
        delta: δ of the whole.
        epsilon: Composed, for the unit.
        epsilon_patient: Composed, for a patient.
    """

    fits: int
    unit: Unit
    delta: float
    epsilon: float
    epsilon_patient: float


def rows(
    outcomes: Sequence[Outcome], references: dict[str, RunSpec | None], store: Store
) -> list[Row]:
    """Every cell's rows, in the sweep's order; failed cells have rows without scores."""
    made = []
    for outcome in outcomes:
        spec = outcome.spec
        result = store.result(spec)
        reference = references.get(spec.key)
        shares = fraction(result, store.result(reference) if reference else None) if result else {}
        for name in spec.test_data:
            made.append(_row(outcome, name, result, (shares or {}).get(name)))
    return made


def together(outcomes: Sequence[Outcome], store: Store) -> Together | None:
    """What all private fits of the sweep cost together; ``None`` where there are fewer than two."""
    results = (store.result(outcome.spec) for outcome in outcomes)
    found = [Guarantee.from_dict(result["guarantee"]) for result in results if result]
    private = [g for g in found if 0 < g.epsilon < math.inf]
    if len(private) < 2:
        return None
    delta = max(g.delta for g in private)
    return Together(
        fits=len(private),
        unit=private[0].unit,
        delta=delta,
        epsilon=total_epsilon(private, delta, unit=private[0].unit),
        epsilon_patient=total_epsilon(private, delta),
    )


def _row(
    outcome: Outcome, test_set: str, result: dict[str, Any] | None, share: float | None
) -> Row:
    spec = outcome.spec
    result = result or {}
    guarantee, fid = result.get("guarantee", {}), result.get("fid", {})
    tests = {tested["name"]: tested for tested in result.get("test_sets", ())}
    scores = tests.get(test_set, {})
    dice = scores.get("dice", {})
    return Row(
        generator=spec.generator.name,
        segmenter=spec.segmenter.name,
        epsilon=spec.epsilon,
        unit=spec.unit,
        epsilon_patch=number(guarantee.get("epsilon_patch")),
        epsilon_patient=number(guarantee.get("epsilon_patient")),
        delta=spec.delta,
        seed=spec.seed,
        sites=spec.sites,
        test_set=test_set,
        dice=dice.get("mean"),
        dice_low=dice.get("low"),
        dice_high=dice.get("high"),
        fraction_of_real=share,
        hd95_mm=scores.get("hd95_mm", {}).get("mean"),
        fid=fid.get("value"),
        fid_dims=fid.get("dims"),
        fid_n=fid.get("n"),
        offline_distance=result.get("offline_distance"),
        seconds=result.get("seconds", {}).get("total"),
        status="done" if outcome.state == "kept" else outcome.state,
        run_key=spec.key,
        kid=fid.get("kid"),
        **{name: (scores.get(name) or {}).get("mean") for name in APPENDED},
    )


def write_summary(path: Path, table: Sequence[Row]) -> None:
    """Writes the rows as CSV, whole or not at all."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([f.name for f in fields(Row)])
    for row in table:
        writer.writerow([_text(value) for value in astuple(row)])
    write_text(path, out.getvalue())


def _text(value: Any) -> Any:
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.6g}"
    return "" if value is None else value
