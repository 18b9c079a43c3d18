"""The board as data for the page's script: plain JSON, rounded numbers, finished sentences."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any

from benchmark.core.budget import delta_text, epsilon_text
from benchmark.core.editions import DEFAULT, edition_of
from benchmark.data.phantom.cohorts import FIRST
from benchmark.results.explanation import explain
from benchmark.results.looks import Look, looks_of
from benchmark.results.settings import all_settings
from leaderboard.charts import PAPER, Levels, charts
from leaderboard.cohorts import Cohorts
from leaderboard.columns import (
    distance_of,
    far_name,
    fid_in_words,
    fid_of,
    fid_value,
    mask_distance_of,
    name_of,
    peak_of,
    plug_ins_of,
    seconds_of,
    selection_of,
    short,
    sortable,
    status_of,
    suite_of,
    version_of,
)
from leaderboard.command import changed_settings, cohort_of, command_of, preset_of
from leaderboard.markdown import COLUMNS
from leaderboard.notes import notes_of
from leaderboard.points import data_of, ends_of
from leaderboard.rows import Row, Table
from leaderboard.standings import free_p, levels_of
from leaderboard.told import scored_json, standings_json
from leaderboard.trends import trend_sentences

PICTURES_KIB = 1200
"""The most KiB of pictures in a page."""

NO_PICTURE = "Left out, as the page would grow too large; the cell's folder has it."
ANOTHER_DRAW = (
    "It gives the tuned settings one by one: the same fit, under another key, as that names no "
    "study; seeded noise is mixed with the key, so that it is another draw."
)


class Pictures:
    """PNG files as base64 texts, up to a total size."""

    def __init__(self) -> None:
        self._left = PICTURES_KIB * 1024

    def of(self, files: Mapping[str, bytes]) -> dict[str, str]:
        """Return the pictures by name; empty texts if they do not fit any more."""
        texts = {name: base64.b64encode(png).decode() for name, png in files.items()}
        size = sum(map(len, texts.values()))
        if size > self._left:
            return dict.fromkeys(texts, "")
        self._left -= size
        return texts


def view_of(tables: Sequence[Table]) -> dict[str, Any]:
    """Return everything that the page shows."""
    pictures, cohorts = Pictures(), Cohorts(tables)
    return {
        "no_picture": NO_PICTURE,
        "headings": [column.heading for column in COLUMNS],
        "start": _start(tables),
        "tables": [_table(table, pictures, cohorts) for table in tables],
    }


def _start(tables: Sequence[Table]) -> int:
    """The table that opens: of patients, with private rows to rank, the present protocol's."""

    def last(number: int) -> tuple[bool, bool, bool, bool]:
        table = tables[number]
        rivals = (row for row in table.rows if row.is_rival and row.done)
        ranked = any(row.spec.epsilon < math.inf for row in rivals)
        old = edition_of(table.common.protocol) != DEFAULT
        other = cohort_of(table.common) != FIRST
        return not ranked, table.common.unit != "patient", old, other

    return min(range(len(tables)), key=last, default=0)


def title_of(table: Table) -> str:
    """Describe in a line what a table's rows share."""
    spec, protocol = table.common, table.common.protocol
    data = _patients(table)
    data += f" less {max(spec.own.patients)} own patients" if spec.own else ""
    return (
        f"one {spec.unit} protected, δ = {delta_text(spec.delta)}, {data}, {spec.segmenter.title}, "
        f"{protocol['samples']} patches of {protocol['patch_size']}², "
        f"protocol {edition_of(protocol)}"
    )


def _patients(table: Table) -> str:
    spec = table.common
    if not table.phantoms:
        return f"cohort {spec.data[:8]}"
    name = cohort_of(spec)
    return "embedded phantoms" if name == FIRST else f"embedded phantoms, {name} labels"


def _table(table: Table, pictures: Pictures, cohorts: Cohorts) -> dict[str, Any]:
    published = [*PAPER] if table.common.unit == "patch" else []
    levels = Levels([row.spec.epsilon for row in table.rows] + published)
    far = far_name(table)
    free = {name: free_p(table, name) for name in table.test_sets}
    rows = [_row(number, table, free, pictures) for number in range(len(table.rows))]
    names = _names(table)
    data = {name: data_of(name, table, levels) for name in table.test_sets}
    return {
        "key": table.key,
        "title": title_of(table),
        "unit": table.common.unit,
        "relation": table.relation,
        "free": table.free.name if table.free else None,
        "notes": notes_of(table),
        "test_sets": table.test_sets,
        "far": far,
        "rows": rows,
        "levels": [sortable(level) for level in levels_of(table)],
        "standings": {
            name: standings_json(table, name, free[name], cohorts) for name in table.test_sets
        },
        "trends": {name: trend_sentences(table, name) for name in table.test_sets},
        "data": data,
        "ends": {name: ends_of(found) for name, found in data.items()},
        "charts": [vars(chart) for chart in charts(levels, far, names)],
        "looks": [look._asdict() for look in names.values()],
    }


def _names(table: Table) -> dict[str, Look]:
    """Who is shown and how, the bookends last."""
    rows = sorted(table.rows, key=lambda row: row.is_bookend)
    return looks_of({name_of(row): row.spec.generator.name for row in rows if row.is_compared})


def _row(
    number: int, table: Table, free: Mapping[str, Mapping[int, float]], pictures: Pictures
) -> dict[str, Any]:
    row = table.rows[number]
    spec, said = row.spec, row.guarantee
    suite, commit = suite_of(row)
    return {
        "row": number,
        "who": row.who,
        "direct": row.is_direct,
        "best_free": table.is_best_free(row),
        "bookend": row.is_bookend,
        "epsilon": epsilon_text(spec.epsilon),
        "asked": sortable(spec.epsilon),
        "unit": spec.unit,
        "delta": spec.delta,
        "delta_text": delta_text(spec.delta),
        "patch": sortable(said.epsilon_patch) if said else None,
        "patient": sortable(said.epsilon_patient) if said else None,
        "patch_text": epsilon_text(said.epsilon_patch if said else None),
        "patient_text": epsilon_text(said.epsilon_patient if said else None),
        "status": status_of(row),
        "check": row.check,
        "badges": row.badges,
        "refused": row.is_refused,
        "rival": row.is_rival,
        "seeds": f"{len(row.done)} of {row.asked}",
        "reasons": sorted({cell.reason for cell in row.cells if cell.reason}),
        "tests": {
            name: scored_json(row, scored, free.get(name, {}).get(number))
            for name, scored in row.tests.items()
        },
        "fid": short(row.mean(fid_value)),
        "fid_of": fid_of(row),
        "distance": short(distance_of(row)),
        "masks": short(mask_distance_of(row)),
        "seconds": short(seconds_of(row)),
        "peak": short(peak_of(row)),
        "selection": selection_of(row),
        "noise": spec.noise,
        "sites": spec.sites,
        "version": version_of(row),
        "unranked": row.unranked,
        "suite": suite,
        "commit": commit,
        "detail": _detail(row, table, pictures),
    }


def _detail(row: Row, table: Table, pictures: Pictures) -> dict[str, Any]:
    spec = row.spec
    first = row.done[0] if row.done else row.cells[0]
    settings = all_settings(spec.registry, spec.generator)
    return {
        "privacy": explain(first.told) if row.done else "",
        "checked": _checked(row),
        "plug_ins": plug_ins_of(row),
        "fid": fid_in_words(row),
        "settings": {name: str(value) for name, value in settings.items()},
        "preset": (preset := preset_of(spec.protocol)),
        "changed": sorted(changed_settings(spec, preset)),
        "curves": dict(first.curves),
        "command": command_of(
            first.spec,
            row.guarantee,
            phantoms=table.phantoms,
            seeds=[cell.spec.seed for cell in row.cells],
        ),
        "command_note": ANOTHER_DRAW if spec.tuned else "",
        "keys": [cell.spec.key for cell in row.cells],
        "pictures": pictures.of(first.pictures),
    }


def _checked(row: Row) -> list[str]:
    """What was found when its published files were recomputed."""
    verdicts = [cell.verdict for cell in row.cells if cell.verdict is not None]
    faults = [f"Does not add up: {fault}." for one in verdicts for fault in one.faults]
    unchecked = [f"Not recomputed: {reason}." for one in verdicts for reason in one.unchecked]
    replays = [cell.replay.words for cell in row.cells if cell.replay is not None]
    audits = [cell.audit for cell in row.cells if cell.audit]
    return list(dict.fromkeys([*faults, *unchecked, *replays, *audits]))
