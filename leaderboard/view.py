"""A board as the page's script takes it: plain JSON, numbers rounded, sentences made."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmark.metrics.bootstrap import Interval
from benchmark.sweep.explanation import MEANINGFUL, explain
from benchmark.sweep.request import LOWER, UPPER
from benchmark.sweep.tuned import NOT_ACCOUNTED
from leaderboard.board import Row, Scored, Table
from leaderboard.charts import PAPER, UNUSABLE_BELOW, Levels, charts
from leaderboard.command import changed_settings, command_of, preset_of

SCORES = {"hd95_mm": 1, "bavd_mm": 2, "cldice": 3}
"""Shown beside Dice, with so many digits."""

CALIBRES = {"thin": "dice_thin", "medium": "dice_medium", "thick": "dice_thick"}
PICTURES_KIB = 1200
"""So many of pictures fit into a page that is to stay small."""

NO_PICTURE = "Left out, as the page would grow too large; the cell's folder has it."
ANOTHER_DRAW = (
    "It gives the tuned settings one by one: the same fit, under another key, as that names no "
    "study; seeded noise is mixed with the key, so that it is another draw."
)
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
    refused = [row for row in table.rows if row.is_refused]
    rows = [row for row in table.rows if not row.is_refused]
    done = sum(len(row.done) for row in rows)
    seeds = max((row.asked for row in rows), default=0)
    return [
        f"{done} of {seeds * len(rows)} cells are finished: {len(rows)} rows of "
        f"{seeds} {'seed' if seeds == 1 else 'seeds'}.",
        "Intervals: 95 %, over patients, of means over seeds.",
        f"ε is for neighbours by {table.relation}; above {MEANINGFUL:g} it is no meaningful "
        "guarantee.",
        *_warnings(rows, table.phantoms),
        *([f"{len(refused)} published rows do not add up and are ranked last."] if refused else []),
    ]


def _warnings(rows: Sequence[Row], phantoms: bool) -> Iterator[str]:
    if any(row.spec.epsilon < math.inf and row.spec.noise == "seeded" for row in rows):
        yield "Seeded noise makes a benchmark repeatable; it is no release."
    if direct := sorted({row.who for row in rows if row.is_direct}):
        yield (
            f"{', '.join(direct)}: the segmenter itself was fitted on patients under that ε; "
            "nothing synthetic exists, so that there is no distance."
        )
    if any(selection_of(row) == NOT_ACCOUNTED for row in rows):
        yield f"Some settings were tuned on patients; selection: {NOT_ACCOUNTED}."
    if not phantoms:
        yield (
            "Scores were measured on patients, outside of any ε; nothing of single patients or "
            "sites is shown."
        )


def selection_of(row: Row) -> str:
    """How its settings were chosen."""
    return str((row.spec.tuned or {}).get("selection", "preset"))


def _table(table: Table, pictures: Pictures) -> dict[str, Any]:
    levels = Levels([row.spec.epsilon for row in table.rows] + [*PAPER])
    far = far_name(table)
    rows = [_row(number, row, table, pictures) for number, row in enumerate(table.rows)]
    return {
        "key": table.key,
        "title": title_of(table),
        "unit": table.common.unit,
        "relation": table.relation,
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
    return list(dict.fromkeys(_name(row) for row in rows if not row.is_refused))


def _name(row: Row) -> str:
    return LABELS.get(row.who, row.who)


def far_name(table: Table) -> str:
    """What the distance is called: FID only where it is one."""
    if fid := _with_fid(table):
        return f"FID (n = {fid['n']}, {fid['dims']} dims)"
    return "offline distance (FID is missing)"


def _with_fid(table: Table) -> Mapping[str, Any]:
    """What a cell says of its FID, if any has one."""
    results = (cell.result for row in table.rows if not row.is_refused for cell in row.done)
    return next((result["fid"] for result in results if _fid(result) is not None), {})


def _fid(result: Mapping[str, Any]) -> float | None:
    found: float | None = result["fid"]["value"]
    return found


def _distance(result: Mapping[str, Any]) -> float | None:
    found: float | None = result["offline_distance"]
    return found


def _row(number: int, row: Row, table: Table, pictures: Pictures) -> dict[str, Any]:
    spec, said = row.spec, row.guarantee
    suite, commit = suite_of(row)
    return {
        "row": number,
        "who": row.who,
        "direct": row.is_direct,
        "epsilon": epsilon_text(spec.epsilon),
        "asked": sortable(spec.epsilon),
        "unit": spec.unit,
        "delta": spec.delta,
        "patch": sortable(said.epsilon_patch) if said else None,
        "patient": sortable(said.epsilon_patient) if said else None,
        "status": status_of(row),
        "check": row.check,
        "refused": row.is_refused,
        "rival": row.is_rival,
        "seeds": f"{len(row.done)} of {row.asked}",
        "reasons": sorted({cell.reason for cell in row.cells if cell.reason}),
        "tests": {name: _scored(scored) for name, scored in row.tests.items()},
        "fid": _short(row.mean(_fid)),
        "fid_of": fid_of(row),
        "distance": _short(distance_of(row)),
        "seconds": _short(seconds_of(row)),
        "peak": _short(peak_of(row)),
        "selection": selection_of(row),
        "noise": spec.noise,
        "sites": spec.sites,
        "version": f"{spec.generator.version}",
        "suite": suite,
        "commit": commit,
        "detail": _detail(row, table, pictures),
    }


def status_of(row: Row) -> str:
    """Of its cells, what says most."""
    return "done" if row.done else row.cells[0].status


def _scored(scored: Scored) -> dict[str, Any]:
    found: dict[str, Any] = {"dice": _interval(scored.dice, 4)}
    found |= {name: _interval(scored.scores[name], digits) for name, digits in SCORES.items()}
    found |= {"real": _short(scored.fraction_of_real), "over": _interval(scored.over_simulator, 4)}
    return found | {"paired": scored.paired}


def suite_of(row: Row) -> tuple[str, str]:
    """The version of the suite that computed it, and the commit."""
    said = row.done[0].result.get("suite", {}) if row.done else {}
    return said.get("version", "unknown"), said.get("commit", "unknown")[:10]


def distance_of(row: Row) -> float | None:
    """The offline distance."""
    return row.mean(_distance)


def seconds_of(row: Row) -> float | None:
    """Of a cell."""
    return row.mean(lambda result: result["seconds"]["total"])


def peak_of(row: Row) -> float | None:
    """Memory in MiB, where it was measured."""
    return row.mean(lambda result: result.get("peak_mib"))


def fid_in_short(row: Row) -> str:
    """FID with what it rests on, or that it is missing; a dash where nothing is synthetic."""
    found = row.mean(_fid)
    if row.is_direct:
        return "–"
    return "missing" if found is None else f"{short_text(found)} ({fid_of(row)})"


def fid_of(row: Row) -> str:
    """On what it rests."""
    said = next((one for cell in row.done if _fid(one := cell.result) is not None), None)
    return f"n = {said['fid'].get('n')}, {said['fid'].get('dims')} dims" if said else ""


def _fid_in_words(row: Row) -> str:
    missing = {str(cell.result["fid"].get("reason", "")) for cell in row.done}
    return fid_of(row) or " ".join(sorted(missing))


def _detail(row: Row, table: Table, pictures: Pictures) -> dict[str, Any]:
    spec = row.spec
    first = row.done[0] if row.done else row.cells[0]
    return {
        "privacy": explain(first.result) if row.done else "",
        "checked": _checked(row),
        "fid": _fid_in_words(row),
        "settings": {name: str(value) for name, value in spec.generator.settings.items()},
        "preset": (preset := preset_of(spec.protocol)),
        "changed": sorted(changed_settings(spec, preset)),
        "curves": first.curves,
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
    return list(dict.fromkeys([*faults, *unchecked]))


def _data(name: str, table: Table, levels: Levels) -> dict[str, list[dict[str, Any]]]:
    """The charts' data sets on one test set."""
    rows = enumerate(table.rows)
    numbers = [number for number, row in rows if name in row.tests and not row.is_refused]
    far = _fid if _with_fid(table) else _distance
    points = [
        {**_point(number, table, name, levels), "far": _short(table.rows[number].mean(far))}
        for number in numbers
    ]
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
        "selection": selection_of(row),
        "x": round(levels.at(row.spec.epsilon), 4) if row.spec.epsilon else None,
        "dice": round(dice.mean, 4),
        "low": round(dice.low, 4),
        "high": round(dice.high, 4),
        "seconds": _short(seconds_of(row)),
    }


def _of_radius(
    points: Sequence[Mapping[str, Any]], table: Table, name: str
) -> Iterator[dict[str, Any]]:
    for point in points:
        found = table.rows[point["row"]].tests[name].calibres
        told = {calibre: found[score] for calibre, score in CALIBRES.items() if score in found}
        yield from _along("calibre", told, point)


def _of_sites(
    points: Sequence[Mapping[str, Any]], table: Table, name: str
) -> Iterator[dict[str, Any]]:
    for point in points:
        yield from _along("site", table.rows[point["row"]].tests[name].by_site, point)


def _along(
    field: str, told: Mapping[str, float], point: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """A row's Dice by something; its ε is written at the end of its line."""
    about = {name: point[name] for name in ("row", "who", "epsilon", "spent", "selection")}
    for number, (value, dice) in enumerate(told.items(), 1):
        label = point["epsilon"] if number == len(told) else ""
        yield {**about, field: value, "dice": round(dice, 4), "label": label}


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


def short_text(value: float | None) -> str:
    """Three digits of it, or a dash."""
    return "–" if value is None else f"{value:.3g}"


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
