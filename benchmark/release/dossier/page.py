"""The dossier of a release: what a data-protection officer reads, and then signs or refuses.

Page and PDF depend on the statement, the contact sheet and the language alone. So whoever receives
a release can make both again and compare.
"""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from benchmark.release.dossier.chart import svg
from benchmark.release.dossier.claims import folder, opening, people, promise, warning
from benchmark.release.dossier.document import Document
from benchmark.release.dossier.evidence import audit, ledger, nearest, replay
from benchmark.release.dossier.framing import approval, citation, limits, standards
from benchmark.release.dossier.phrases import SECTIONS, Phrases
from benchmark.release.dossier.worth import utility
from benchmark.release.statement import Statement

HERE = Path(__file__).parent

WRITERS = dict(
    zip(
        SECTIONS,
        (
            folder,
            promise,
            people,
            ledger,
            audit,
            nearest,
            replay,
            utility,
            limits,
            standards,
            citation,
            approval,
        ),
        strict=True,
    )
)
"""What writes each section."""


def document_of(statement: Statement, say: Phrases) -> Document:
    """Write the dossier, as page and PDF draw it.

    Args:
        statement: The release's statement.
        say: The sentences of a language.

    Returns:
        The document: an opening and twelve numbered sections.
    """
    subtitle = say(
        "head.subtitle",
        run=statement.run,
        created=statement.created,
        version=statement.suite.version,
    )
    return Document(
        language=say.language,
        title=say("head.title"),
        subtitle=subtitle,
        created=statement.created,
        warned=warning(statement, say),
        opening=opening(statement, say),
        sections=tuple(write(statement, say) for write in WRITERS.values()),
        footer=say("head.page", page="{page}", pages="{pages}"),
    )


def dossier_html(statement: Statement, sheet: bytes, *, language: str = "en") -> str:
    """Write the dossier as one HTML page, which needs no script, no other file and no network.

    Args:
        statement: The release's statement.
        sheet: A contact sheet of synthetic patches, as PNG.
        language: The language of its sentences.

    Returns:
        The page. It depends on the arguments alone.

    Raises:
        UsageError: If there are no sentences in that language.
    """
    document = document_of(statement, Phrases.of(language))
    image = f"data:image/png;base64,{base64.b64encode(sheet).decode()}"
    return _environment().get_template("dossier.html.j2").render(document=document, sheet=image)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=select_autoescape(("html.j2",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.tests["a"] = lambda part, kind: type(part).__name__ == kind
    made.globals["svg"] = svg
    made.globals["css"] = Markup((HERE / "dossier.css").read_text(encoding="utf-8"))  # noqa: S704
    return made
