"""The pictures of a sweep: Dice and distance against ε, and patches side by side."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import altair as alt
from PIL import Image

from benchmark.audit.membership import Curve
from benchmark.core.budget import delta_text
from benchmark.results.bookends import LOWER, METHODS, UPPER
from benchmark.results.looks import Look, looks_of
from benchmark.results.matrix import Square
from benchmark.results.summary import SummaryRow
from leaderboard.charts import LINE, apart

TRADE_OFF, PATCHES, HEAT_MAP = "trade-off.png", "patches.png", "matrix.png"
BOOKENDS = {
    UPPER: "real patches",
    LOWER: "data-free simulator (ε = 0)",
    **{name: f"{name} (ε = 0)" for name in METHODS},
}
LABEL_WIDTH, ROW_GAP = 130, 6

Looks = Mapping[str, Look]
Panel = alt.LayerChart | alt.FacetChart


def draw_trade_off(rows: Sequence[SummaryRow], path: Path) -> None:
    """Write the chart of ``trade_off``, unless no cell is done."""
    if (chart := trade_off(rows)) is not None:
        chart.save(str(path), scale_factor=2)


def trade_off(rows: Sequence[SummaryRow]) -> alt.HConcatChart | None:
    """Make a panel of Dice for each test set, and one of the distance.

    Returns:
        The chart; ``None`` if no cell is done.
    """
    done = [row for row in rows if row.dice is not None]
    if not done:
        return None
    several = _several(done)
    looks = looks_of({_label_of(row, several=several): row.generator for row in done})
    sets = list(dict.fromkeys(row.test_set for row in done))
    panels = [_dice_panel([r for r in done if r.test_set == name], name, looks) for name in sets]
    main = [r for r in done if r.test_set == sets[0]]
    if synthetic := [r for r in main if r.generator != UPPER and _far(r)]:
        panels.append(_distance_panel(synthetic, looks))
    chart: alt.HConcatChart = alt.hconcat(*panels, title=_title(done))
    plain: alt.HConcatChart = chart.configure_axis(grid=False)
    return plain


def _several(rows: Sequence[SummaryRow]) -> bool:
    """Whether segmenters have to be named."""
    return len({row.segmenter for row in rows if not row.is_direct}) > 1


def _label_of(row: SummaryRow, *, several: bool) -> str:
    name = BOOKENDS.get(row.generator, row.who)
    return f"{name} + {row.segmenter}" if several and not row.is_direct else name


def _title(rows: Sequence[SummaryRow]) -> alt.TitleParams:
    seeds = len({row.seed for row in rows})
    bars = f"{seeds} seeds with 95 % interval over seeds and patients" if seeds > 1 else "one draw"
    subtitle = (
        f"ε protects one {rows[0].unit}, δ = {delta_text(rows[0].delta)}; mean over patients, "
        f"{bars}; dashed: the bookends"
    )
    return alt.TitleParams("What privacy costs", subtitle=subtitle, anchor="start")


def _dice_panel(rows: Sequence[SummaryRow], name: str, looks: Looks) -> Panel:
    many = next((row.patients for row in rows if row.patients), None)
    title = f"Dice, {f'{many} ' if many else ''}{name} patients"
    several = _several(rows)
    points = [_point(r, several, r.dice, r.dice_mean_low, r.dice_mean_high) for r in rows]
    return _panel(points, title, _from_data(points), looks)


def _distance_panel(rows: Sequence[SummaryRow], looks: Looks) -> Panel:
    has_fid = any(row.fid is not None for row in rows)
    title = (
        f"FID (n = {rows[0].fid_n}, {rows[0].fid_dims} dims)"
        if has_fid
        else "Offline Fréchet distance (scattering)"
    )
    several = _several(rows)
    points = [_point(row, several, _far(row)) for row in rows if not has_fid or row.fid]
    return _panel(points, title, alt.Scale(type="log", nice=False, padding=12), looks)


def _far(row: SummaryRow) -> float | None:
    """How far synthetic patches lie from real ones: by FID, or offline."""
    return row.offline_distance if row.fid is None else row.fid


def _from_data(points: Sequence[Mapping[str, Any]]) -> alt.Scale:
    """Dice from where the data begin to where they end, in twentieths."""
    told = [p[key] for p in points for key in ("value", "low", "high") if p[key] is not None]
    return alt.Scale(domain=[math.floor(20 * min(told)) / 20, math.ceil(20 * max(told)) / 20])


def _panel(points: list[dict[str, Any]], title: str, scale: alt.Scale, looks: Looks) -> Panel:
    colour, shape = _drawn_as(looks)
    levels = [point for point in points if not point["bookend"]]
    ends = [point for point in points if point["bookend"]]
    layers: list[Any] = [*_bands(ends, title, scale, colour)]
    if levels:
        layers += _levels(levels, title, scale, colour, shape)
    return alt.layer(*layers).properties(width=260, height=240)


def _drawn_as(looks: Looks) -> tuple[alt.Color, alt.Shape]:
    """Each generator's colour and marker, the same in every picture; lines have names of theirs."""
    names = list(looks)
    shown = [name for name in names if name.split(" + ")[0] not in BOOKENDS.values()]
    legend = alt.Legend(
        symbolOpacity=1, orient="bottom", columns=3, labelLimit=260, values=shown or names
    )
    both: dict[str, Any] = {"title": None, "legend": legend}
    colours = alt.Scale(domain=names, range=[look.light for look in looks.values()])
    shapes = alt.Scale(domain=names, range=[look.marker for look in looks.values()])
    return (
        alt.Color("generator:N", scale=colours, **both),
        alt.Shape("generator:N", scale=shapes, **both),
    )


def _levels(
    points: list[dict[str, Any]], title: str, scale: alt.Scale, colour: alt.Color, shape: alt.Shape
) -> Iterator[alt.Chart]:
    order = [p["epsilon"] for p in sorted(points, key=lambda p: p["rank"])]
    x = alt.X("epsilon:O", sort=list(dict.fromkeys(order)), title="ε", axis=alt.Axis(labelAngle=0))
    rows = alt.Chart({"values": _over_seeds(points)}).encode(x=x, color=colour)
    dots = alt.Chart({"values": _apart(points)}).encode(x=x, color=colour)
    y = alt.Y("value:Q", title=title, scale=scale)
    finite = rows.transform_filter("datum.epsilon != '∞'")
    yield finite.mark_line(strokeWidth=2).encode(y=y)
    yield dots.mark_point(filled=True, size=50, opacity=1).encode(
        y=alt.Y("value:Q", scale=scale), shape=shape
    )
    if any(p["low"] is not None for p in points):
        low, high = alt.Y("low:Q", scale=scale), alt.Y2("high:Q")
        yield rows.mark_rule(opacity=0.5).encode(y=low, y2=high)


def _over_seeds(points: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One point for each generator and level, at the mean of its seeds; they share an interval."""
    rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for point in points:
        rows.setdefault((point["generator"], point["epsilon"]), []).append(point)
    return [{**row[0], "value": fmean(point["value"] for point in row)} for row in rows.values()]


def _apart(points: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The points without those that another one covers: a row may have a thousand seeds."""
    return [*{(p["generator"], p["epsilon"], f"{p['value']:.4g}"): p for p in points}.values()]


def _bands(
    points: list[dict[str, Any]], title: str, scale: alt.Scale, colour: alt.Color
) -> Iterator[alt.Chart]:
    base = alt.Chart({"values": _over_seeds(points)}).encode(color=colour)
    if any(p["low"] is not None for p in points):
        low, high = alt.Y("low:Q", title=title, scale=scale), alt.Y2("high:Q")
        yield base.mark_rect(opacity=0.12).encode(y=low, y2=high)
    if points:
        mean = alt.Y("value:Q", title=title, scale=scale)
        yield base.mark_rule(strokeDash=[5, 3], strokeWidth=1.5).encode(y=mean)
        names = alt.Chart({"values": _names(points, scale)})
        words = names.mark_text(align="left", baseline="bottom", fontSize=10, color="#57606a")
        yield words.encode(x=alt.value(3), y=alt.Y("at:Q", scale=scale), text="generator:N")


def _names(points: Sequence[Mapping[str, Any]], scale: alt.Scale) -> list[dict[str, Any]]:
    """What the dashed lines are, so far apart that no name covers another."""
    found: dict[str, list[float]] = {}
    for point in points:
        found.setdefault(point["generator"], []).append(point["value"])
    rising = sorted((fmean(values), name) for name, values in found.items())
    ends = scale.to_dict().get("domain", [rising[0][0], rising[-1][0]])
    places = apart([value for value, _ in rising], LINE * (ends[1] - ends[0]))
    return [{"generator": name, "at": at} for (_, name), at in zip(rising, places, strict=True)]


def _point(
    row: SummaryRow,
    several: bool,
    value: float | None,
    low: float | None = None,
    high: float | None = None,
) -> dict[str, Any]:
    return {
        "generator": _label_of(row, several=several),
        "bookend": row.generator in BOOKENDS,
        "epsilon": "∞" if math.isinf(row.epsilon) else f"{row.epsilon:g}",
        "rank": row.epsilon if math.isfinite(row.epsilon) else 1e308,
        "value": value,
        "low": low,
        "high": high,
    }


def draw_matrix(squares: Sequence[Square], path: Path) -> None:
    """Write the cross-site matrix as heat maps, one for each ε."""
    values = [
        {
            "trained": square.trained,
            "tested": f"{square.tested} ({square.patients})",
            "dice": square.dice,
            "text": "–" if square.dice is None else f"{square.dice:.2f}",
            "by": _by(square),
        }
        for square in squares
    ]
    base = alt.Chart().encode(
        x=alt.X("tested:N", title="tested on (held-out patients)", axis=alt.Axis(labelAngle=0)),
        y=alt.Y(
            "trained:N",
            title="trained at",
            sort=list(dict.fromkeys(square.trained for square in squares)),
            axis=alt.Axis(labelLimit=240),
        ),
    )
    scale = alt.Scale(domain=[0, 1], scheme="blues")
    tiles = base.mark_rect().encode(color=alt.Color("dice:Q", title="Dice", scale=scale))
    dark = alt.condition("datum.dice > 0.55", alt.value("white"), alt.value("black"))
    words = base.mark_text(fontSize=13).encode(text="text:N", color=dark)
    by = alt.Facet("by:N", title=None, sort=list(dict.fromkeys(map(_by, squares))))
    chart = alt.layer(tiles, words, data={"values": values}).properties(width=240, height=170)
    title = "Trained at one site, tested on another's patients"
    chart.facet(by, columns=2, title=title).save(str(path), scale_factor=2)


def _by(square: Square) -> str:
    epsilon = "∞" if math.isinf(square.epsilon) else f"{square.epsilon:g}"
    return f"{square.generator} + {square.segmenter}, ε = {epsilon}"


def draw_membership(curves: Mapping[str, Curve], path: Path) -> None:
    """Write the attack's curves on logarithmic axes, which show low false-positive rates."""
    least = min(1 / len(curve.false) for curve in curves.values())
    points = [
        {"by": f"{name} (area {curve.area:.2f})", "false": max(f, least), "true": max(t, least)}
        for name, curve in curves.items()
        for f, t in zip(curve.false.tolist(), curve.true.tolist(), strict=True)
    ]
    scale = alt.Scale(type="log", domain=[least, 1])
    x = alt.X("false:Q", title="false-positive rate", scale=scale)
    y = alt.Y("true:Q", title="true-positive rate", scale=scale)
    lines = alt.Chart({"values": points}).mark_line(interpolate="step-after", clip=True)
    chance = [{"false": rate, "true": rate} for rate in (least, 1.0)]
    dashed = alt.Chart({"values": chance}).mark_line(strokeDash=[5, 3], color="grey")
    layers = [dashed.encode(x=x, y=y), lines.encode(x=x, y=y, color=alt.Color("by:N", title=None))]
    title = alt.TitleParams(
        "Membership inference", subtitle="distance to the closest synthetic patch; dashed: chance"
    )
    chart = alt.layer(*layers, title=title).properties(width=300, height=300)
    chart.save(str(path), scale_factor=2)


def draw_patches(strips: Sequence[tuple[str, Path]], path: Path) -> None:
    """Write one picture of labelled strips, one below the other.

    Args:
        strips: Labels and files; missing files are left out.
        path: The picture's file.
    """
    rows = [alt.hconcat(_label(text), _picture(file)) for text, file in strips if file.exists()]
    if rows:
        chart = alt.vconcat(*rows, spacing=ROW_GAP).configure_view(strokeWidth=0)
        drawn = io.BytesIO()
        chart.save(drawn, format="png")
        with Image.open(drawn) as picture:
            picture.convert("L").save(path, optimize=True)


def _label(text: str) -> alt.Chart:
    data = {"values": [{"text": text}]}
    chart: alt.Chart = alt.Chart(data, width=LABEL_WIDTH, height=2).mark_text(
        align="right", fontSize=14
    )
    return chart.encode(text="text:N", x=alt.value(LABEL_WIDTH))


def _picture(file: Path) -> alt.Chart:
    with Image.open(file) as picture:
        width, height = picture.size
    url = "data:image/png;base64," + base64.b64encode(file.read_bytes()).decode()
    data = {"values": [{"url": url}]}
    chart: alt.Chart = alt.Chart(data, width=width, height=height).mark_image(
        width=width, height=height
    )
    return chart.encode(url="url:N", x=alt.value(width / 2), y=alt.value(height / 2))
