"""The page in a real Chromium: what a reader does with mouse, keys, a phone and a dark room."""

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from made import entry, spec, specs, unfinished
from test_page import HOSTILE, like
from test_published import png

from benchmark.sweep.tuned import NOT_ACCOUNTED
from leaderboard.board import tables_of
from leaderboard.page import write_page
from leaderboard.published import Verdict

pytestmark = pytest.mark.browser

DICE = {"real": 0.88, "simulator": 0.7, "dp-wgan": 0.8, "wgan": 0.82}
DICE |= {"threshold": 0.6, "frangi": 0.6}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A board with three levels, one below the simulator, a failure, and another table."""
    folder = tmp_path_factory.mktemp("site")
    asked = {"generators": ("dp-wgan", "wgan"), "epsilons": (2.0, 5.0, math.inf), "bookends": True}
    pictures = {"samples": png(40), "neighbours": png(50)}
    made = []
    for one in specs(**asked, seeds=2):
        dice = DICE[one.generator.name] - (0.15 if one.epsilon == 2.0 else 0.0)
        made.append(entry(one, folder, dice=dice, pictures=pictures))
    tuned = spec(settings={"dp-wgan": {"batch": "64"}})
    made += [unfinished(tuned, "failed", HOSTILE), entry(spec(unit="patient"), folder)]
    write_page(tables_of(made), folder / "index.html")
    return (folder / "index.html").as_uri()


def opened(chromium, address: str) -> Iterator:  # type: ignore[no-untyped-def]
    """The open page; whatever it complains of, asks elsewhere or pops up is an error."""
    wrong: list[str] = []
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    page.on("console", lambda said: wrong.append(f"{said.type}: {said.text}"))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: (wrong.append("a script ran"), dialog.dismiss()))
    page.on("request", lambda asked: wrong.append(asked.url) if outside(asked.url) else None)
    page.goto(address)
    page.wait_for_selector("body[data-drawn], #nothing")
    yield page
    page.close()
    assert wrong == []


@pytest.fixture
def page(chromium, address: str) -> Iterator:  # type: ignore[no-untyped-def]
    yield from opened(chromium, address)


@pytest.fixture
def full_page(chromium, tmp_path: Path) -> Iterator:  # type: ignore[no-untyped-def]
    """A thousand rows."""
    one = entry(spec(), tmp_path)
    write_page(tables_of([like(one, rate) for rate in range(300, 1300)]), tmp_path / "index.html")
    yield from opened(chromium, (tmp_path / "index.html").as_uri())


@pytest.fixture
def empty_page(chromium, tmp_path: Path) -> Iterator:  # type: ignore[no-untyped-def]
    write_page([], tmp_path / "index.html")
    yield from opened(chromium, (tmp_path / "index.html").as_uri())


@pytest.fixture
def odd_page(chromium, tmp_path: Path) -> Iterator:  # type: ignore[no-untyped-def]
    """Tuned on patients, with FID; a published row that does not add up; nothing else."""
    how = {"epsilon": 5.0, "study": "s", "on": "private", "selection": NOT_ACCOUNTED}
    made = entry(replace(spec(), tuned=how), tmp_path)
    fid = {"value": 12.5, "n": 512, "dims": 64}
    main, *others = made.result["test_sets"]
    best = replace(made, result={**made.result, "test_sets": [{**main, "fid": fid}, *others]})
    bad = replace(entry(spec(), tmp_path, dice=0.9), verdict=Verdict(["its Dice is made up"], []))
    write_page(tables_of([best, bad]), tmp_path / "index.html")
    yield from opened(chromium, (tmp_path / "index.html").as_uri())


def outside(url: str) -> bool:
    return not url.startswith(("file:", "data:", "blob:"))


def column(page, number: int) -> list[str]:  # type: ignore[no-untyped-def]
    cells = page.locator(f"#rows ~ .scroll tbody tr > :nth-child({number})")
    return [re.sub(r"\s.*", "", text) for text in cells.all_inner_texts()]


def test_a_click_sorts_and_another_turns_it_round(page) -> None:  # type: ignore[no-untyped-def]
    head = page.get_by_role("button", name="ε asked")
    head.click()
    assert column(page, 2) == ["0", "0", "0", "2", "5", "5", "∞", "∞", "∞"]
    assert page.locator("th[aria-sort=ascending]").inner_text().startswith("ε asked")
    head.press("Enter")
    assert column(page, 2) == ["∞", "∞", "∞", "5", "5", "2", "0", "0", "0"]
    page.get_by_role("button", name="Dice", exact=True).click()
    shown = [value for value in column(page, 4) if value.startswith("0.")]
    assert shown == sorted(shown, reverse=True)


def test_the_filter_shows_what_was_asked_for(page) -> None:  # type: ignore[no-untyped-def]
    box = page.get_by_label("Show rows with")
    box.fill("dp-wgan ε=5")
    assert page.locator("tbody tr").count() == 2
    assert "2 of 9 rows" in page.locator("#shown").inner_text()
    box.fill("failed")
    assert page.locator("tbody tr").count() == 1
    box.fill("nobody")
    assert page.locator("tbody tr").count() == 0


def test_the_slider_answers_and_says_where_privacy_bought_nothing(page) -> None:  # type: ignore[no-untyped-def]
    answer, slider = page.locator("#answer"), page.locator("#epsilon")
    assert "wgan (ε = ∞): Dice 0." in answer.inner_text()
    assert (
        "The next, dp-wgan (ε = ∞), is 0.020 [0.020–0.020] behind it (p < 0.001, corrected"
        in answer.inner_text()
    )
    slider.focus()
    slider.press("ArrowLeft")
    assert page.locator("#level").inner_text() == "5"
    assert "dp-wgan (ε = 5): Dice 0." in answer.inner_text()
    assert "It beats simulator, the free row, by 0.1" in answer.inner_text()
    slider.press("ArrowLeft")
    assert "The privacy budget bought nothing" in answer.inner_text()


def test_the_other_test_patients_and_the_other_table_can_be_chosen(page) -> None:  # type: ignore[no-untyped-def]
    page.get_by_label("Test patients").select_option("shifted")
    assert "on 6 shifted patients" in page.locator("#answer").inner_text()
    tables = page.get_by_label("Compare")
    assert tables.locator("option").count() == 2
    tables.select_option("1")
    assert page.locator("#unit").inner_text() == "patient"
    assert page.locator("tbody tr").count() == 1
    assert "no free row in this table" in page.locator("#answer").inner_text()


def test_hovering_over_a_chart_tells_the_row(page) -> None:  # type: ignore[no-untyped-def]
    page.locator("#plot-trade-off .mark-symbol.role-mark path").last.hover()
    tip = page.locator("#vg-tooltip-element")
    tip.wait_for(state="visible")
    assert "ε spent" in tip.inner_text()
    assert "wgan" in tip.inner_text()
    assert "selection" in tip.inner_text()
    assert page.locator("figure svg.marks").count() == 5


def test_a_row_opens_by_mouse_and_by_keys(page) -> None:  # type: ignore[no-untyped-def]
    dialog = page.locator("dialog")
    page.locator("tbody tr", has_text="dp-wgan").nth(1).locator("td").nth(3).click()
    assert dialog.is_visible()
    text = dialog.inner_text()
    for part in (
        "What is promised?",
        "bench run --generator dp-wgan",
        "critic: ",
        "generator_rate",
    ):
        assert part in text
    assert dialog.locator("img").count() == 2
    assert dialog.locator("img").evaluate_all("all => all.every(i => i.naturalWidth > 0 && i.alt)")
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    page.locator("tbody button").first.focus()
    page.keyboard.press("Enter")
    assert dialog.is_visible()


def test_what_a_stranger_wrote_is_shown_and_never_run(page) -> None:  # type: ignore[no-untyped-def]
    page.get_by_label("Show rows with").fill("failed")
    assert HOSTILE in page.locator("tbody tr").inner_text()
    page.locator("tbody button").click()
    assert HOSTILE in page.locator("dialog").inner_text()
    assert page.locator("dialog img").count() == 0


def test_on_a_phone_nothing_but_the_table_scrolls_sideways(page) -> None:  # type: ignore[no-untyped-def]
    page.set_viewport_size({"width": 400, "height": 800})
    page.wait_for_function("document.documentElement.scrollWidth <= 400")
    page.locator("tbody button").first.click()
    assert page.locator("dialog").bounding_box()["width"] <= 400


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("opened", [False, True], ids=["board", "detail"])
def test_everybody_can_read_it(page, scheme: str, opened: bool) -> None:  # type: ignore[no-untyped-def]
    """WCAG 2.1 AA by axe: contrast, labels, landmarks, names, alternative texts."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page.emulate_media(color_scheme=scheme)
    page.wait_for_timeout(300)
    if opened:
        page.locator("tbody button").nth(1).click()
    found = axe.Axe().run(page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found] == []


def test_a_thousand_rows_open_and_sort(full_page) -> None:  # type: ignore[no-untyped-def]
    assert full_page.locator("tbody tr").count() == 1000
    full_page.locator("thead button").first.click()
    names = full_page.locator("tbody tr > :first-child").all_inner_texts()
    assert len(names) == 1000
    assert names == sorted(names)
    full_page.get_by_label("Show rows with").fill("generator_rate=0.00777")
    assert full_page.locator("tbody tr").count() == 1


def test_in_a_dark_room_the_charts_are_drawn_anew(page) -> None:  # type: ignore[no-untyped-def]
    label = page.locator("#plot-trade-off .role-axis-label text").first
    before = label.get_attribute("fill")
    page.emulate_media(color_scheme="dark")
    page.wait_for_selector("body[data-drawn$=dark]")
    assert label.get_attribute("fill") != before


def test_an_empty_board_says_so(empty_page) -> None:  # type: ignore[no-untyped-def]
    assert empty_page.locator("#nothing").inner_text() == "There is no result yet."
    assert not empty_page.locator("#board").is_visible()


def test_what_does_not_add_up_is_marked_and_never_the_answer(odd_page) -> None:  # type: ignore[no-untyped-def]
    answer = odd_page.locator("#answer").inner_text()
    assert "dp-wgan, tuned (ε = 5, selection: not accounted): Dice 0." in answer
    assert "more than this ε was spent" in answer
    assert "There is no other generator at so small an ε." in answer
    assert "12.5 (n = 512, 64 dims)" in odd_page.locator("tbody tr").first.inner_text()
    last = odd_page.locator("tbody tr").last
    assert "does not add up" in last.inner_text()
    last.locator("button").focus()
    odd_page.keyboard.press("Enter")
    assert "its Dice is made up" in odd_page.locator("dialog").inner_text()
    assert "FID is missing" in odd_page.locator("dialog").inner_text()


@pytest.fixture
def direct_page(chromium, tmp_path: Path) -> Iterator:  # type: ignore[no-untyped-def]
    """A table in which the segmenter itself, trained privately, is better than every generator."""
    asked = {"generators": ("dp-wgan", "dp-segmenter"), "epsilons": (2.0, 5.0), "bookends": True}
    dice = {**DICE, "dp-segmenter": 0.85}
    made = [entry(one, tmp_path, dice=dice[one.generator.name]) for one in specs(**asked)]
    write_page(tables_of(made), tmp_path / "index.html")
    yield from opened(chromium, (tmp_path / "index.html").as_uri())


def test_the_answer_is_a_generator_and_says_what_no_synthesis_reaches(direct_page) -> None:  # type: ignore[no-untyped-def]
    said = direct_page.locator("#answer").inner_text()
    assert said.startswith("dp-wgan (ε = ")
    assert "There is no other generator" in said
    assert "Without synthesis, dp-segmenter (ε = " in said
    assert "0.050 above the best generator." in said
