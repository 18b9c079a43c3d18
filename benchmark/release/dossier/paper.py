"""A4 paper that the dossier is printed on: fonts, colours, text, boxes, tables and the chart.

The fonts are DejaVu's, which come with matplotlib, as the fonts of PDF itself lack ε and δ.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, cast

import matplotlib
from fpdf import FPDF
from fpdf.enums import MethodReturnValue
from PIL import Image

from benchmark.release.dossier.belief import Curve
from benchmark.release.dossier.chart import TICKS
from benchmark.release.dossier.document import Picture, Table, Tone, Warned

Colour = tuple[int, int, int]
FRONT, SOFT, LINE = (27, 31, 36), (87, 96, 106), (208, 215, 222)
BLUE, WHITE, MARK, BANNER = (11, 87, 208), (255, 255, 255), (255, 244, 214), (140, 29, 24)
TONES: dict[Tone, tuple[Colour, Colour | None]] = {
    "plain": (FRONT, None),
    "soft": (SOFT, None),
    "good": ((20, 101, 59), (233, 245, 238)),
    "loud": ((163, 32, 26), (253, 236, 234)),
}
"""The colour of a tone's text, and of its box."""

SIDE, TOP, FOOT = 17.0, 14.0, 15.0
BODY, SMALL, TINY = 8.8, 8.0, 7.1
"""Sizes of text, in points."""

SPACING = 0.49
"""The height of a line in mm, for each point of its text."""

HIGHEST = 60.0
"""The most height of the contact sheet, in mm."""

CHART = 47.0
"""The height of the chart, in mm."""

REPEATED = 3
"""The most lines of reasons on a page after the first, which has them all."""


class Paper(FPDF):
    """A4 pages with a footer and, for a release that is not private, a banner on each.

    Args:
        footer: The text at the foot; it holds ``{page}`` and ``{pages}``.
        warned: The banner.
    """

    def __init__(self, footer: str, warned: Warned | None) -> None:
        super().__init__(format="A4")
        self._footer, self._warned = footer, warned
        fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
        self.add_font("DejaVu", "", fonts / "DejaVuSans.ttf")
        self.add_font("DejaVu", "B", fonts / "DejaVuSans-Bold.ttf")
        self.set_margins(SIDE, TOP, SIDE)
        self.set_auto_page_break(True, FOOT)
        self.c_margin = 0.0
        self.set_font("DejaVu", "", BODY)

    def header(self) -> None:
        """Print the banner and the reasons."""
        if self._warned is None:
            return
        words = " ".join((self._warned.lead, *self._warned.reasons))
        self.set_font("DejaVu", "", SMALL)
        lines = self.lines_of(words, self.epw)
        if self.page_no() > 1 and len(lines) > REPEATED:
            lines = [*lines[: REPEATED - 1], f"{lines[REPEATED - 1]} …"]
        height = 12 + len(lines) * SMALL * SPACING
        self.set_fill_color(*BANNER)
        self.rect(0, 0, self.w, height, style="F")
        self.set_y(3.5)
        self.say(self._warned.title, self.l_margin, self.epw, size=12, bold=True, colour=WHITE)
        for line in lines:
            self.say(line, self.l_margin, self.epw, size=SMALL, colour=WHITE)
        self.set_y(height + 5)

    def footer(self) -> None:
        """Print the number of the page."""
        self.set_y(-FOOT + 4)
        self.set_font("DejaVu", "", TINY)
        self.set_text_color(*SOFT)
        text = self._footer.replace("{page}", str(self.page_no())).replace("{pages}", "{nb}")
        self.cell(self.epw, TINY * SPACING, text)

    def room(self, height: float) -> None:
        """Go to a new page unless so many mm are left on this one."""
        if self.get_y() + height > self.page_break_trigger:
            self.add_page()

    def say(
        self,
        text: str,
        x: float,
        width: float,
        *,
        size: float = BODY,
        bold: bool = False,
        colour: Colour = FRONT,
        align: Literal["L", "C", "R"] = "L",
    ) -> None:
        """Write a text from the present height down."""
        self.set_font("DejaVu", "B" if bold else "", size)
        self.set_text_color(*colour)
        self.set_x(x)
        self.multi_cell(width, size * SPACING, text, align=align, new_x="LMARGIN", new_y="NEXT")

    def height_of(
        self, text: str, width: float, *, size: float = BODY, bold: bool = False
    ) -> float:
        """Measure a text, in mm."""
        self.set_font("DejaVu", "B" if bold else "", size)
        return len(self.lines_of(text, width)) * size * SPACING

    def lines_of(self, text: str, width: float) -> list[str]:
        """Break a text into lines, in the present font."""
        found = self.multi_cell(
            width, 1, text, dry_run=True, align="L", output=MethodReturnValue.LINES
        )
        return cast(list[str], found)

    def box(self, text: str, x: float, width: float, tone: Tone, *, size: float = BODY) -> None:
        """Write a text in a box of its tone."""
        colour, back = TONES[tone]
        height = self.height_of(text, width - 7, size=size, bold=True) + 3.6
        self.room(height)
        top = self.get_y()
        self.set_fill_color(*(back or WHITE))
        self.rect(x, top, width, height, style="F")
        self.set_fill_color(*colour)
        self.rect(x, top, 1.2, height, style="F")
        self.set_y(top + 1.8)
        self.say(text, x + 4, width - 7, size=size, bold=True, colour=colour)
        self.set_y(top + height + 1.8)

    def draw_table(self, part: Table, x: float, width: float) -> None:
        """Draw a table with its caption."""
        self.room(18)
        self.say(part.caption, x, width, size=SMALL, bold=True)
        self.set_y(self.get_y() + 0.6)
        columns = [width * one / sum(part.widths) for one in part.widths]
        if part.head:
            self._row(part.head, x, columns, size=TINY, colours=[SOFT] * len(columns))
        first = FRONT if part.head else SOFT
        for i, row in enumerate(part.rows):
            colours = [first, *[FRONT] * (len(columns) - 1)]
            self._row(row, x, columns, size=SMALL, colours=colours, marked=i in part.marked)
        self.set_y(self.get_y() + 2)

    def _row(
        self,
        cells: Sequence[str],
        x: float,
        columns: Sequence[float],
        *,
        size: float,
        colours: Sequence[Colour],
        marked: bool = False,
    ) -> None:
        tall = max(
            self.height_of(text, column - 2, size=size, bold=marked)
            for text, column in zip(cells, columns, strict=True)
        )
        self.room(tall + 1.8)
        top = self.get_y()
        if marked:
            self.set_fill_color(*MARK)
            self.rect(x, top, sum(columns), tall + 1.8, style="F")
        at = x
        for text, column, colour in zip(cells, columns, colours, strict=True):
            self.set_y(top + 0.9)
            self.say(text, at, column - 2, size=size, bold=marked, colour=colour)
            at += column
        self.set_draw_color(*LINE)
        self.set_line_width(0.15)
        self.line(x, top + tall + 1.8, x + sum(columns), top + tall + 1.8)
        self.set_y(top + tall + 1.8)

    def draw_picture(self, part: Picture, x: float, width: float) -> None:
        """Draw the chart of what an attacker can gain, with its caption."""
        plot = _Plot(self, x + 13, self.get_y() + 1, width - 15, CHART)
        plot.frame(part)
        for curve in part.curves:
            plot.line(curve)
        for curve in part.curves:
            plot.name(curve)
        self.set_y(plot.y + plot.height + 9)
        self.say(part.caption, x, width, size=TINY, colour=SOFT)

    def draw_sheet(self, image: bytes, words: str, caption: str, x: float, width: float) -> None:
        """Place the contact sheet, with its caption."""
        top = self.get_y() + 1
        with Image.open(io.BytesIO(image)) as opened:
            across, down = opened.size
        height = min(HIGHEST, width * down / across)
        self.image(io.BytesIO(image), x, top, height * across / down, height, alt_text=words)
        self.set_y(top + height + 1.5)
        self.say(caption, x, width, size=TINY, colour=SOFT)


class _Plot:
    """The square of beliefs before and after, on a place of the paper."""

    def __init__(self, paper: Paper, x: float, y: float, width: float, height: float) -> None:
        self.paper, self.x, self.y, self.width, self.height = paper, x, y, width, height

    def at(self, point: tuple[float, float]) -> tuple[float, float]:
        before, after = point
        return self.x + before * self.width, self.y + (1 - after) * self.height

    def frame(self, part: Picture) -> None:
        paper = self.paper
        paper.set_draw_color(*LINE)
        paper.set_line_width(0.15)
        for tick in TICKS:
            paper.line(*self.at((0, tick)), *self.at((1, tick)))
            paper.line(*self.at((tick, 0)), *self.at((tick, 1)))
            self._text(f"{tick:.0%}", self.x - 12.5, self.at((0, tick))[1] - 1.6, 11.5, "R")
            self._text(f"{tick:.0%}", self.at((tick, 0))[0] - 6, self.y + self.height + 1, 12, "C")
        self._text(part.across, self.x, self.y + self.height + 4.8, self.width, "C")
        turned = self.x - 12, self.y + self.height
        with paper.rotation(90, *turned):
            self._text(part.up, turned[0], turned[1] - 1.6, self.height, "C")

    def line(self, curve: Curve) -> None:
        paper, is_own = self.paper, curve.look == "release"
        paper.set_draw_color(*(BLUE if is_own else SOFT))
        paper.set_line_width(0.75 if is_own else 0.25)
        dash = (1.2, 1.0) if curve.look == "diagonal" else (0, 0)
        paper.set_dash_pattern(*dash)
        paper.polyline([self.at(point) for point in curve.points])
        paper.set_dash_pattern()

    def name(self, curve: Curve) -> None:
        paper, is_own = self.paper, curve.look == "release"
        x, y = self.at(curve.at)
        x, y = x + 1.5, max(y, self.y + 0.8) + 0.4
        paper.set_font("DejaVu", "B" if is_own else "", TINY)
        paper.set_fill_color(*WHITE)
        paper.rect(x - 0.3, y, paper.get_string_width(curve.name) + 0.6, 3.1, style="F")
        paper.set_y(y)
        colour = BLUE if is_own else SOFT
        paper.say(curve.name, x, self.width, size=TINY, bold=is_own, colour=colour)

    def _text(self, text: str, x: float, y: float, width: float, align: Literal["C", "R"]) -> None:
        self.paper.set_y(y)
        self.paper.say(text, x, width, size=TINY, colour=SOFT, align=align)
