"""The picture of what an attacker can gain, as SVG.

It is drawn by hand rather than by a library: its bytes have to stay the same from one version of a
library to the next, because the receiver of a release makes the page again and compares. The
colours are those of the page's style sheet, also in the dark.
"""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from benchmark.release.dossier.belief import Curve
from benchmark.release.dossier.document import Picture

WIDTH, HEIGHT = 420.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 64.0, 12.0, 10.0, 48.0
TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
NEAR = 7.0
"""The distance of a curve's name from its curve."""

LABEL = Markup('<text class="{look}" x="{x:.1f}" y="{y:.1f}">{name}</text>')
LINE = Markup('<polyline class="{look}" points="{points}"/>')
GRID = Markup('<line class="grid" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>')
TICK = Markup('<text class="tick" text-anchor="{anchor}" x="{x:.1f}" y="{y:.1f}">{name}</text>')
AXIS = Markup('<text class="axis" text-anchor="middle" x="{x:.1f}" y="{y:.1f}">{name}</text>')
UPWARD = Markup(
    '<text class="axis" text-anchor="middle" transform="translate({x:.1f} {y:.1f}) rotate(-90)">'
    "{name}</text>"
)
WHOLE = Markup(
    '<svg role="img" viewBox="0 0 {width:.0f} {height:.0f}" aria-label="{words}">{inside}</svg>'
)


def svg(picture: Picture) -> Markup:
    """Draw the picture.

    Args:
        picture: Its curves and words.

    Returns:
        An ``svg`` element, in which every text is escaped.
    """
    inside = Markup("").join([*_frame(picture), *_lines(picture), *_names(picture)])
    return WHOLE.format(width=WIDTH, height=HEIGHT, words=picture.words, inside=inside)


def _at(point: tuple[float, float]) -> tuple[float, float]:
    """The place of a belief before and after."""
    before, after = point
    x = LEFT + before * (WIDTH - LEFT - RIGHT)
    return x, HEIGHT - BOTTOM - after * (HEIGHT - TOP - BOTTOM)


def _frame(picture: Picture) -> Iterator[Markup]:
    for tick in TICKS:
        (left, low), (right, _) = _at((0, tick)), _at((1, tick))
        yield GRID.format(x1=left, y1=low, x2=right, y2=low)
        yield TICK.format(anchor="end", x=left - 6, y=low + 4, name=f"{tick:.0%}")
        (across, bottom), (_, top) = _at((tick, 0)), _at((tick, 1))
        yield GRID.format(x1=across, y1=bottom, x2=across, y2=top)
        yield TICK.format(anchor="middle", x=across, y=bottom + 16, name=f"{tick:.0%}")
    x, y = _at((0.5, 0.5))
    yield AXIS.format(x=x, y=HEIGHT - 10, name=picture.across)
    yield UPWARD.format(x=14.0, y=y, name=picture.up)


def _lines(picture: Picture) -> Iterator[Markup]:
    for curve in picture.curves:
        points = " ".join("{:.2f},{:.2f}".format(*_at(point)) for point in curve.points)
        yield LINE.format(look=curve.look, points=points)


def _names(picture: Picture) -> Iterator[Markup]:
    for curve in picture.curves:
        x, y = _below(curve)
        yield LABEL.format(look=curve.look, x=x, y=y, name=curve.name)


def _below(curve: Curve) -> tuple[float, float]:
    """Right of the curve and below it, where it is furthest from its neighbours."""
    x, y = _at(curve.at)
    return x + NEAR, max(y, TOP + NEAR) + NEAR
