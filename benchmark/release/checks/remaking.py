"""Files of a received release that follow from its statement: made again, and compared.

So a page that people read cannot say anything else than the statement that was checked. Where
another version made them, they cannot be compared, and only what ``pages`` knows is checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmark.core.files import plain
from benchmark.core.parsers import json_in
from benchmark.release.checks.files import Received
from benchmark.release.checks.layout import TEXTS
from benchmark.release.checks.pages import of_pages
from benchmark.release.seals import UNLISTED
from benchmark.release.statement import CROISSANT, DOSSIER, DOSSIER_PDF, SHEET, Statement
from benchmark.results.provenance import UNKNOWN, suite

DRAWING = ("fpdf2", "fonttools", "matplotlib", "pillow", "jinja2")
"""The libraries that decide the bytes of pages: the writers, and the fonts."""


def of_remade(files: Received, said: Statement) -> tuple[list[str], list[str]]:
    """Make the dossier and the descriptions again from the statement, and compare.

    Args:
        files: What was received; none of the files is missing.
        said: Its statement.

    Returns:
        Faults, and what could not be compared.
    """
    if why := _why_others(said):
        return [*of_pages(files, said)], [f"the dossier and the descriptions, {why}"]
    try:
        return [*_differences(files, said)], []
    except Exception as error:  # the statement and the sheet are a stranger's
        return [f"its statement gives no dossier or description ({type(error).__name__})"], []


def remade(said: Statement, sheet: bytes) -> Mapping[str, bytes]:
    """Return the dossier and the descriptions that this suite makes, by the names of their files.

    Args:
        said: The statement.
        sheet: The contact sheet's PNG.
    """
    html = _maker("benchmark.release.dossier.page", "dossier_html")
    pdf = _maker("benchmark.release.dossier.pdf", "dossier_pdf")
    describe = _maker("benchmark.release.contents.descriptions", "write_descriptions")
    with TemporaryDirectory() as made:
        describe(Path(made), said)
        texts = {name: (Path(made) / name).read_bytes() for name in TEXTS}
    return {DOSSIER: html(said, sheet).encode(), DOSSIER_PDF: pdf(said, sheet), **texts}


def remade_croissant(said: Statement, folder: Path) -> dict[str, Any]:
    """Return the Croissant metadata that this suite makes.

    Args:
        said: The statement.
        folder: The release, whose checksums they hold.
    """
    made: dict[str, Any] = _maker("benchmark.release.contents.croissant", "croissant")(said, folder)
    listed = [one for one in made["distribution"] if one.get("name") not in UNLISTED]
    return {**made, "distribution": listed}


def _differences(files: Received, said: Statement) -> Iterator[str]:
    for name, content in remade(said, files.content(SHEET)).items():
        if files.content(name) != content:
            yield f"{name} is not what the statement gives"
    if json_in(files.folder / CROISSANT) != plain(remade_croissant(said, files.folder)):
        yield f"{CROISSANT} is not what the statement and the files give"


def _maker(module: str, name: str) -> Any:
    """A function of a part that is loaded only where a whole release is checked."""
    return getattr(import_module(module), name)


def _why_others(said: Statement) -> str:
    """Why this suite's pages may be others than those of the same release; empty if they are not.

    A commit is compared as far as both know theirs.
    """
    ours = suite()
    commits = {ours["commit"], said.suite.commit} - {UNKNOWN}
    if said.suite.version != ours["version"] or len(commits) > 1:
        return f"as they are by another version ({said.suite.version})"
    other = [name for name in DRAWING if said.versions.get(name) not in (None, version(name))]
    return f"as {', '.join(other)} differs here" if other else ""
