"""The page's charts: Vega-Lite specifications without data, which the page's script adds.

Each is drawn for the table and the test set that a reader has chosen. The data sets are ``points``
(a row on the test set), ``bands`` (the bookends), ``radius`` and ``sites`` (Dice by calibre and by
site), and ``paper`` (what was published on other data).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import altair as alt

from benchmark.results.looks import Look

HEIGHT = 260
LINE = 0.06
"""The height of a line of text, as a share of a chart's range."""

ROOM = 0.18
MOST_NAMED = 16
"""The most names in a legend, and levels on an axis. Beyond that, tooltips show them."""

PAPER = {7.4: 0.75, math.inf: 0.84}
"""Kossen et al. (2022): Dice on real patients, by the ε of a patch."""

UNUSABLE_BELOW = 5.0
INFINITE, LEVEL = "∞", "level"
LOWEST, HIGHEST = "lowest", "highest"
DICE = alt.Scale(domain=[alt.expr(LOWEST), alt.expr(HIGHEST)])
"""The scale of Dice; the page's script sets its ends."""

KNOWN = "isValid(datum.low)"
"""Selects points with an interval; one draw has none."""

TOOLTIP = [
    alt.Tooltip("who:N", title="generator"),
    alt.Tooltip("epsilon:N", title="ε asked"),
    alt.Tooltip("spent:N", title="ε spent"),
    alt.Tooltip("selection:N", title="selection"),
    alt.Tooltip("text:N", title="Dice [95 %]"),
    alt.Tooltip("seeds:Q", title="seeds"),
    alt.Tooltip("patients:Q", title="patients"),
]


@dataclass(frozen=True)
class Chart:
    """A chart of the page.

    Attributes:
        name: Its name in the page's script.
        title: The question it answers.
        words: A description for readers who cannot see it.
        data: The data set without which nothing is drawn.
        spec: The Vega-Lite specification.
    """

    name: str
    title: str
    words: str
    data: str
    spec: dict[str, Any]


def apart(places: Sequence[float], gap: float) -> list[float]:
    """Move rising label positions up as far as needed so that no label covers the one below.

    Args:
        places: The positions, rising.
        gap: The least distance.

    Examples:
        >>> apart([0.5, 0.51, 0.9], 0.05)
        [0.5, 0.55, 0.9]
    """
    found: list[float] = []
    for place in places:
        found.append(round(max(place, found[-1] + gap), 6) if found else place)
    return found


class Levels:
    """The positions of ε on a logarithmic axis, with ∞ to the right of all.

    Args:
        epsilons: All ε that occur.
    """

    def __init__(self, epsilons: Sequence[float]) -> None:
        self._finite = sorted({math.log10(e) for e in epsilons if 0 < e < math.inf})
        self._shown = sorted({*self._finite, self.at(math.inf)})

    def at(self, epsilon: float) -> float:
        """Return the position of an ε."""
        if math.isfinite(epsilon):
            return math.log10(epsilon)
        return (self._finite[-1] if self._finite else 0.0) + 0.35

    def axis(self, **more: Any) -> alt.X:
        """Return the axis, which labels every level that occurs."""
        last = self.at(math.inf)
        label = f"datum.value > {last - 0.01} ? '∞' : format(pow(10, datum.value), '.3~g')"
        first = min(self._shown[0], math.log10(UNUSABLE_BELOW))
        names = ROOM * (last - first)  # the bookends' names stand there
        domain = [first - names - 0.1, last + 0.1]
        return alt.X(
            "x:Q",
            title="ε (less is more private)",
            scale=alt.Scale(domain=domain, nice=False, zero=False),
            axis=alt.Axis(
                values=self._shown,
                labelExpr=label,
                labelOverlap=len(self._shown) > MOST_NAMED,
                grid=False,
            ),
            **more,
        )


def charts(levels: Levels, far: str, looks: Mapping[str, Look]) -> list[Chart]:
    """Make all charts of a table.

    Args:
        levels: The table's levels.
        far: The name of the distance: FID with its numbers, or the offline distance.
        looks: The look of each row, the same in every chart; the first chart has the legend.
    """
    drawn, apart = _drawn_as(looks, legend=len(looks) <= MOST_NAMED), _drawn_as(looks, legend=False)
    return [
        _drawn(
            "trade-off",
            "all",
            "What privacy costs",
            "Dice against ε for every generator, with the bookends as bands.",
            _trade_off(levels, drawn),
        ),
        _drawn(
            "distance",
            "all",
            f"Does {far} tell?",
            f"{far} against Dice.",
            _scatter("far", far, alt.Scale(type="log", nice=False, padding=12), apart),
        ),
        _drawn(
            "radius",
            "radius",
            "Thin vessels suffer first",
            "Dice by the radius of the vessels.",
            _by("radius", "calibre", "vessels by radius", apart),
        ),
        _drawn(
            "sites",
            "sites",
            "At which site?",
            "Dice by the site of the tested patients.",
            _by("sites", "site", "site", apart),
        ),
        _drawn(
            "cost",
            "all",
            "What it costs to compute",
            "Seconds of a cell against Dice.",
            _scatter(
                "seconds", "seconds a cell, one core", alt.Scale(type="log", padding=12), apart
            ),
        ),
    ]


class Drawn(NamedTuple):
    """The colour and shape encodings of a chart."""

    colour: alt.Color
    shape: alt.Shape


def _drawn_as(looks: Mapping[str, Look], *, legend: bool) -> Drawn:
    """Each with its own marker; the page gives the colours, which differ in a dark room."""
    names, markers = list(looks), [look.marker for look in looks.values()]
    shown = alt.Legend(orient="bottom", columns=2, labelLimit=260, symbolOpacity=1)
    both: dict[str, Any] = {"title": None, "legend": shown if legend else None}
    return Drawn(
        colour=alt.Color("who:N", scale=alt.Scale(domain=names), **both),
        shape=alt.Shape("who:N", scale=alt.Scale(domain=names, range=markers), **both),
    )


def _trade_off(levels: Levels, drawn: Drawn) -> Any:
    dice = alt.Y("dice:Q", title="Dice", scale=DICE)
    low, high = alt.Y("low:Q", title="Dice", scale=DICE), alt.Y2("high:Q")
    colour = drawn.colour
    points = _on("points").encode(x=levels.axis(), color=colour, tooltip=TOOLTIP, detail="row:N")
    finite = _on("points").transform_filter(f"datum.epsilon != '{INFINITE}'")
    return alt.layer(
        *_paper(levels, dice),
        *_bands(dice, low, high),
        finite.mark_line(strokeWidth=2).encode(x=levels.axis(), y=dice, color=colour),
        points.transform_filter(KNOWN).mark_rule(opacity=0.6, strokeWidth=2).encode(y=low, y2=high),
        points.mark_point(filled=True, size=80, opacity=1).encode(y=dice, shape=drawn.shape),
    )


def _bands(dice: alt.Y, low: alt.Y, high: alt.Y2) -> Iterator[alt.Chart]:
    """The bookends, with their names on them, as they are no level of any ε."""
    bands = _on("bands").encode(tooltip=TOOLTIP)
    known = bands.transform_filter(KNOWN)
    yield known.mark_rect(opacity=0.13, color="grey").encode(y=low, y2=high)
    yield bands.mark_rule(strokeDash=[5, 3], strokeWidth=1.5, color="grey").encode(y=dice)
    yield _words(_on("bands"), align="left", baseline="bottom").encode(
        x=alt.value(4), y=alt.Y("label_at:Q", scale=DICE), text="who:N"
    )


def _paper(levels: Levels, dice: alt.Y) -> Iterator[alt.Chart]:
    """What was published, on other data."""
    low, paper = _on("paper-low"), _on("paper").encode(x=levels.axis())
    shade = low.mark_rect(opacity=0.08, color="grey", clip=True)
    yield shade.encode(x=levels.axis(), x2="to:Q")
    yield _words(low, align="right", baseline="bottom", dx=-4).encode(
        x=alt.X("to:Q"), y=alt.value(HEIGHT - 4), text="label:N"
    )
    points = paper.mark_point(shape="stroke", color="grey", size=120, strokeWidth=2)
    yield points.encode(y=dice, tooltip=["words:N"])
    yield _words(paper, align="right", dy=-10).encode(y=dice, text="label:N")


def _scatter(field: str, title: str, scale: alt.Scale, drawn: Drawn) -> Any:
    x = alt.X(f"{field}:Q", title=title, scale=scale)
    shown = f"datum['{field}'] > 0"  # a logarithmic axis has no 0
    base = _on("all").transform_filter(shown)
    tooltip = [*TOOLTIP, alt.Tooltip(f"{field}:Q", title=title, format=".3~g")]
    y = alt.Y("dice:Q", title="Dice", scale=DICE)
    return base.mark_point(filled=True, size=80, opacity=1).encode(
        x=x, y=y, color=drawn.colour, shape=drawn.shape, tooltip=tooltip
    )


def _words(chart: alt.Chart, **where: Any) -> Any:
    return chart.mark_text(fontSize=11, **where)


def _by(data: str, field: str, title: str, drawn: Drawn) -> Any:
    """Lines of the rows that the level is about: of all at once none could be told apart."""
    x = alt.X(f"{field}:N", title=title, sort=None, axis=alt.Axis(labelAngle=0))
    y = alt.Y("dice:Q", title="Dice", scale=DICE)
    tooltip = [*TOOLTIP[:4], alt.Tooltip(f"{field}:N"), alt.Tooltip("dice:Q", format=".3f")]
    kept = _on(data).transform_filter(f"datum.bookend || datum.epsilon == {LEVEL}")
    base = kept.encode(x=x, y=y, color=drawn.colour, detail="row:N", tooltip=tooltip)
    dots = base.mark_point(filled=True, size=80, opacity=1).encode(shape=drawn.shape)
    return alt.layer(base.mark_line(opacity=0.5), dots)


def _on(data: str) -> alt.Chart:
    return alt.Chart(alt.NamedData(data))


def _drawn(name: str, data: str, title: str, words: str, chart: Any) -> Chart:
    chosen = {LEVEL: INFINITE, LOWEST: 0, HIGHEST: 1}
    params = [alt.param(name=name, value=value) for name, value in chosen.items()]
    whole = chart.add_params(*params).properties(width="container", height=HEIGHT)
    return Chart(name, title, words, data, whole.to_dict(validate=False))  # Altair's takes seconds
