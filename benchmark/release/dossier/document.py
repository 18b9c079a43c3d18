"""What the dossier says, before it is drawn: the HTML page and the PDF are made from one document.

So the two cannot say different things.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from benchmark.release.dossier.belief import Curve

Tone = Literal["plain", "soft", "good", "loud"]
"""How a paragraph is set: ``good`` for what holds, ``loud`` for what a reader may not miss."""


@dataclass(frozen=True)
class Paragraph:
    """Some sentences."""

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True)
class Bullets:
    """A list of sentences; each one with its tone."""

    items: tuple[Paragraph, ...]


@dataclass(frozen=True)
class Table:
    """A table that stands alone.

    Attributes:
        caption: What it shows.
        head: The names of the columns; empty where the first column names the rows.
        rows: The cells, as text.
        widths: The columns' widths, in any one unit.
        marked: The rows to stress, from 0.
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    widths: tuple[float, ...]
    marked: tuple[int, ...] = ()


@dataclass(frozen=True)
class Picture:
    """The chart of what an attacker can gain.

    Attributes:
        caption: What it shows.
        words: The same for readers who cannot see it.
        across: The name of the horizontal axis.
        up: The name of the vertical axis.
        curves: What is drawn; the release's own curve is the last.
    """

    caption: str
    words: str
    across: str
    up: str
    curves: tuple[Curve, ...]


@dataclass(frozen=True)
class Sheet:
    """The place of the contact sheet."""

    caption: str
    words: str


@dataclass(frozen=True)
class Blank:
    """Fields to fill in by hand: their names, and what is printed in them."""

    fields: tuple[tuple[str, str], ...]


Single = Paragraph | Bullets | Table | Picture | Sheet | Blank


@dataclass(frozen=True)
class Beside:
    """Two columns. Readers of a narrow screen see the left one first.

    Attributes:
        left: The parts of the left column.
        right: The parts of the right one.
        share: The left column's share of the width.
    """

    left: tuple[Single, ...]
    right: tuple[Single, ...]
    share: float


Part = Single | Beside


@dataclass(frozen=True)
class Section:
    """A numbered part of the dossier with its name, which is also its address."""

    name: str
    number: int
    title: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Warned:
    """What stands on every page of a release that is not private."""

    title: str
    lead: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Document:
    """The whole dossier.

    Attributes:
        language: The code of its language.
        title: Its title.
        subtitle: Which release it is of.
        created: The day of the release, as ``2026-11-30``.
        warned: What every page warns of; ``None`` for a private release.
        opening: What comes before the first section.
        sections: The numbered sections.
        footer: The number of a page, with ``{page}`` and ``{pages}`` for both numbers.
    """

    language: str
    title: str
    subtitle: str
    created: str
    warned: Warned | None
    opening: tuple[Part, ...]
    sections: tuple[Section, ...]
    footer: str
