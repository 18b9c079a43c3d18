"""The dossier of a release as PDF, for printing and signing; it says what the page says."""

from __future__ import annotations

from datetime import UTC, datetime

from benchmark.release.dossier.document import (
    Beside,
    Blank,
    Bullets,
    Paragraph,
    Part,
    Picture,
    Section,
    Sheet,
    Single,
    Table,
)
from benchmark.release.dossier.page import document_of
from benchmark.release.dossier.paper import BLUE, BODY, CHART, LINE, SMALL, SOFT, TONES, Paper
from benchmark.release.dossier.phrases import Phrases
from benchmark.release.statement import Statement

MAKER = "AngioBench"
GAP = 6.0
"""Between two columns, in mm."""

NAMES, ROW, FIELD = 20.0, 5.6, 9.0
"""The heights of a chart's names and caption, of a table's row and of a blank field, in mm."""

LEAST = 34.0
"""A section does not begin with less than this left on the page, in mm."""


def dossier_pdf(statement: Statement, sheet: bytes, *, language: str = "en") -> bytes:
    """Print the dossier on A4.

    Args:
        statement: The release's statement.
        sheet: A contact sheet of synthetic patches, as PNG.
        language: The language of its sentences.

    Returns:
        The PDF. It depends on the arguments alone; its date is that of the release.

    Raises:
        UsageError: If there are no sentences in that language.
    """
    document = document_of(statement, Phrases.of(language))
    paper = Paper(
        f"{document.title}  ·  {document.subtitle}  ·  {document.footer}", document.warned
    )
    paper.set_compression(False)  # versions of zlib compress the same to other bytes
    paper.set_title(f"{document.title} – {document.subtitle}")
    paper.set_lang(document.language)
    paper.set_creator(MAKER)
    paper.set_producer(MAKER)
    paper.set_creation_date(datetime.fromisoformat(document.created).replace(tzinfo=UTC))
    paper.add_page()
    paper.say(document.title, paper.l_margin, paper.epw, size=20, bold=True)
    paper.say(document.subtitle, paper.l_margin, paper.epw, size=BODY, colour=SOFT)
    paper.set_y(paper.get_y() + 3)
    _opening(paper, document.opening, sheet)
    for section in document.sections:
        _section(paper, section, sheet)
    return bytes(paper.output())


def _opening(paper: Paper, parts: tuple[Part, ...], sheet: bytes) -> None:
    verdict, *others = parts
    if isinstance(verdict, Paragraph):
        paper.box(verdict.text, paper.l_margin, paper.epw, verdict.tone, size=11.5)
    for part in others:
        _part(paper, part, sheet)


def _section(paper: Paper, section: Section, sheet: bytes) -> None:
    blanks = [len(part.fields) for part in section.parts if isinstance(part, Blank)]
    paper.room(LEAST + FIELD * sum(blanks))
    paper.set_y(paper.get_y() + 2.2)
    x, top = paper.l_margin, paper.get_y()
    paper.start_section(section.title)
    paper.set_draw_color(*LINE)
    paper.set_line_width(0.15)
    paper.line(x, top, x + paper.epw, top)
    paper.set_y(top + 1.8)
    paper.say(str(section.number), x, 9, size=11, bold=True, colour=BLUE)
    paper.set_y(top + 1.8)
    paper.say(section.title, x + 8, paper.epw - 8, size=11, bold=True)
    paper.set_y(paper.get_y() + 1.4)
    for part in section.parts:
        _part(paper, part, sheet)


def _part(paper: Paper, part: Part, sheet: bytes) -> None:
    if isinstance(part, Beside):
        _beside(paper, part, sheet)
    else:
        _single(paper, part, sheet, paper.l_margin, paper.epw)


def _beside(paper: Paper, part: Beside, sheet: bytes) -> None:
    paper.room(_height(part))
    top, left = paper.get_y(), part.share * (paper.epw - GAP)
    lowest = top
    columns = (
        (part.left, paper.l_margin, left),
        (
            part.right,
            paper.l_margin + left + GAP,
            paper.epw - GAP - left,
        ),
    )
    for parts, x, width in columns:
        paper.set_y(top)
        for one in parts:
            _single(paper, one, sheet, x, width)
        lowest = max(lowest, paper.get_y())
    paper.set_y(lowest + 1.5)


def _height(part: Beside) -> float:
    """About what two columns need, so that no page ends within them."""
    rows = [len(one.rows) for one in (*part.left, *part.right) if isinstance(one, Table)]
    charts = any(isinstance(one, Picture) for one in part.left)
    return max(CHART + NAMES if charts else 0.0, ROW * (3 + max(rows, default=0)))


def _single(paper: Paper, part: Single, sheet: bytes, x: float, width: float) -> None:
    match part:
        case Paragraph():
            _paragraph(paper, part, x, width)
        case Bullets():
            for item in part.items:
                _bullet(paper, item, x, width)
            paper.set_y(paper.get_y() + 0.8)
        case Table():
            paper.draw_table(part, x, width)
        case Picture():
            paper.draw_picture(part, x, width)
        case Sheet():
            paper.draw_sheet(sheet, part.words, part.caption, x, width)
        case Blank():
            _blank(paper, part, x, width)


def _paragraph(paper: Paper, part: Paragraph, x: float, width: float) -> None:
    colour, back = TONES[part.tone]
    if back:
        paper.box(part.text, x, width, part.tone)
        return
    paper.say(part.text, x, width, size=SMALL if part.tone == "soft" else BODY, colour=colour)
    paper.set_y(paper.get_y() + 1.3)


def _bullet(paper: Paper, item: Paragraph, x: float, width: float) -> None:
    colour, is_loud = TONES[item.tone][0], item.tone == "loud"
    paper.room(paper.height_of(item.text, width - 5, bold=is_loud))
    top = paper.get_y()
    paper.say("•", x + 1, 4, colour=colour)
    paper.set_y(top)
    paper.say(item.text, x + 5, width - 5, bold=is_loud, colour=colour)
    paper.set_y(paper.get_y() + 0.5)


def _blank(paper: Paper, part: Blank, x: float, width: float) -> None:
    paper.room(FIELD * len(part.fields))
    for name, printed in part.fields:
        top = paper.get_y() + 4
        paper.set_y(top)
        paper.say(name, x, 32, colour=SOFT)
        paper.set_y(top)
        paper.say(printed, x + 34, width - 34)
        paper.set_draw_color(*SOFT)
        paper.line(x + 34, top + 4.6, x + width, top + 4.6)
        paper.set_y(top + 4.8)
