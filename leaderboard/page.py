"""The board as one HTML page that works offline, and as Markdown."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, select_autoescape
from markupsafe import Markup

from benchmark.core.files import write_text
from benchmark.core.folders import cache_folder
from benchmark.results.observers import Fit
from leaderboard.answers import summary_of
from leaderboard.cohorts import Cohorts
from leaderboard.markdown import lines_of, overview_of
from leaderboard.notes import notes_of
from leaderboard.rows import Table
from leaderboard.view import title_of, view_of

HERE = Path(__file__).parent
RESULTS = HERE / "results"
"""The published files that are shipped."""
TITLE = "AngioBench leaderboard"
LEAD = (
    "Generators of labelled brain angiography: a segmenter learns from their synthetic patches "
    "alone and is tested on held-out patients. More Dice is better; less ε is more private."
)


def write_page(tables: Sequence[Table], file: Path, *, title: str = TITLE) -> None:
    """Write the page, whole or not at all. It needs no other file and no host.

    Args:
        tables: The board's tables.
        file: The file to write.
        title: The page's title.
    """
    text = _environment().get_template("page.html.j2")
    write_text(
        file,
        text.render(
            title=title,
            lead=LEAD,
            css=_ours("page.css"),
            script=_ours("page.js"),
            vega=_vega(),
            tables=tables,
            view=_packed(view_of(tables)),
        ),
    )


def write_markdown(tables: Sequence[Table], file: Path, *, title: str = TITLE) -> None:
    """Write the same tables as Markdown.

    Args:
        tables: The board's tables.
        file: The file to write.
        title: The title.
    """
    text = _environment().get_template("report.md.j2")
    write_text(file, text.render(title=title, lead=LEAD, tables=tables, cohorts=Cohorts(tables)))


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=select_autoescape(("html.j2",)),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {
        "title": title_of,
        "notes": notes_of,
        "lines": lines_of,
        "overview": overview_of,
        "summary": summary_of,
    }
    return made


def _ours(name: str) -> Markup:
    return Markup((HERE / name).read_text(encoding="utf-8"))  # noqa: S704  (our own file)


@cache
def _vega() -> Markup:
    """Vega, Vega-Lite and their embedding, which vl-convert brings along and takes seconds over."""
    import vl_convert

    kept = cache_folder() / f"vega-{version('vl-convert-python')}.js"
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_text(kept, vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))
    bundle = kept.read_text(encoding="utf-8")
    return Markup(bundle.replace("</script", "<\\/script"))  # noqa: S704  (the library's own code)


def _packed(view: dict[str, Any]) -> str:
    """Compressed, as a thousand rows' sentences are much alike; also, no text of it is markup."""
    text = json.dumps(view, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def explanation_page(fit: Fit, parts: Mapping[str, Sequence[str]]) -> str:
    """Return the explanation of a fit's privacy as an HTML page, which needs no other file.

    Args:
        fit: The result of a cell, or what a deployment left.
        parts: The sentences that answer each question.
    """
    text = _environment().get_template("explanation.html.j2")
    return text.render(
        title=f"What run {fit.run_key} of {fit.spec.generator.name} promises",
        css=_ours("page.css"),
        parts=parts,
    )
