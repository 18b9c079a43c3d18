"""The reports of a sweep: the board's page and Markdown, for its own cells alone.

They lie beside the results, which hold more, and so show means over few patients too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from leaderboard.board import tables_of
from leaderboard.entries import Entry
from leaderboard.page import write_markdown, write_page

PAGE, MARKDOWN = "report.html", "report.md"


def write_report(entries: Sequence[Entry], folder: Path) -> list[Path]:
    """Write the page and the Markdown file, and return both files."""
    tables = tables_of(entries, for_owner=True)
    names = list(dict.fromkeys(entry.spec.generator.name for entry in entries))
    title = f"AngioBench: {', '.join(names)}"
    write_page(tables, folder / PAGE, title=title)
    write_markdown(tables, folder / MARKDOWN, title=title)
    return [folder / PAGE, folder / MARKDOWN]
