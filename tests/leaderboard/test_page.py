"""The page as a file: small, alone, and deaf to what strangers write into it."""

import base64
import gzip
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from made import entry, spec, specs, unfinished
from test_published import png

from benchmark.core.files import plain
from leaderboard.board import tables_of
from leaderboard.entries import Entry
from leaderboard.markdown import COLUMNS, overview_of
from leaderboard.page import HERE, write_markdown, write_page
from leaderboard.view import NO_PICTURE, PICTURES_KIB

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plans")


def view_in(page: str) -> dict:
    found = re.search(r'<script type="text/plain" id="view">([A-Za-z0-9+/=]+)</script>', page)
    assert found
    view: dict = json.loads(gzip.decompress(base64.b64decode(found[1])))
    return view


def page_of(entries: list, folder: Path) -> str:
    write_page(tables_of(entries), folder / "index.html")
    return (folder / "index.html").read_text()


def test_the_page_asks_nothing_of_any_other_host(cache: Path, tmp_path: Path) -> None:
    page = page_of([entry(one, cache) for one in specs(bookends=True)], tmp_path)
    assert "default-src 'none'" in page
    markup = re.sub(r"(<script\b[^>]*>).*?</script>", r"\1", page, flags=re.DOTALL)
    tags = re.findall(r"<(?:script|link|img|iframe|video|audio|source)\b[^>]*>", markup)
    assert tags
    assert not [tag for tag in tags if re.search(r"\b(?:src|href)=", tag)]


def like(one: Entry, rate: int) -> Entry:
    """The same with another learning rate, which no plan depends on."""
    settings = {**one.spec.generator.settings, "generator_rate": rate / 1e5}
    spec = replace(one.spec, generator=replace(one.spec.generator, settings=settings))
    result = {**one.result, "run_key": spec.key, "spec": plain(spec.as_dict())}
    return replace(one, spec=spec, result=result, pictures={})


def test_a_thousand_results_fit_into_three_megabytes(cache: Path, tmp_path: Path) -> None:
    small = [entry(one, cache, pictures={"samples": png(600)}) for one in specs(seeds=3)]
    made = [like(one, rate) for one in small for rate in range(300, 633)]
    page = page_of([*small, *made], tmp_path)
    assert len(view_in(page)["tables"][0]["rows"]) == 334
    assert len(page) < 3_000_000


def test_pictures_beyond_the_room_are_left_out_and_it_is_said(cache: Path, tmp_path: Path) -> None:
    large = b"x" * (PICTURES_KIB * 350)
    levels = specs(epsilons=(1.0, 2.0, 5.0))
    page = page_of([entry(one, cache, pictures={"samples": large}) for one in levels], tmp_path)
    view = view_in(page)
    shown = [row["detail"]["pictures"]["samples"] for row in view["tables"][0]["rows"]]
    assert [bool(text) for text in shown] == [True, True, False]
    assert view["no_picture"] == NO_PICTURE


def test_what_a_failed_cell_said_is_never_markup(cache: Path, tmp_path: Path) -> None:
    page = page_of(
        [entry(spec(), cache), unfinished(spec(seeds=1, first_seed=1), "failed", HOSTILE)], tmp_path
    )
    assert HOSTILE not in page
    assert "alert(1)" not in page
    (row,) = view_in(page)["tables"][0]["rows"]
    assert row["reasons"] == [HOSTILE]


def test_an_infinite_and_an_unknown_epsilon_survive_json(cache: Path, tmp_path: Path) -> None:
    page = page_of([entry(one, cache) for one in specs(epsilons=(5.0, math.inf))], tmp_path)
    asked = {row["epsilon"]: row["patch"] for row in view_in(page)["tables"][0]["rows"]}
    assert asked["∞"] == "inf"
    assert 4.9 < asked["5"] <= 5


def test_the_same_results_make_the_same_bytes(cache: Path, tmp_path: Path) -> None:
    made = [entry(one, cache) for one in specs(bookends=True)]
    assert page_of(made, tmp_path) == page_of(list(reversed(made)), tmp_path)


def test_the_markdown_has_every_table(cache: Path, tmp_path: Path) -> None:
    tables = tables_of([entry(spec(), cache), entry(spec(unit="patient"), cache)])
    write_markdown(tables, tmp_path / "report.md")
    text = (tmp_path / "report.md").read_text()
    assert text.count("\n## one ") == 2
    assert text.count("\n### On ") == 4
    assert re.search(
        r"\| dp-wgan \| 5 \| patch \| 0\.\d{3} \(one draw\) \| .* \| (4\.99\d*|5) \| \S+ \|", text
    )


def test_the_markdown_begins_with_dice_by_generator_and_epsilon(cache: Path) -> None:
    asked = specs(bookends=True, epsilons=(2.0, 5.0), seeds=2)
    made = [unfinished(s, "failed") if s.epsilon == 2 else entry(s, cache) for s in asked]
    made[-1] = unfinished(asked[-1], "missing")
    (table,) = tables_of(made)
    head, _, *lines = overview_of(table.rows, "test")
    assert head == "| Dice | ε = 0 | ε = 2 | ε = 5 | ε = ∞ |"
    real, generator, simulator, *_ = lines
    assert re.fullmatch(r"\| real \|  \|  \|  \| 0\.\d{3} \[\S+\] \|", real)
    assert re.fullmatch(r"\| dp-wgan \|  \| failed \| 0\.\d{3} \(one draw\) .* \|  \|", generator)
    assert re.fullmatch(r"\| simulator \| 0\.\d{3} \[\S+\] \|  \|  \|  \|", simulator)
    assert sum("(1 of 2 seeds)" in line for line in lines) == 1, "the last of what was asked"


def test_the_markdown_has_the_columns_of_the_page() -> None:
    script = (HERE / "page.js").read_text()
    listed = script[script.index("const columns =") : script.index("const compare =")]
    assert re.findall(r'^  \["([^"]+)"', listed, re.MULTILINE) == [c.heading for c in COLUMNS]


def test_a_page_without_results_says_so(tmp_path: Path) -> None:
    assert view_in(page_of([], tmp_path))["tables"] == []
    write_markdown([], tmp_path / "report.md")
    assert "There is no result yet." in (tmp_path / "report.md").read_text()
