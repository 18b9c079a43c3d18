"""The board of cells: rows over seeds, in tables whose rows may be ranked.

Rows of one table differ in nothing but what is compared. They share the protected unit, δ, the
neighbouring relation, the cohort, the test sets, the protocol and the segmenter. A segmenter that
was itself fitted privately is compared with every one, so its row is in each table that shares the
rest. Results of another version of their generator than the installed one are listed apart and are
not compared. Everything here may be published, unless ``tables_of`` was called for the owner of the
data.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from benchmark.core.budget import RELATION, Guarantee
from benchmark.core.editions import DEFAULT, edition_of
from benchmark.data.phantom.cohorts import FIRST
from benchmark.results.bookends import FREE, UPPER
from benchmark.results.over_seeds import is_certain
from benchmark.results.settings import all_settings
from benchmark.results.spec import RunSpec, canonical
from benchmark.results.summary import called
from leaderboard.command import changed_settings, cohort_of, preset_of
from leaderboard.entries import Entry
from leaderboard.rows import Row, Table
from leaderboard.scores import Bookends, scored_on, tests_on
from leaderboard.sharing import is_of_phantoms, shared
from leaderboard.spreads import with_spreads
from leaderboard.versions import why_unranked


def tables_of(entries: Iterable[Entry], *, for_owner: bool = False) -> list[Table]:
    """Make the tables of cells, the first that a reader wants first, without what may not leave.

    That is the present protocol's, of patients, on the first embedded cohort, the largest first.

    Args:
        entries: The cells.
        for_owner: Whether the reader has the data, and may see means over few patients.
    """
    entries = list(entries)
    phantoms = {entry.spec.data for entry in entries if is_of_phantoms(entry)}
    groups: dict[str, list[Entry]] = {}
    for entry in sorted(entries, key=lambda entry: entry.spec.is_direct):
        unfinished = entry.status != "done" and entry.spec.data in phantoms
        free = unfinished or is_of_phantoms(entry)
        one = shared(entry, phantoms=free, for_owner=for_owner)
        for said in _tables_for(one, groups):
            groups.setdefault(said, []).append(one)
    return sorted(
        (_table(said, group, phantoms) for said, group in groups.items()),
        key=_precedence,
    )


def _precedence(table: Table) -> tuple[bool, bool, bool, int, str]:
    spec = table.common
    return (
        edition_of(spec.protocol) != DEFAULT,
        spec.unit != "patient",
        cohort_of(spec) != FIRST,
        -len(table.rows),
        table.key,
    )


def _tables_for(entry: Entry, groups: Mapping[str, Sequence[Entry]]) -> list[str]:
    """The table of a cell's segmenter; for one that was itself fitted, all that share the rest."""
    if not entry.spec.is_direct:
        return [_shared(entry)]
    mine = canonical(_but_segmenter(entry))
    beside = [said for said, group in groups.items() if canonical(_but_segmenter(group[0])) == mine]
    return beside or [_shared(entry)]


def _shared(entry: Entry) -> str:
    """All that rows of one table have in common."""
    said = entry.spec.segmenter
    segmenter = [said.name, said.version, dict(said.settings)]
    law, data, tests, schema = _but_segmenter(entry)
    return canonical([law, data, tests, segmenter, schema])


def _but_segmenter(entry: Entry) -> list[Any]:
    spec = entry.spec
    own = [] if spec.own is None else [spec.as_dict()["own"]]
    planted = [spec.canaries] if spec.canaries else []
    tests = [dict(spec.test_data), dict(spec.protocol), *own, *planted]
    law = [spec.unit, spec.delta, _relation(entry)]
    return [law, spec.data, tests, spec.schema]


def _relation(entry: Entry) -> str:
    return entry.result.guarantee.relation if entry.result else RELATION


def _table(said: str, entries: Sequence[Entry], phantoms: set[str]) -> Table:
    lines: dict[str, dict[int, Entry]] = {}
    for entry in sorted(entries, key=lambda e: (e.spec.seed, e.spec.key)):
        line = lines.setdefault(_line(entry), {})
        before = line.get(entry.spec.seed)
        if before is None or _says(entry) > _says(before):
            line[entry.spec.seed] = entry
    present = [e for e in entries if not (e.faults or why_unranked(e.spec))]
    bookends = Bookends(present)
    rows = [_row([*cells.values()], bookends) for cells in lines.values()]
    common = entries[0].spec
    return Table(
        key=hashlib.sha256(said.encode()).hexdigest()[:8],
        common=common,
        phantoms=common.data in phantoms,
        relation=_relation(entries[0]),
        free=bookends.choice,
        rows=sorted(told_apart(with_spreads(rows)), key=_order),
    )


def _line(entry: Entry) -> str:
    """All that decides a row: everything but the seed, and which weights FID was computed with."""
    spec = entry.spec
    settings = {"name": spec.generator.name, "settings": dict(spec.generator.settings)}
    more = [
        spec.epsilon,
        spec.noise,
        spec.sites,
        *(spec.as_dict()[name] for name in ("federation", "tuned")),
    ]
    return canonical([settings, spec.generator.version, more, bool(entry.faults)])


def _says(entry: Entry) -> tuple[bool, bool, bool]:
    """How much a cell tells: of two that differ in FID's weights, one with FID stands for both.

    Of two cells of a free row one that validation patients scored does.
    """
    result = entry.result
    if result is None:
        return False, False, False
    return True, bool(result.validation), bool(result.fid and result.fid.value is not None)


def _row(cells: Sequence[Entry], bookends: Bookends) -> Row:
    spec, done = cells[0].spec, [cell for cell in cells if cell.status == "done"]
    other = f" (version {spec.generator.version})" if why_unranked(spec) else ""
    tests = {name: tests_on(name, done) for name in spec.test_data}
    return Row(
        who=called(spec) + (", tuned" if spec.tuned else "") + other,
        cells=cells,
        tests={
            name: scored_on(
                told, name, Bookends([]) if other else bookends, certain=is_certain(spec)
            )
            for name, told in tests.items()
            if told
        },
        guarantee=_worst([cell.told.guarantee for cell in done]),
    )


def _worst(said: Sequence[Guarantee]) -> Guarantee | None:
    return max(said, key=lambda one: one.epsilon, default=None)


def told_apart(rows: Sequence[Row]) -> list[Row]:
    """Return rows with names that say in what those of one name differ."""
    return [row for group in _alike(rows) for row in _named(group)]


def _alike(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows of each name."""
    groups: dict[tuple[str, bool, float | None], list[Row]] = {}
    for row in rows:
        level = row.spec.epsilon if row.spec.tuned else None
        groups.setdefault((row.who, row.is_refused, level), []).append(row)
    return [*groups.values()]


def _named(rows: Sequence[Row]) -> list[Row]:
    said = [_aspects(row.spec) for row in rows]
    names = dict.fromkeys(name for one in said for name in one)
    differ = [name for name in names if len({str(one.get(name)) for one in said}) > 1]
    named = [replace(row, who=_name(row, differ)) for row in rows] if differ else [*rows]
    return [row for group in _alike(named) for row in _assigned(group)]


def _assigned(rows: Sequence[Row]) -> list[Row]:
    """Rows of one name at one ε differ in which patients are at which site, if in anything."""
    levels = [row.spec.epsilon for row in rows]
    how = [row.spec.federation and row.spec.federation.assignment for row in rows]
    if len({*levels}) == len(levels) or len({*how}) == 1:
        return [*rows]
    return [
        replace(row, who=f"{row.who}, assignment {said}") if said else row
        for row, said in zip(rows, how, strict=True)
    ]


def _name(row: Row, differ: Sequence[str]) -> str:
    said, spec = _aspects(row.spec), row.spec
    usual = said.keys() - changed_settings(spec, preset_of(spec.protocol)) - OF_FIT
    told = [f"{name}={said[name]}" for name in differ if name in said and name not in usual]
    return ", ".join([row.who, *told])


OF_FIT = {
    "noise",
    "version",
    "design",
    "rounds",
    "local_steps",
    "partition",
    "of",
    "study",
    "curious",
}
"""Aspects that may distinguish rows beside their settings, and have no usual value."""


def _aspects(spec: RunSpec) -> dict[str, Any]:
    """All that may tell rows of one name apart."""
    noise = {} if spec.noise == "seeded" else {"noise": spec.noise}
    study = {"study": spec.tuned.study} if spec.tuned else {}
    fit = {"version": spec.generator.version, **(spec.as_dict()["federation"] or {})}
    fit.pop("assignment", None)  # a digest tells a reader nothing
    return {**all_settings(spec.registry, spec.generator), **noise, **fit, **study}


def _order(row: Row) -> tuple[bool, bool, str, float, str]:
    free = {name: f"3{number}" for number, name in enumerate(FREE)}
    usual = "2" if row.is_direct else "1"
    rank = {UPPER: "0", **free}.get(row.spec.generator.name, usual)
    epsilon = row.spec.epsilon
    level = -epsilon if math.isfinite(epsilon) else -math.inf
    apart = row.is_refused, bool(row.unranked)
    return *apart, rank + row.who, level, row.cells[0].spec.key
