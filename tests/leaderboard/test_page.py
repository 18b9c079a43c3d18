"""The page as a file: small, alone, and deaf to what strangers write into it."""

import base64
import gzip
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import altair as alt
import numpy as np
import pytest
from made import entry, of, spec, specs, unfinished
from test_published import png

from benchmark.results.scored import Packed
from benchmark.sweep.sites import Federation
from leaderboard.board import tables_of
from leaderboard.charts import LINE, Levels
from leaderboard.entries import Entry
from leaderboard.markdown import COLUMNS, overview_of
from leaderboard.page import HERE, write_markdown, write_page
from leaderboard.points import data_of, ends_of
from leaderboard.view import NO_PICTURE, PICTURES_KIB, view_of

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


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
    return replace(of(spec, one), pictures={})


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
        r"\| dp-wgan \| 5 \| patch \| 0\.\d{3} \(one draw; [^|]*\) \| .* \| (4\.99\d*|5) \| \S+ \|",
        text,
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
    assert re.fullmatch(r"\| dp-wgan \|  \| failed \| 0\.\d{3} \(one draw; .* \|  \|", generator)
    assert re.fullmatch(r"\| simulator \| 0\.\d{3} \[\S+\] \|  \|  \|  \|", simulator)
    assert sum("(1 seed)" in line for line in lines) == 1, "the last of what was asked"


def test_the_page_shows_columns_of_the_markdown_and_has_all_in_a_rows_detail(
    cache: Path, tmp_path: Path
) -> None:
    script = (HERE / "page.js").read_text()
    listed = script[script.index("const columns =") : script.index("const text =")]
    shown = re.findall(r"^  \[[\"`]([^\"`$]+)", listed, re.MULTILINE)
    headings = [column.heading for column in COLUMNS]
    assert "Dice" in shown
    for one in shown:
        assert any(heading.startswith(one) for heading in headings), one
    view = view_in(page_of([entry(one, cache) for one in specs()], tmp_path))
    assert view["headings"] == headings
    cells = view["tables"][0]["rows"][0]["tests"]["test"]["cells"]
    assert len(cells) == len(headings)


def test_a_page_without_results_says_so(tmp_path: Path) -> None:
    assert view_in(page_of([], tmp_path))["tables"] == []
    write_markdown([], tmp_path / "report.md")
    assert "There is no result yet." in (tmp_path / "report.md").read_text()


def on_another_cohort(one: Entry, dice: float) -> Entry:
    """The same on other patients, with other scores."""
    spec = replace(one.spec, data=one.spec.data[::-1])
    tests = tuple(
        test.but(patients=Packed(row.but(dice=row.dice + dice) for row in test.patients))
        for test in one.told.test_sets
    )
    return of(spec, one, test_sets=tests)


def test_a_row_holds_on_another_cohort_only_with_the_same_settings(cache: Path) -> None:
    """In its own table nothing differs from it, so that both are called `dp-wgan`."""
    here = [entry(one, cache) for one in specs(seeds=3)]
    before = [entry(one, cache) for one in specs(seeds=3, settings={"dp-wgan": {"batch": "64"}})]
    both = "Of the 2 cohorts that have this row, it is first or tied on 2."
    alone = "No other cohort has this row with more than one draw."
    for cells, holds in ((here, both), (before, alone)):
        there = [on_another_cohort(one, 0.0) for one in cells]
        tables = view_of(tables_of([*here, *there]))["tables"]
        said = [table["standings"]["test"][0]["headline"] for table in tables]
        assert all(one.startswith("dp-wgan (ε = 5)") for one in said)
        assert all(one.endswith(holds) for one in said)


def test_which_patients_are_at_which_site_is_another_row_and_no_name(cache: Path) -> None:
    made = specs(seeds=3, federation=Federation(sites=3))
    moved = [replace(one, federation=replace(one.federation, assignment="0" * 16)) for one in made]
    (one,) = tables_of([entry(spec, cache) for spec in made])
    assert [row.who for row in one.rows] == ["dp-wgan, 3 sites"]
    (both,) = tables_of([entry(spec, cache) for spec in (*made, *moved)])
    assert len({row.who for row in both.rows}) == 2
    there = [on_another_cohort(entry(spec, cache), 0.0) for spec in moved]
    tables = view_of(tables_of([*(entry(spec, cache) for spec in made), *there]))["tables"]
    for table in tables:
        assert "first or tied on 2." in table["standings"]["test"][0]["headline"]


@pytest.mark.parametrize(("shift", "holds"), [(0.0, 2), (-0.5, 1)])
def test_the_answer_says_on_how_many_cohorts_it_holds(
    shift: float, holds: int, cache: Path
) -> None:
    asked = {"generators": ("dp-wgan", "dp-merf"), "seeds": 3}
    dice = {"dp-wgan": 0.8, "dp-merf": 0.7}
    here = [entry(one, cache, dice=dice[one.generator.name]) for one in specs(**asked)]
    there = [
        on_another_cohort(one, shift if one.spec.generator.name == "dp-wgan" else 0.0)
        for one in here
    ]
    view = view_of(tables_of([*here, *there]))
    first = next(t for t in view["tables"] if "dp-wgan (" in t["standings"]["test"][0]["headline"])
    assert (
        f"Of the 2 cohorts that have this row, it is first or tied on {holds}."
        in first["standings"]["test"][0]["headline"]
    )
    alone = view_of(tables_of(here))["tables"][0]["standings"]["test"][0]["headline"]
    assert alone.endswith("No other cohort has this row with more than one draw.")
    again = [replace(one, spec=replace(one.spec, delta=1e-7)) for one in here]
    twice = view_of(tables_of([*here, *again]))["tables"][0]["standings"]["test"][0]["headline"]
    assert twice.endswith("has this row with more than one draw."), "one cohort, of two δ"
    drawn_once = [one for one in there if one.spec.seed == 0]
    both = view_of(tables_of([*here, *drawn_once]))["tables"]
    ends = {table["standings"]["test"][0]["headline"].partition(". ")[2] for table in both}
    assert ends == {
        "No other cohort has this row with more than one draw.",
        "One draw tells no difference from others: run more seeds.",
    }


def test_the_page_opens_on_patients_and_says_how_its_rows_are_drawn(cache: Path) -> None:
    made = [*specs(seeds=2), *specs(unit="patient", generators=("dp-simulator",), epsilons=(2.0,))]
    view = view_of(tables_of([entry(one, cache) for one in made]))
    assert view["tables"][view["start"]]["unit"] == "patient"
    for table in view["tables"]:
        names = table["charts"][0]["spec"]["layer"][-1]["encoding"]["color"]["scale"]["domain"]
        assert len(names) == len(table["looks"]) > 0
        for chart in table["charts"]:
            alt.Chart.from_dict(chart["spec"], validate=True)  # building the page leaves that out
        low, high = table["ends"]["test"]
        assert 0 <= low < high <= 1


def test_names_of_bookends_on_a_chart_do_not_cover_each_other(cache: Path) -> None:
    made = specs(bookends=True, seeds=2)
    (table,) = tables_of([entry(one, cache, dice=0.8) for one in made])
    data = data_of("test", table, Levels([5.0]))
    low, high = ends_of(data)
    places = [band["label_at"] for band in data["bands"]]
    assert len(places) >= 3
    assert np.diff(places).min() >= LINE * (high - low) - 1e-6
