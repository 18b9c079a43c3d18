"""Cells as a leaderboard: rows over seeds, in tables whose rows may be ranked.

Rows of one table differ in nothing but what is compared: they share the protected unit, δ, the
cohort, the test sets, the protocol and the segmenter.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from benchmark.core.budget import Guarantee
from benchmark.metrics.bootstrap import Interval, interval
from benchmark.metrics.scores import Scores
from benchmark.sweep.planning import LOWER, UPPER
from benchmark.sweep.sites import alone_at
from benchmark.sweep.spec import RunSpec, canonical
from benchmark.sweep.summary import ALL, who
from leaderboard.entries import Entry


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A row's scores on one test set: means over patients and seeds, with 95 % intervals.

    Attributes:
        scores: By the names in ``Scores``; ``None`` where no patient has such vessels.
        fraction_of_real: Dice over that of the upper bookend.
        over_simulator: By how much Dice is above the data-free bookend's, paired by patient.
        by_site: Dice by the site of the tested patients.
    """

    scores: Mapping[str, Interval | None]
    fraction_of_real: float | None = None
    over_simulator: Interval | None = None
    by_site: Mapping[str, float]

    @property
    def dice(self) -> Interval:
        """Dice, which every patient has."""
        found = self.scores["dice"]
        if found is None:
            raise ValueError("every patient has a Dice")
        return found


@dataclass(frozen=True, kw_only=True)
class Row:
    """One generator with its settings at one privacy level: its cells differ in the seed alone.

    Attributes:
        who: The generator's name, where it was trained, and whether it was tuned.
        cells: Finished or not, by seed.
        asked: How many seeds the table has.
        tests: Scores by test set; empty if no cell is done.
        guarantee: The worst of its cells'; ``None`` if no cell is done.
    """

    who: str
    cells: Sequence[Entry]
    asked: int
    tests: Mapping[str, Scored]
    guarantee: Guarantee | None

    @property
    def spec(self) -> RunSpec:
        """The first seed's."""
        return self.cells[0].spec

    @property
    def done(self) -> list[Entry]:
        """The finished cells."""
        return [cell for cell in self.cells if cell.status == "done"]

    @property
    def is_bookend(self) -> bool:
        """Whether it is there to be compared with."""
        return self.spec.generator.name in (UPPER, LOWER)

    def mean(self, of: Callable[[Mapping[str, Any]], float | None]) -> float | None:
        """A number's mean over the finished cells that have it."""
        values = [value for cell in self.done if (value := of(cell.result)) is not None]
        return fmean(values) if values else None


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows that may be ranked against each other.

    Attributes:
        key: Of all that they share.
        common: The spec of one of them, for what they share.
        phantoms: Whether nobody is concerned by the data.
        rows: The upper bookend, generators by name and falling ε, the lower bookend.
    """

    key: str
    common: RunSpec
    phantoms: bool
    rows: Sequence[Row]

    @property
    def test_sets(self) -> list[str]:
        """Their names, the main one first."""
        return list(self.common.test_data)


def tables_of(entries: Iterable[Entry]) -> list[Table]:
    """The tables, the largest first."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(_shared(entry.spec), []).append(entry)
    return sorted(
        (_table(said, group) for said, group in groups.items()),
        key=lambda table: (-len(table.rows), table.key),
    )


def _shared(spec: RunSpec) -> str:
    """All that rows of one table have in common."""
    segmenter = [spec.segmenter.name, spec.segmenter.version, dict(spec.segmenter.settings)]
    tests = [dict(spec.test_data), dict(spec.protocol)]
    return canonical([spec.unit, spec.delta, spec.data, tests, segmenter, spec.schema])


def _table(said: str, entries: Sequence[Entry]) -> Table:
    lines: dict[str, list[Entry]] = {}
    for entry in sorted(entries, key=lambda e: e.spec.seed):
        lines.setdefault(_line(entry.spec), []).append(entry)
    asked = len({entry.spec.seed for entry in entries})
    rows = sorted((_row(cells, asked, entries) for cells in lines.values()), key=_order)
    return Table(
        key=hashlib.sha256(said.encode()).hexdigest()[:8],
        common=entries[0].spec,
        phantoms=all(not e.result["private_data"] for e in entries if e.status == "done"),
        rows=rows,
    )


def _line(spec: RunSpec) -> str:
    """All that decides a row: everything but the seed."""
    settings = {"name": spec.generator.name, "settings": dict(spec.generator.settings)}
    more = [spec.epsilon, spec.noise, spec.sites, spec.federation, spec.tuned]
    return canonical([settings, spec.generator.version, more])


def _row(cells: Sequence[Entry], asked: int, all_cells: Sequence[Entry]) -> Row:
    spec, done = cells[0].spec, [cell for cell in cells if cell.status == "done"]
    name = who(spec.generator.name, spec.sites, alone_at(spec) or ALL)
    return Row(
        who=name + (", tuned" if spec.tuned else ""),
        cells=cells,
        asked=asked,
        tests={name: _scored(name, done, all_cells) for name in spec.test_data} if done else {},
        guarantee=_worst([Guarantee.from_dict(cell.result["guarantee"]) for cell in done]),
    )


def _worst(said: Sequence[Guarantee]) -> Guarantee | None:
    return max(said, key=lambda one: one.epsilon, default=None)


def _scored(name: str, done: Sequence[Entry], all_cells: Sequence[Entry]) -> Scored:
    tests = [scores_on(name, cell) for cell in done]
    scores = {score: _over(tests, score) for score in Scores._fields}
    dice, real = scores["dice"], _bookend(name, UPPER, all_cells)
    mean = real and fmean(test["dice"]["mean"] for test in real)
    patients, simulated = (
        per_patient(t, "dice") for t in (tests, _bookend(name, LOWER, all_cells))
    )
    gains = [patients[one] - simulated[one] for one in patients if one in simulated]
    return Scored(
        scores=scores,
        fraction_of_real=dice.mean / mean if dice and mean else None,
        over_simulator=interval(gains) if gains else None,
        by_site=_by_site(tests),
    )


def scores_on(name: str, cell: Entry) -> Mapping[str, Any]:
    """What a finished cell says of a test set."""
    found: Mapping[str, Any] = next(t for t in cell.result["test_sets"] if t["name"] == name)
    return found


def _bookend(name: str, bookend: str, cells: Sequence[Entry]) -> list[Mapping[str, Any]]:
    return [
        scores_on(name, cell)
        for cell in cells
        if cell.status == "done" and cell.spec.generator.name == bookend
    ]


def per_patient(tests: Sequence[Mapping[str, Any]], score: str) -> dict[str, float]:
    """Each patient's mean over seeds; of patients whose scores are told."""
    values: dict[str, list[float]] = {}
    for row in (row for test in tests for row in test.get("patients", ())):
        if row[score] is not None:
            values.setdefault(row["patient"], []).append(row[score])
    return {patient: fmean(scores) for patient, scores in values.items()}


def _over(tests: Sequence[Mapping[str, Any]], score: str) -> Interval | None:
    """Over patients, each a mean over seeds; over seeds, where single patients are not told."""
    patients = per_patient(tests, score)
    if patients:
        return interval(list(patients.values()))
    told = [test[score] for test in tests if test.get(score) is not None]
    if not told:
        return None
    low, high = min(one["low"] for one in told), max(one["high"] for one in told)
    return Interval(fmean(one["mean"] for one in told), low, high)


def _by_site(tests: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for row in (row for test in tests for row in test.get("patients", ())):
        if row["site"]:
            values.setdefault(row["site"], []).append(row["dice"])
    return {site: fmean(values[site]) for site in sorted(values)}


def _order(row: Row) -> tuple[str, float, str]:
    rank = {UPPER: "0", LOWER: "2"}.get(row.spec.generator.name, "1")
    epsilon = row.spec.epsilon
    return rank + row.who, -epsilon if math.isfinite(epsilon) else -math.inf, row.spec.noise
