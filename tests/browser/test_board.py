"""The page in a real Chromium: what a reader does with mouse, keys, a phone and a dark room."""

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from made import entry, of, spec, specs, unfinished
from test_page import HOSTILE, like
from test_published import png

from benchmark.results.scored import Fid
from benchmark.results.spec_parts import TunedBy
from benchmark.results.tuned_settings import NOT_ACCOUNTED
from leaderboard.board import tables_of
from leaderboard.entries import Entry
from leaderboard.page import write_page
from leaderboard.published import Verdict
from leaderboard.replays import Replay

pytestmark = pytest.mark.browser

DICE = {"real": 0.88, "simulator": 0.7, "dp-wgan": 0.8, "wgan": 0.82}
DICE |= {"threshold": 0.6, "frangi": 0.6, "dp-simulator": 0.82, "private-evolution": 0.82}


def elsewhere(one: Entry) -> Entry:
    """The same on another cohort."""
    tests = {name: digest[::-1] for name, digest in one.spec.test_data.items()}
    spec = replace(one.spec, data=one.spec.data[::-1], test_data=tests)
    return of(spec, one)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A board by patch with three levels, one below the simulator, a failure; two by patient."""
    folder = tmp_path_factory.mktemp("site")
    asked = {"generators": ("dp-wgan", "wgan"), "epsilons": (2.0, 5.0, math.inf), "bookends": True}
    pictures = {"samples": png(40), "neighbours": png(50)}
    made = []
    for one in specs(**asked, seeds=2):
        dice = DICE[one.generator.name] - (0.15 if one.epsilon == 2.0 else 0.0)
        made.append(entry(one, folder, dice=dice, pictures=pictures))
    tuned = spec(settings={"dp-wgan": {"batch": "64"}})
    made += [unfinished(tuned, "failed", HOSTILE)]
    asked = {"generators": ("dp-simulator", "private-evolution"), "epsilons": (1.0, 2.0)}
    for one in specs(**asked, unit="patient", bookends=True, seeds=2):
        there = entry(one, folder, dice=DICE[one.generator.name] - 0.1 * (one.epsilon == 1.0))
        made += [there, elsewhere(there)]
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
    how = TunedBy(epsilon=5.0, study="s", on="private", selection=NOT_ACCOUNTED)
    made = entry(replace(spec(), tuned=how), tmp_path)
    main, *others = made.told.test_sets
    tests = (main.but(fid=Fid(value=12.5, n=512, dims=64)), *others)
    best = replace(made, result=made.told.but(test_sets=tests))
    bad = replace(entry(spec(), tmp_path, dice=0.9), verdict=Verdict(["its Dice is made up"], []))
    write_page(tables_of([best, bad]), tmp_path / "index.html")
    yield from opened(chromium, (tmp_path / "index.html").as_uri())


def outside(url: str) -> bool:
    return not url.startswith(("file:", "data:", "blob:"))


def by_patch(page) -> None:  # type: ignore[no-untyped-def]
    """Chooses the table that protects one patch, with nine rows."""
    options = page.get_by_label("Compare").locator("option")
    named = [text for text in options.all_inner_texts() if text.startswith("one patch")]
    page.get_by_label("Compare").select_option(label=named[0])
    page.wait_for_timeout(300)


def column(page, number: int) -> list[str]:  # type: ignore[no-untyped-def]
    cells = page.locator(f"#rows ~ .scroll tbody tr > :nth-child({number})")
    return [re.sub(r"\s.*", "", text) for text in cells.all_inner_texts()]


def test_it_opens_on_a_patient_at_two_with_the_answer(page) -> None:  # type: ignore[no-untyped-def]
    assert page.locator("h2#best").inner_text() == "Best for one patient at ε ≤ 2"
    said = page.locator("#answer").inner_text()
    assert re.match(
        r"[a-z-]+ \(ε = 2\) has a Dice of 0\.\d{3} \[0\.\d+–0\.\d+\] \(\d+ seeds, ", said
    )
    assert re.search(r"\. It is (tied with|not told apart from) ", said)
    assert "against simulator, the free row chosen on validation patients (p " in said
    assert said.endswith("first or tied on 2.")


@pytest.mark.parametrize(("width", "height"), [(1280, 700), (400, 800)])
def test_the_answer_stands_on_the_first_screen(page, width: int, height: int) -> None:  # type: ignore[no-untyped-def]
    page.set_viewport_size({"width": width, "height": height})
    for part in ("h2#best", "#answer", "#epsilon"):
        box = page.locator(part).bounding_box()
        assert box["y"] + box["height"] <= height, part


def test_a_click_sorts_and_another_turns_it_round(page) -> None:  # type: ignore[no-untyped-def]
    by_patch(page)
    head = page.get_by_role("button", name="ε asked")
    head.click()
    assert column(page, 2) == ["0", "0", "0", "2", "5", "5", "∞", "∞", "∞"]
    assert page.locator("th[aria-sort=ascending]").inner_text().startswith("ε asked")
    head.press("Enter")
    assert column(page, 2) == ["∞", "∞", "∞", "5", "5", "2", "0", "0", "0"]
    page.get_by_role("button", name="Dice", exact=True).click()
    shown = [value for value in column(page, 4) if value.startswith("0.")]
    assert shown == sorted(shown, reverse=True)


def test_rows_stand_by_rank_at_the_chosen_level_and_the_columns_fit(page) -> None:  # type: ignore[no-untyped-def]
    by_patch(page)
    assert column(page, 3)[0] == "1–1" or column(page, 3)[0].startswith("1")
    assert column(page, 1)[0] == "dp-wgan"
    assert column(page, 2)[0] == "2"
    page.locator("#epsilon").focus()
    page.keyboard.press("End")
    assert column(page, 1)[:2] == ["wgan", "dp-wgan"]
    wide = page.locator(".scroll").evaluate("e => [e.scrollWidth, e.clientWidth]")
    assert wide[0] <= wide[1]
    page.locator("tbody button").first.click()
    assert "offline distance" in page.locator("dialog dl").first.inner_text()


@pytest.fixture
def shipped_page(chromium) -> Iterator:  # type: ignore[no-untyped-def]
    yield from opened(chromium, (Path("leaderboard") / "index.html").resolve().as_uri())


def test_every_table_of_the_shipped_board_fits_a_laptop(shipped_page) -> None:  # type: ignore[no-untyped-def]
    """Also where gains have intervals and rows have long names."""
    tables = shipped_page.locator("select").first
    for number in range(tables.locator("option").count()):
        tables.select_option(index=number)
        shipped_page.wait_for_timeout(200)
        wide = shipped_page.locator(".scroll").evaluate("e => [e.scrollWidth, e.clientWidth]")
        assert wide[0] <= wide[1], tables.locator("option").nth(number).inner_text()


def test_the_filter_shows_what_was_asked_for(page) -> None:  # type: ignore[no-untyped-def]
    by_patch(page)
    box = page.get_by_label("Show rows with")
    box.fill("dp-wgan ε=5")
    assert page.locator("tbody tr").count() == 2
    assert "2 of 9 rows" in page.locator("#shown").inner_text()
    box.fill("failed")
    assert page.locator("tbody tr").count() == 1
    box.fill("nobody")
    assert page.locator("tbody tr").count() == 0


def test_the_slider_answers_and_says_where_privacy_bought_nothing(page) -> None:  # type: ignore[no-untyped-def]
    by_patch(page)
    answer, more, slider = (page.locator(name) for name in ("#answer", "#more", "#epsilon"))
    assert "the privacy budget bought nothing" in more.inner_text()
    slider.focus()
    slider.press("ArrowRight")
    assert page.locator("#level").inner_text() == "5"
    assert "dp-wgan (ε = 5) has a Dice of 0." in answer.inner_text()
    slider.press("End")
    assert page.locator("#level").inner_text() == "∞"
    assert "has a Dice of 0." in answer.inner_text()


def test_the_address_has_what_was_chosen(page) -> None:  # type: ignore[no-untyped-def]
    by_patch(page)
    page.get_by_label("Test patients").select_option("shifted")
    page.locator("#epsilon").focus()
    page.keyboard.press("End")
    address = page.url
    assert address.endswith("&on=shifted&epsilon=inf")
    title = page.locator("h2#best").inner_text()
    page.goto("about:blank")
    page.goto(address)
    page.wait_for_selector("body[data-drawn]")
    assert page.locator("h2#best").inner_text() == title == "Best for one patch at ε ≤ ∞"
    assert page.get_by_label("Test patients").input_value() == "shifted"


def test_the_other_test_patients_and_the_other_table_can_be_chosen(page) -> None:  # type: ignore[no-untyped-def]
    tables = page.get_by_label("Compare")
    assert tables.locator("option").count() == 3
    by_patch(page)
    assert page.locator("#unit").inner_text() == "patch"
    page.get_by_label("Test patients").select_option("shifted")
    assert (
        "shifted patients" in page.locator("#more").inner_text() or page.locator("tbody tr").count()
    )


def test_hovering_over_a_chart_tells_the_row(page) -> None:  # type: ignore[no-untyped-def]
    by_patch(page)
    page.locator("#plot-trade-off .mark-symbol.role-mark path").last.hover()
    tip = page.locator("#vg-tooltip-element")
    tip.wait_for(state="visible")
    assert "ε spent" in tip.inner_text()
    assert "wgan" in tip.inner_text()
    assert "selection" in tip.inner_text()
    assert page.locator("figure svg.marks").count() == 5


def test_a_row_opens_by_mouse_and_by_keys(page) -> None:  # type: ignore[no-untyped-def]
    by_patch(page)
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
    by_patch(page)
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
    more = odd_page.locator("#more").inner_text()
    assert "dp-wgan, tuned (ε = 5, selection: not accounted) has a Dice of 0." in answer
    assert "more than this ε was spent" in more
    assert "There is no other generator at so small an ε." in more
    odd_page.locator("tbody button").first.click()
    assert "12.5 (n = 512, 64 dims)" in odd_page.locator("dialog").inner_text()
    odd_page.keyboard.press("Escape")
    last = odd_page.locator("tbody tr").last
    assert "does not add up" in last.inner_text()
    last.locator("button").focus()
    odd_page.keyboard.press("Enter")
    assert "its Dice is made up" in odd_page.locator("dialog").inner_text()
    assert "FID is missing" in odd_page.locator("dialog").inner_text()


@pytest.fixture
def badged_page(chromium, tmp_path: Path) -> Iterator:  # type: ignore[no-untyped-def]
    """Two published rows; of one there is an audit, and it was computed again."""
    audited, other = (
        replace(entry(one, tmp_path), verdict=Verdict([], []))
        for one in specs(generators=("dp-wgan", "wgan"), epsilons=(math.inf,))
    )
    audited = replace(audited, audit="It proves ε > 0.6.", replay=Replay(True, 0.0))
    write_page(tables_of([audited, other]), tmp_path / "index.html")
    yield from opened(chromium, (tmp_path / "index.html").as_uri())


def test_each_badge_stands_apart_and_says_what_it_rests_on(badged_page) -> None:  # type: ignore[no-untyped-def]
    rows = badged_page.locator("tbody tr")
    assert rows.filter(has_text="dp-wgan").locator(".badge").all_inner_texts() == [
        "verified",
        "audited",
        "replayed",
    ]
    wgan = rows.filter(has_not_text="dp-wgan")
    assert wgan.locator(".badge").all_inner_texts() == ["verified"]
    badge = rows.filter(has_text="dp-wgan").get_by_text("audited")
    assert badge.get_attribute("title") == "It proves ε > 0.6."
    badged_page.get_by_label("Show rows with").fill("replayed")
    assert rows.count() == 1
    rows.filter(has_text="dp-wgan").locator("button").first.focus()
    badged_page.keyboard.press("Enter")
    said = badged_page.locator("dialog").inner_text()
    assert "It proves ε > 0.6." in said
    assert "every score is the published one" in said


@pytest.fixture
def direct_page(chromium, tmp_path: Path) -> Iterator:  # type: ignore[no-untyped-def]
    """A table in which the segmenter itself, trained privately, is better than every generator."""
    asked = {"generators": ("dp-wgan", "dp-segmenter"), "epsilons": (2.0, 5.0), "bookends": True}
    dice = {**DICE, "dp-segmenter": 0.85}
    made = [entry(one, tmp_path, dice=dice[one.generator.name]) for one in specs(**asked)]
    write_page(tables_of(made), tmp_path / "index.html")
    yield from opened(chromium, (tmp_path / "index.html").as_uri())


def test_the_answer_is_a_generator_and_says_what_no_synthesis_reaches(direct_page) -> None:  # type: ignore[no-untyped-def]
    assert direct_page.locator("#answer").inner_text().startswith("dp-wgan (ε = ")
    said = direct_page.locator("#more").inner_text()
    assert "There is no other generator" in said
    assert "Without synthesis, dp-segmenter (ε = " in said
    assert "0.050 above the best generator." in said
