"""A board as the page's script takes it: plain JSON, numbers rounded, sentences made."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmark.metrics.bootstrap import Interval
from benchmark.sweep.explanation import explain
from benchmark.sweep.planning import LOWER, UPPER
from benchmark.sweep.tuned import NOT_ACCOUNTED
from leaderboard.board import Row, Scored, Table
from leaderboard.charts import PAPER, UNUSABLE_BELOW, Levels, charts
from leaderboard.command import changed_settings, command_of

SCORES = {"hd95_mm": 1, "bavd_mm": 2, "cldice": 3}
"""Shown beside Dice, with so many digits."""

CALIBRES = {"thin": "dice_thin", "medium": "dice_medium", "thick": "dice_thick"}
PICTURES_KIB = 1200
"""So many of pictures fit into a page that is to stay small."""

NO_PICTURE = "Left out, as the page would grow too large; the cell's folder has it."
LABELS = {UPPER: "real patches", LOWER: "data-free simulator"}


class Pictures:
    """PNG files as texts, until there is no more room."""

    def __init__(self) -> None:
        self._left = PICTURES_KIB * 1024

    def of(self, files: Mapping[str, bytes]) -> dict[str, str]:
        """The pictures by name; empty texts where there was no room."""
        texts = {name: base64.b64encode(png).decode() for name, png in files.items()}
        size = sum(map(len, texts.values()))
        if size > self._left:
            return dict.fromkeys(texts, "")
        self._left -= size
        return texts


def view_of(tables: Sequence[Table]) -> dict[str, Any]:
    """Everything that the page shows."""
    pictures = Pictures()
    return {"no_picture": NO_PICTURE, "tables": [_table(table, pictures) for table in tables]}


def title_of(table: Table) -> str:
    """What its rows share, in a line."""
    spec, protocol = table.common, table.common.protocol
    data = "embedded phantoms" if table.phantoms else f"cohort {spec.data[:8]}"
    return (
        f"one {spec.unit} protected, δ = {spec.delta:.3g}, {data}, {spec.segmenter.name}, "
        f"{protocol['samples']} patches of {protocol['patch_size']}²"
    )


def notes_of(table: Table) -> list[str]:
    """How many cells there are, and what a reader must know."""
    cells = [cell for row in table.rows for cell in row.cells]
    done = sum(cell.status == "done" for cell in cells)
    seeds = max(row.asked for row in table.rows)
    due = seeds * len(table.rows)
    notes = [
        f"{done} of {due} cells are finished: {len(table.rows)} rows of "
        f"{seeds} {'seed' if seeds == 1 else 'seeds'}.",
        "Intervals: 95 %, over patients, of means over seeds.",
    ]
    if any(row.spec.epsilon < math.inf and row.spec.noise == "seeded" for row in table.rows):
        notes.append("Seeded noise makes a benchmark repeatable; it is no release.")
    if any((row.spec.tuned or {}).get("selection") == NOT_ACCOUNTED for row in table.rows):
        notes.append(f"Some settings were tuned on patients; their selection is {NOT_ACCOUNTED}.")
    return notes


def _table(table: Table, pictures: Pictures) -> dict[str, Any]:
    levels = Levels([row.spec.epsilon for row in table.rows] + [*PAPER])
    far = far_name(table)
    rows = [_row(number, row, table, pictures) for number, row in enumerate(table.rows)]
    return {
        "key": table.key,
        "title": title_of(table),
        "unit": table.common.unit,
        "notes": notes_of(table),
        "test_sets": table.test_sets,
        "far": far,
        "rows": rows,
        "data": {name: _data(name, table, levels) for name in table.test_sets},
        "charts": [vars(chart) for chart in charts(levels, far, _names(table))],
    }


def _names(table: Table) -> list[str]:
    """Who is shown, the bookends last."""
    rows = sorted(table.rows, key=lambda row: row.is_bookend)
    return list(dict.fromkeys(_name(row) for row in rows))


def _name(row: Row) -> str:
    return LABELS.get(row.spec.generator.name, row.who)


def far_name(table: Table) -> str:
    """What the distance is called: FID only where it is one."""
    if fid := _with_fid(table):
        return f"FID (n = {fid['n']}, {fid['dims']} dims)"
    return "offline distance (FID is missing)"


def _with_fid(table: Table) -> Mapping[str, Any]:
    """What a cell says of its FID, if any has one."""
    results = (cell.result for row in table.rows for cell in row.done)
    return next((result["fid"] for result in results if _fid(result) is not None), {})


def _fid(result: Mapping[str, Any]) -> float | None:
    found: float | None = result["fid"]["value"]
    return found


def _distance(result: Mapping[str, Any]) -> float | None:
    found: float | None = result["offline_distance"]
    return found


def _row(number: int, row: Row, table: Table, pictures: Pictures) -> dict[str, Any]:
    spec, said = row.spec, row.guarantee
    first = row.done[0].result if row.done else {}
    suite = first.get("suite", {})
    return {
        "row": number,
        "who": row.who,
        "bookend": row.is_bookend,
        "epsilon": epsilon_text(spec.epsilon),
        "asked": sortable(spec.epsilon),
        "unit": spec.unit,
        "delta": spec.delta,
        "patch": sortable(said.epsilon_patch) if said else None,
        "patient": sortable(said.epsilon_patient) if said else None,
        "status": "done" if row.done else row.cells[0].status,
        "seeds": f"{len(row.done)} of {row.asked}",
        "reasons": sorted({cell.reason for cell in row.cells if cell.reason}),
        "tests": {name: _scored(scored) for name, scored in row.tests.items()},
        "fid": _short(row.mean(_fid)),
        "fid_note": _fid_note(row),
        "distance": _short(row.mean(_distance)),
        "seconds": _short(row.mean(lambda result: result["seconds"]["total"])),
        "peak": _short(row.mean(lambda result: result.get("peak_mib"))),
        "selection": (spec.tuned or {}).get("selection", "preset"),
        "noise": spec.noise,
        "sites": spec.sites,
        "version": f"{spec.generator.version}",
        "commit": suite.get("commit", "unknown")[:10],
        "detail": _detail(row, table, pictures),
    }


def _scored(scored: Scored) -> dict[str, Any]:
    found: dict[str, Any] = {"dice": _interval(scored.dice, 4)}
    found |= {name: _interval(scored.scores[name], digits) for name, digits in SCORES.items()}
    found |= {"real": _short(scored.fraction_of_real), "over": _interval(scored.over_simulator, 4)}
    return found


def _fid_note(row: Row) -> str:
    said = row.done[0].result["fid"] if row.done else {}
    if said.get("value") is None:
        return str(said.get("reason", ""))
    return f"n = {said.get('n')}, {said.get('dims')} dims"


def _detail(row: Row, table: Table, pictures: Pictures) -> dict[str, Any]:
    spec = row.spec
    first = row.done[0] if row.done else row.cells[0]
    return {
        "privacy": explain(first.result) if row.done else "",
        "settings": {name: str(value) for name, value in spec.generator.settings.items()},
        "changed": sorted(changed_settings(spec.generator)),
        "curves": first.curves,
        "command": command_of(first.spec, row.guarantee, phantoms=table.phantoms),
        "keys": [cell.spec.key for cell in row.cells],
        "pictures": pictures.of(first.pictures),
    }


def _data(name: str, table: Table, levels: Levels) -> dict[str, list[dict[str, Any]]]:
    """The charts' data sets on one test set."""
    numbers = [number for number, row in enumerate(table.rows) if row.tests]
    points = [_point(number, table, name, levels) for number in numbers]
    paper, low = _paper(levels) if table.common.unit == "patch" else ([], [])
    return {
        "all": points,
        "points": [point for point in points if not point["bookend"]],
        "bands": [point for point in points if point["bookend"]],
        "radius": [*_of_radius(points, table, name)],
        "sites": [*_of_sites(points, table, name)],
        "paper": paper,
        "paper-low": low,
    }


def _point(number: int, table: Table, name: str, levels: Levels) -> dict[str, Any]:
    row = table.rows[number]
    said, dice = row.guarantee, row.tests[name].dice
    return {
        "row": number,
        "who": _name(row),
        "bookend": row.is_bookend,
        "epsilon": epsilon_text(row.spec.epsilon),
        "spent": epsilon_text(said.epsilon) if said else "unknown",
        "x": round(levels.at(row.spec.epsilon), 4) if row.spec.epsilon else None,
        "dice": round(dice.mean, 4),
        "low": round(dice.low, 4),
        "high": round(dice.high, 4),
        "far": _short(row.mean(_fid if _with_fid(table) else _distance)),
        "seconds": _short(row.mean(lambda result: result["seconds"]["total"])),
    }


def _of_radius(
    points: Sequence[Mapping[str, Any]], table: Table, name: str
) -> Iterator[dict[str, Any]]:
    for point in points:
        scores = table.rows[point["row"]].tests[name].scores
        for calibre, score in CALIBRES.items():
            found = scores[score]
            if found is not None:
                yield {**_about(point), "calibre": calibre, "dice": round(found.mean, 4)}


def _of_sites(
    points: Sequence[Mapping[str, Any]], table: Table, name: str
) -> Iterator[dict[str, Any]]:
    for point in points:
        for site, dice in table.rows[point["row"]].tests[name].by_site.items():
            yield {**_about(point), "site": site, "dice": round(dice, 4)}


def _about(point: Mapping[str, Any]) -> dict[str, Any]:
    return {name: point[name] for name in ("row", "who", "epsilon", "spent")}


def _paper(levels: Levels) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What was published on other data, for orientation."""
    words = "Kossen et al. (2022), on other data"
    points = [
        {
            "x": levels.at(epsilon),
            "dice": dice,
            "words": words,
            "label": words if math.isinf(epsilon) else "",
        }
        for epsilon, dice in PAPER.items()
    ]
    below = f"“not usable” below {UNUSABLE_BELOW:g} (ibid.)"
    low = {"x": levels.at(UNUSABLE_BELOW) - 9, "to": levels.at(UNUSABLE_BELOW), "label": below}
    return points, [low]


def _interval(found: Interval | None, digits: int) -> list[float] | None:
    return None if found is None else [round(value, digits) for value in found]


def sortable(epsilon: float | None) -> float | str | None:
    """JSON has no infinity."""
    if epsilon is None:
        return None
    return "inf" if math.isinf(epsilon) else float(f"{epsilon:.6g}")


def epsilon_text(epsilon: float) -> str:
    """As people write it."""
    return "∞" if math.isinf(epsilon) else f"{epsilon:.4g}"


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
