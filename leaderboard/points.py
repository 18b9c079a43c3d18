"""The data of a table's charts: its rows on one test set, and published values of other data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmark.core.budget import epsilon_text
from benchmark.metrics.crossed import Estimate, OneDraw
from leaderboard.charts import LINE, PAPER, UNUSABLE_BELOW, Levels, apart
from leaderboard.columns import (
    distance_value,
    estimate_text,
    fid_said,
    fid_value,
    name_of,
    seconds_of,
    selection_of,
    short,
)
from leaderboard.rows import Table


def data_of(name: str, table: Table, levels: Levels) -> dict[str, list[dict[str, Any]]]:
    """Return the charts' data sets on one test set, by name.

    Args:
        name: The test set's name.
        table: The table.
        levels: The positions of ε.
    """
    rows = enumerate(table.rows)
    numbers = [number for number, row in rows if name in row.tests and row.is_compared]
    far = fid_value if fid_said(table) else distance_value
    points = [
        {**_point(number, table, name, levels), "far": short(table.rows[number].mean(far))}
        for number in numbers
    ]
    paper, low = _paper(levels) if table.common.unit == "patch" else ([], [])
    data = {
        "all": points,
        "points": [point for point in points if not point["bookend"]],
        "radius": [*_of_radius(points, table, name)],
        "sites": [*_of_sites(points, table, name)],
        "paper": paper,
        "paper-low": low,
    }
    bands = [point for point in points if point["bookend"]]
    return {**data, "bands": _labelled(bands, ends_of(data))}


def _point(number: int, table: Table, name: str, levels: Levels) -> dict[str, Any]:
    row = table.rows[number]
    said, dice = row.guarantee, row.tests[name].dice
    return {
        "row": number,
        "who": name_of(row),
        "bookend": row.is_bookend,
        "epsilon": epsilon_text(row.spec.epsilon),
        "spent": epsilon_text(said.epsilon) if said else "unknown",
        "selection": selection_of(row),
        "x": round(levels.at(row.spec.epsilon), 4) if row.spec.epsilon else None,
        "dice": round(dice.mean, 4),
        "text": estimate_text(dice, 3),
        "seeds": len(row.done),
        **_ends(dice),
        "patients": row.tests[name].patients,
        "seconds": short(seconds_of(row)),
    }


def _labelled(bands: Sequence[dict[str, Any]], ends: Sequence[float]) -> list[dict[str, Any]]:
    """The bookends with where their names stand, so far apart that none covers another."""
    rising = sorted(bands, key=lambda band: float(band["dice"]))
    places = apart([band["dice"] for band in rising], LINE * (ends[1] - ends[0]))
    return [{**band, "label_at": place} for band, place in zip(rising, places, strict=True)]


def ends_of(data: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[float]:
    """Return the range of Dice in a test set's charts, rounded outwards to twentieths."""
    shown = [point for name in ("all", "radius", "sites", "paper") for point in data[name]]
    told = [p[key] for p in shown for key in ("dice", "low", "high") if p.get(key) is not None]
    if not told:
        return [0.0, 1.0]
    low, high = math.floor(20 * min(told)) / 20, math.ceil(20 * max(told)) / 20
    return [max(low, 0.0), min(max(high, low + 0.05), 1.0)]


def _ends(dice: Estimate) -> dict[str, float | None]:
    """One draw has none."""
    if isinstance(dice, OneDraw):
        return {"low": None, "high": None}
    return {"low": round(dice.low, 4), "high": round(dice.high, 4)}


def _of_radius(
    points: Sequence[Mapping[str, Any]], table: Table, name: str
) -> Iterator[dict[str, Any]]:
    for point in points:
        yield from _along("calibre", table.rows[point["row"]].tests[name].calibres, point)


def _of_sites(
    points: Sequence[Mapping[str, Any]], table: Table, name: str
) -> Iterator[dict[str, Any]]:
    for point in points:
        yield from _along("site", table.rows[point["row"]].tests[name].by_site, point)


def _along(
    field: str, told: Mapping[str, float], point: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """A row's Dice by something."""
    names = ("row", "who", "bookend", "epsilon", "spent", "selection")
    about = {name: point[name] for name in names}
    for value, dice in told.items():
        yield {**about, field: value, "dice": round(dice, 4)}


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
