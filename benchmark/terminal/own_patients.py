"""The effect of own patients beside synthetic patches: a table for a terminal, and the curve."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from benchmark.core.budget import epsilon_text
from benchmark.metrics.crossed import Estimate, Means, OneDraw, error_of, estimate, within
from benchmark.results.own_curve import ALONE, OwnPoint
from leaderboard.columns import estimate_text, number_text

CURVE = "own-patients.png"
Line = tuple[str, str, float | None]


def own_table(points: Sequence[OwnPoint]) -> Table:
    """Make a table with a column for each number of own patients.

    There is one line for each test set, generator and ε, and one for own patients alone.
    """
    counts = sorted({point.own_patients for point in points})
    table = Table(
        header_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        caption=Text(f"Dice beside the labelled patches of own patients: {_spread(points)}."),
        caption_justify="left",
    )
    for heading in ("tested on", "learnt from", "ε asked"):
        table.add_column(heading, justify="right" if heading == "ε asked" else "left")
    for many in counts:
        table.add_column(f"{many} own", justify="right")
    for name in dict.fromkeys(point.test_set for point in points):
        table.add_section()
        on = [point for point in points if point.test_set == name]
        for line in sorted({_line(point) for point in on}, key=_order):
            mine = [point for point in on if _line(point) == line]
            cells = (_dice([p for p in mine if p.own_patients == many]) for many in counts)
            table.add_row(_with_patients(name, on), _name(line, points), _epsilon(line), *cells)
    return table


def draw_own(points: Sequence[OwnPoint], path: Path) -> None:
    """Write the curves: a panel for each test set, a line for each generator and ε."""
    sets = list(dict.fromkeys(point.test_set for point in points))
    panels = [_panel([p for p in points if p.test_set == name], name) for name in sets]
    said = f"{_spread(points)}; dashed: own patients alone"
    title = alt.TitleParams("What own patients add to synthetic ones", subtitle=said)
    alt.hconcat(*panels, title=title).configure_axis(grid=False).save(str(path), scale_factor=2)


def _panel(points: Sequence[OwnPoint], name: str) -> alt.LayerChart | alt.FacetChart:
    lines = sorted({_line(point) for point in points}, key=_order)
    texts = {line: _with_epsilon(line, points) for line in lines}
    values = [_value(point, texts[_line(point)]) for point in points]
    counts = sorted({point.own_patients for point in points})
    scale = alt.Scale(domain=[0, 1])
    by = alt.Color("line:N", title=None, sort=[*texts.values()], legend=_legend())
    base = alt.Chart({"values": values}).encode(
        x=alt.X("own:Q", title="own labelled patients", axis=alt.Axis(values=counts, format="d")),
        color=by,
    )
    dice = alt.Y("mean(dice):Q", title=f"Dice, {_with_patients(name, points)}", scale=scale)
    dash = alt.condition("datum.alone", alt.value([5, 3]), alt.value([1, 0]))
    drawn = base.mark_line(strokeWidth=2).encode(y=dice, strokeDash=dash, detail="alone:N")
    layers: list[Any] = [drawn, base.mark_point(filled=True, size=40).encode(y="dice:Q")]
    bars = [_bar(p, [q for q in points if _group(q) == _group(p)], texts) for p in points]
    if known := [bar for bar in bars if bar["low"] is not None]:
        low, high = alt.Y("mean(low):Q", scale=scale), alt.Y2("mean(high):Q")
        rule = base.properties(data=alt.InlineData(values=known)).mark_rule(opacity=0.4)
        layers.append(rule.encode(y=low, y2=high))
    return alt.layer(*layers).properties(width=300, height=240)


def _legend() -> alt.Legend:
    return alt.Legend(orient="bottom", columns=2, labelLimit=300, symbolOpacity=1)


def _value(point: OwnPoint, line: str) -> dict[str, Any]:
    return {
        "line": line,
        "alone": point.generator == ALONE,
        "own": point.own_patients,
        "dice": point.dice,
    }


def _bar(point: OwnPoint, group: Sequence[OwnPoint], texts: Mapping[Line, str]) -> dict[str, Any]:
    """The interval of its seeds together; none of one draw."""
    found = _together(group)
    ends = (None, None) if isinstance(found, OneDraw) else (found.low, found.high)
    return {**_value(point, texts[_line(point)]), "low": ends[0], "high": ends[1]}


def _group(point: OwnPoint) -> tuple[Line, int]:
    return _line(point), point.own_patients


def _line(point: OwnPoint) -> Line:
    return point.generator, point.segmenter, point.epsilon


def _order(line: Line) -> tuple[Any, ...]:
    """`real` first, own patients alone last, the generators by falling ε."""
    generator, segmenter, epsilon = line
    rank = {"real": 0, "simulator": 2, ALONE: 3}.get(generator, 1)
    return rank, generator, segmenter, -(epsilon or 0)


def _name(line: Line, points: Sequence[OwnPoint]) -> str:
    several = len({point.segmenter for point in points}) > 1
    return line[0] + (f" + {line[1]}" if several else "")


def _epsilon(line: Line) -> str:
    return "–" if line[2] is None else epsilon_text(line[2])


def _with_epsilon(line: Line, points: Sequence[OwnPoint]) -> str:
    name, epsilon = _name(line, points), line[2]
    if epsilon is None:
        return name
    return f"{name}, ε = {'∞' if math.isinf(epsilon) else f'{epsilon:g}'}"


def _with_patients(name: str, points: Sequence[OwnPoint]) -> str:
    many = next((point.patients for point in points if point.patients), None)
    return f"{name} (n = {many})" if many else name


def _spread(points: Sequence[OwnPoint]) -> str:
    """What the brackets are."""
    seeds = len({point.seed for point in points})
    if seeds == 1:
        return "one draw, which has no interval"
    return (
        f"mean of {seeds} seeds, each with own patients of its own order, with 95 % interval over "
        "seeds and patients"
    )


def _dice(points: Sequence[OwnPoint]) -> str:
    """Single patients are not in the points: each cell's interval says what they differ by."""
    if not points:
        return "–"
    found = _together(points)
    return number_text(found.mean, 3) if isinstance(found, OneDraw) else estimate_text(found, 3)


def _together(points: Sequence[OwnPoint]) -> Estimate:
    errors = [error_of(point.dice_low, point.dice_high, point.patients) for point in points]
    told = Means(
        seeds=tuple(point.seed for point in points),
        values=np.array([point.dice for point in points]),
        errors=np.array(errors),
        patients=points[0].patients,
    )
    return within(estimate(told), 0, 1)
