"""The dossier of a release in a real Chromium: readable for everybody, whole on paper, offline."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from dossiers import KINDS, sheet

from benchmark.release.dossier.page import dossier_html

pytestmark = pytest.mark.browser


KIND = ["patient", "patch", "federated", "deployed, secure sums", "refuted", "phantoms"]


@pytest.fixture(params=KIND)
def page(chromium, tmp_path: Path, request) -> Iterator:  # type: ignore[no-untyped-def]
    """The open page; whatever it complains of or asks elsewhere is an error."""
    wrong: list[str] = []
    (tmp_path / "dossier.html").write_text(dossier_html(KINDS[request.param], sheet()))
    page = chromium.new_page(viewport={"width": 1100, "height": 900})
    page.on("console", lambda said: wrong.append(said.text))
    page.on("request", lambda asked: wrong.append(asked.url) if is_outside(asked.url) else None)
    page.goto((tmp_path / "dossier.html").as_uri())
    yield page
    page.close()
    assert wrong == []


def is_outside(url: str) -> bool:
    return not url.startswith(("file:", "data:"))


@pytest.mark.parametrize("width", [400, 1100])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_read_the_dossier(page, scheme: str, width: int) -> None:  # type: ignore[no-untyped-def]
    """WCAG 2.1 AA by axe: contrast, structure, names, alternative texts."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    found = axe.Axe().run(page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found] == []


@pytest.mark.parametrize("width", [360, 800, 1400])
def test_no_table_is_wider_than_the_screen(page, width: int) -> None:  # type: ignore[no-untyped-def]
    page.set_viewport_size({"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_no_table_is_cut_on_paper(page) -> None:  # type: ignore[no-untyped-def]
    page.set_viewport_size({"width": 665, "height": 900})  # A4 between its margins
    page.emulate_media(media="print")
    cut = "[...document.querySelectorAll('table')].filter(t => t.scrollWidth > 667).length"
    assert page.evaluate(cut) == 0
    assert page.locator("table").count() > 4


def test_the_contact_sheet_is_shown(page) -> None:  # type: ignore[no-untyped-def]
    assert page.locator("img").evaluate("image => image.naturalWidth") == 64
