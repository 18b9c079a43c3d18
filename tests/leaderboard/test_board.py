"""What stands in one table, what a row is, and the command that a row gives."""

import math
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from made import INPUTS, SITES, entry, of, scored_on_validation, spec, specs, unfinished
from test_versions import of_version

from benchmark.cli.run import run, sweep_of
from benchmark.metrics.crossed import Crossed, OneDraw
from benchmark.results.bookends import LOWER, UPPER
from benchmark.results.scored import Fid
from benchmark.results.spec import RunSpec
from benchmark.results.spec_parts import TunedBy
from benchmark.results.tuned_settings import FREE, NOT_ACCOUNTED
from benchmark.results.variance_parts import shipped
from benchmark.sweep.plan_cells import cells, guarantee_of
from benchmark.sweep.sites import Federation
from leaderboard.board import tables_of
from leaderboard.command import command_of
from leaderboard.markdown import lines_of
from leaderboard.notes import notes_of
from leaderboard.page import write_markdown
from leaderboard.published import Verdict
from leaderboard.rows import HERE, REFUSED, VERIFIED
from leaderboard.scores import scores_on
from leaderboard.standings import free_p, standings_of
from leaderboard.trends import trend_sentences, trends_of
from leaderboard.view import title_of, view_of


@pytest.mark.parametrize(
    "asked",
    [
        {"unit": "patient"},
        {"delta": 1e-6},
        {"segmenters": ("frangi",)},
        {"settings": {"unet": {"iterations": "10"}}},
        {"settings": {"unet": {"arithmetic": "bf16"}}},
        {"settings": {"protocol": {"samples": "64"}}},
    ],
)
def test_what_differs_in_more_than_what_is_compared_is_never_ranked(
    asked: dict, cache: Path
) -> None:
    tables = tables_of([entry(spec(), cache), entry(spec(**asked), cache)])
    assert [len(table.rows) for table in tables] == [1, 1]


def test_a_table_says_when_it_is_not_of_exact_arithmetic(cache: Path) -> None:
    fast = spec(settings={"unet": {"arithmetic": "bf16"}})
    titles = [title_of(table) for table in tables_of([entry(spec(), cache), entry(fast, cache)])]
    assert sorted("unet (bf16), " in title for title in titles) == [False, True]
    assert "--set unet.arithmetic=bf16" in command_of(fast, None, phantoms=True)


def test_other_patients_are_another_table(cache: Path) -> None:
    mine = entry(spec(), cache)
    data = replace(mine, spec=replace(mine.spec, data="f" * 16))
    told = {"test": "f" * 16, "shifted": "e" * 16}
    tests = replace(mine, spec=replace(mine.spec, test_data=told))
    tables = tables_of([mine, data, tests])
    assert [len(table.rows) for table in tables] == [1, 1, 1]
    assert len({table.key for table in tables}) == 3


def test_seeds_are_one_row_and_its_interval_is_over_seeds_and_patients(cache: Path) -> None:
    made = [entry(one, cache, dice=0.7 + one.seed / 20) for one in specs(seeds=3)]
    (table,) = tables_of(made)
    (row,) = table.rows
    found = row.tests["test"].dice
    assert isinstance(found, Crossed)
    means = [scores_on("test", one).dice.mean for one in made]
    assert found.mean == pytest.approx(sum(means) / 3)
    assert (found.seeds, found.patients) == (3, 6)
    assert found.low < min(means) < max(means) < found.high
    assert found.parts.seeds == pytest.approx(0.05, abs=0.01)
    assert {*row.tests["test"].by_site} == {*SITES}


def test_one_seed_is_one_draw_and_has_no_interval_anywhere(cache: Path, tmp_path: Path) -> None:
    (table,) = tables_of([entry(one, cache) for one in specs(bookends=True)])
    (view,) = view_of([table])["tables"]
    drawn = [row for row in table.rows if row.who not in ("threshold", "frangi")]
    assert all(isinstance(row.tests["test"].dice, OneDraw) for row in drawn)
    wgan = next(row for row in view["rows"] if row["who"] == "dp-wgan")
    assert len(wgan["tests"]["test"]["dice"]) == 1
    known = (
        f"one draw; seeds of this generator differ by ±{shipped().alone['patch']['dp-wgan']:.2f}"
    )
    assert f"({known})" in wgan["tests"]["test"]["cells"][3]
    assert any(
        f"protocol {shipped().edition}" in note and note.startswith("±") for note in view["notes"]
    )
    points = {point["who"]: point for point in view["data"]["test"]["all"]}
    assert points["dp-wgan"]["low"] is None
    assert points["threshold, free"]["low"] is not None, "nothing of it is drawn"
    assert "one draw does not tell" in " ".join(view["standings"]["test"][-1]["words"])
    write_markdown([table], tmp_path / "report.md")
    text = (tmp_path / "report.md").read_text()
    shown = rf"\| dp-wgan \| 5 \| patch \| 0\.79\d \({re.escape(known)}\) \| 6 \| – \| – \|"
    assert re.search(shown, text)


def test_one_draw_has_the_spread_of_its_generators_rows_with_more_seeds(cache: Path) -> None:
    several = [
        entry(one, cache, dice=0.6 + 0.05 * one.seed) for one in specs(epsilons=(2.0,), seeds=3)
    ]
    once = [entry(one, cache) for one in specs()]
    (table,) = tables_of([*several, *once])
    rows = {row.spec.epsilon: row.tests["test"].dice for row in table.rows}
    assert isinstance(rows[2.0], Crossed)
    assert isinstance(rows[5.0], OneDraw)
    assert rows[5.0].seed_sd == pytest.approx(rows[2.0].parts.seeds)
    assert rows[5.0].words == "one draw; seeds of this generator differ by ±0.05"
    (alone,) = tables_of([entry(one, cache) for one in specs(generators=("real",))])
    (real,) = alone.rows
    assert real.tests["test"].dice.words == "one draw", "nothing is known of its seeds"


def test_rows_of_several_seeds_are_told_apart_or_called_ties(cache: Path) -> None:
    rates = {"0.001": 0.8, "0.002": 0.801, "0.003": 0.6}
    made = [
        entry(one, cache, dice=dice + 0.004 * ((one.seed * (number + 1) + number) % 3))
        for number, (rate, dice) in enumerate(rates.items())
        for one in specs(
            epsilons=(2.0, 5.0), seeds=4, settings={"dp-wgan": {"generator_rate": rate}}
        )
    ]
    free = [
        entry(one, cache, dice=0.5)
        for one in specs(bookends=True, seeds=4)
        if one.generator.name == LOWER
    ]
    (table,) = tables_of([*made, *free])
    (view,) = view_of([table])["tables"]
    assert view["levels"] == [2.0, 5.0]
    low, high = view["standings"]["test"]
    worst = low["places"][-1]
    assert table.rows[worst["row"]].who == "dp-wgan, generator_rate=0.003"
    assert [place["tied"] for place in low["places"]] == [True, True, False]
    assert [(place["first"], place["last"]) for place in low["places"]] == [(1, 2), (1, 2), (3, 3)]
    words = " ".join(high["words"])
    assert words.startswith("dp-wgan (ε = 2): Dice 0.800 ["), words
    assert "Ties, not told apart from the highest: " in words
    assert "The next, dp-wgan, generator_rate=0.003 (ε = " in words
    assert f"It beats {LOWER}, the free row, by 0." in words
    assert worst["p"] < 0.05
    assert view["rows"][worst["row"]]["tests"]["test"]["free_p"] < 0.05
    assert view["rows"][worst["row"]]["tests"]["test"]["better"][0] > 0.5


def test_that_dice_falls_with_epsilon_is_said_where_it_does(cache: Path) -> None:
    levels = (1.0, 2.0, 5.0, 7.4)
    steady, jumps = "dp-wgan, generator_rate=0.001", "dp-wgan, generator_rate=0.004"
    made = [
        entry(one, cache, dice=0.6 + 0.02 * (number % 2 if rate == "0.004" else number))
        for rate in ("0.001", "0.004")
        for number, level in enumerate(levels)
        for one in specs(epsilons=(level,), seeds=3, settings={"dp-wgan": {"generator_rate": rate}})
    ]
    (table,) = tables_of(made)
    found = trends_of(table, "test")
    assert found[steady].p == pytest.approx(2 / 24**3)
    assert found[jumps].p > 0.05
    said = " ".join(trend_sentences(table, "test"))
    assert said.startswith(
        f"Dice falls as ε tightens: {steady} (4 levels of ε, 3 seeds, p < 0.001)."
    )
    assert (
        f"No fall of Dice as ε tightens is shown: {jumps} (4 levels of ε, 3 seeds, p = 0." in said
    )
    older = [of_version(one, 1) for one in made]
    (both,) = tables_of([*made, *older])
    told = trends_of(both, "test")
    assert {who: told[who] for who in found} == found, "other versions are another family"
    assert told.keys() - found.keys() == {
        who.replace("dp-wgan", "dp-wgan (version 1)") for who in found
    }
    once = [entry(one, cache) for one in specs(epsilons=levels)]
    (alone,) = tables_of(once)
    assert trend_sentences(alone, "test") == [], "one draw has no trend"


def test_page_and_markdown_show_the_same_texts(cache: Path) -> None:
    (table,) = tables_of([entry(one, cache) for one in specs(bookends=True, seeds=3)])
    (view,) = view_of([table])["tables"]
    for name in table.test_sets:
        shown = [row["tests"][name]["cells"] for row in view["rows"]]
        lines = lines_of(table.rows, name)[2:]
        assert lines == [f"| {' | '.join(cells)} |" for cells in shown]


def test_settings_levels_noise_sites_and_tuning_are_rows_of_their_own(cache: Path) -> None:
    made = [
        *specs(epsilons=(2.0, 5.0)),
        spec(settings={"dp-wgan": {"batch": "64"}}),
        spec(noise="system"),
        spec(federation=Federation(sites=3)),
        replace(spec(), tuned=TunedBy(epsilon=5.0, study="s", on="phantom", selection=FREE)),
    ]
    (table,) = tables_of([entry(one, cache) for one in made])
    assert len(table.rows) == len(made)
    names = {"dp-wgan", "dp-wgan, batch=64", "dp-wgan, noise=system", "dp-wgan, 3 sites"}
    assert {row.who for row in table.rows} == names | {"dp-wgan, tuned"}
    shown = [point["who"] for point in view_of([table])["tables"][0]["data"]["test"]["points"]]
    assert sorted(shown) == sorted(row.who for row in table.rows), "none is another's average"


def test_rows_that_differ_in_two_settings_have_names_of_their_own(cache: Path) -> None:
    batches, rates = ("64", "128"), ("0.001", "0.004")
    made = [
        spec(settings={"dp-wgan": {"batch": batch, "generator_rate": rate}})
        for batch in batches
        for rate in rates
    ]
    (table,) = tables_of([entry(one, cache) for one in [*made, spec()]])
    assert len({row.who for row in table.rows}) == 5
    assert "dp-wgan" in {row.who for row in table.rows}


def test_a_control_is_called_one_and_is_no_rival(cache: Path) -> None:
    sim = {"generators": ("dp-simulator",)}
    noise = spec(**sim, settings={"dp-simulator": {"evidence": "noise"}})
    ends = specs(bookends=True)
    (table,) = tables_of([entry(one, cache) for one in (*ends, spec(**sim), noise)])
    assert {row.who: row.is_rival for row in table.rows} == {
        "real": False,
        "dp-wgan": True,
        "dp-simulator": True,
        "dp-simulator, control: noise": False,
        "simulator": False,
        "threshold": False,
        "frangi": False,
    }


def test_a_row_is_compared_with_both_bookends_patient_by_patient(cache: Path) -> None:
    dice = {UPPER: 0.88, LOWER: 0.6, "dp-wgan": 0.8, "threshold": 0.5, "frangi": 0.5}
    made = [
        entry(one, cache, dice=dice[one.generator.name]) for one in specs(bookends=True, seeds=2)
    ]
    (table,) = tables_of(made)
    assert [row.who for row in table.rows] == [UPPER, "dp-wgan", LOWER, "threshold", "frangi"]
    scored = table.rows[1].tests["test"]
    assert scored.over_free is not None
    assert scored.over_free.mean == pytest.approx(0.2, abs=1e-9)
    assert isinstance(scored.over_free, Crossed)
    assert scored.over_free.low == pytest.approx(0.2, abs=1e-9), "paired, so sure"
    real = table.rows[0].tests["test"].dice.mean
    assert scored.fraction_of_real == pytest.approx(scored.dice.mean / real)


def test_what_failed_and_what_is_missing_is_shown_and_counted(cache: Path, tmp_path: Path) -> None:
    one, other, third = specs(seeds=3)
    failed = unfinished(other, "failed", "out of memory")
    wgan = spec(generators=("wgan",), epsilons=(math.inf,))
    (table,) = tables_of(
        [entry(one, cache), failed, unfinished(wgan, "missing"), entry(third, cache)]
    )
    assert "2 of 4 cells are finished: 2 rows of up to 3 seeds." in notes_of(table)
    rows = {row["who"]: row for row in view_of([table])["tables"][0]["rows"]}
    assert rows["dp-wgan"]["seeds"] == "2 of 3"
    assert rows["dp-wgan"]["reasons"] == ["out of memory"]
    assert rows["wgan"]["status"] == "missing"
    write_markdown([table], tmp_path / "report.md")
    text = (tmp_path / "report.md").read_text()
    assert "| wgan | ∞ | patch | missing | – | – | – | – | – | – |" in text
    assert " | 0 of 1 | " in text


def test_of_one_seed_with_and_without_fid_one_cell_counts(cache: Path) -> None:
    without = entry(spec(), cache)
    weighed = replace(without.spec, fid_weights="a" * 64)
    main, *others = without.told.test_sets
    tests = (main.but(fid=Fid(value=12.5, n=512, dims=64)), *others)
    made = [without, of(weighed, without, test_sets=tests)]
    for order in (made, made[::-1]):
        (table,) = tables_of(order)
        assert notes_of(table)[0] == "1 of 1 cells are finished: 1 rows of 1 seed."
        (row,) = view_of([table])["tables"][0]["rows"]
        assert (row["fid"], row["fid_of"]) == (12.5, "n = 512, 64 dims")


def test_the_relation_is_part_of_what_rows_share(cache: Path) -> None:
    one = entry(spec(), cache)
    said = replace(one.told.guarantee, relation="add-remove")
    other = entry(spec(first_seed=1), cache)
    other = replace(other, result=other.told.but(guarantee=said))
    tables = tables_of([one, other])
    assert {table.relation for table in tables} == {"zero-out", "add-remove"}
    assert all(table.relation in " ".join(notes_of(table)) for table in tables)


def test_what_was_tuned_on_patients_says_so_wherever_it_is_shown(cache: Path) -> None:
    how = TunedBy(epsilon=5.0, study="s", on="private", selection=NOT_ACCOUNTED)
    (table,) = tables_of([entry(replace(spec(), tuned=how), cache)])
    (view,) = view_of([table])["tables"]
    assert view["rows"][0]["selection"] == NOT_ACCOUNTED
    assert {p["selection"] for data in view["data"].values() for p in data["all"]} == {
        NOT_ACCOUNTED
    }
    tips = [c for c in view["charts"] if "selection" in str(c["spec"])]
    assert len(tips) == len(view["charts"])
    assert any("not accounted" in note for note in view["notes"])
    assert "**" not in view["rows"][0]["detail"]["privacy"]


def test_no_epsilon_above_ten_is_taken_for_a_guarantee(cache: Path) -> None:
    (table,) = tables_of([entry(spec(), cache)])
    assert any("above 10 it is no meaningful guarantee" in note for note in notes_of(table))


def test_numbers_that_do_not_add_up_are_shown_and_ranked_against_nothing(cache: Path) -> None:
    bad = replace(entry(spec(first_seed=1), cache, dice=0.9), verdict=Verdict(["ε is 1"], []))
    good = replace(entry(spec(), cache), verdict=Verdict([], []))
    (table,) = tables_of(
        [bad, entry(spec(generators=("real",), epsilons=(math.inf,)), cache), good]
    )
    assert [row.check for row in table.rows] == [HERE, VERIFIED, REFUSED]
    assert "2 of 2 cells are finished: 2 rows of 1 seed." in notes_of(table)
    view = view_of([table])["tables"][0]
    assert [row["refused"] for row in view["rows"]] == [False, False, True]
    assert {point["row"] for point in view["data"]["test"]["all"]} == {0, 1}
    assert view["rows"][2]["detail"]["checked"] == ["Does not add up: ε is 1."]


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"epsilons": (7.4,), "seeds": 1, "first_seed": 3},
        {"unit": "patient", "preset": "standard"},
        {"protocol": "2026-2"},
        {"protocol": "2026-1", "preset": "standard", "settings": {"unet": {"iterations": "9"}}},
        {"delta": 1e-7, "noise": "system"},
        {"segmenters": ("frangi",)},
        {"settings": {"dp-wgan": {"batch": "64", "bound": "1.25"}, "protocol": {"samples": "64"}}},
        {"generators": ("wgan",), "epsilons": (math.inf,)},
        {"generators": ("simulator",), "epsilons": (math.inf,)},
        {"generators": ("dp-segmenter",), "settings": {"dp-segmenter": {"clip_norm": "0.5"}}},
        {"federation": Federation(sites=3, rounds=5)},
        {"federation": Federation(sites=3, design="mixture")},
        {"generators": ("dp-merf",), "federation": Federation(sites=3, curious=1)},
        {"generators": ("dp-merf",), "federation": Federation(sites=3, curious=0)},
    ],
)
def test_the_command_of_a_row_computes_the_same_cell(asked: dict, cache: Path) -> None:
    made = spec(**asked)
    command = command_of(made, guarantee_of(made, INPUTS, cache), phantoms=True)
    words = shlex.split(command)
    assert words[:2] == ["bench", "run"]
    options = run.make_context("run", words[2:]).params
    assert [one.key for one in cells(sweep_of(options).request(), INPUTS, "")] == [made.key]


def cells_of(command: str) -> list[RunSpec]:
    """What the lines of a command would compute."""
    made = []
    for line in command.splitlines():
        options = run.make_context("run", shlex.split(line)[2:]).params
        made += cells(sweep_of(options).request(), INPUTS, "")
    return made


def test_the_command_of_several_seeds_repeats_them_all(cache: Path) -> None:
    made = [*specs(seeds=2), *specs(seeds=1, first_seed=7)]
    (table,) = tables_of([entry(one, cache) for one in made])
    command = view_of([table])["tables"][0]["rows"][0]["detail"]["command"]
    assert [one.key for one in cells_of(command)] == [one.key for one in made]


def test_the_command_of_a_tuned_row_needs_no_file_of_the_reader(cache: Path) -> None:
    how = TunedBy(epsilon=5.0, study="s", on="phantom", selection=FREE)
    tuned = replace(spec(settings={"dp-wgan": {"batch": "64"}}), tuned=how)
    command = command_of(tuned, guarantee_of(tuned, INPUTS, cache), phantoms=True)
    assert "--tuned" not in command
    assert cells_of(command) == [replace(tuned, tuned=None)]


def test_of_the_sites_alone_the_command_computes_all(cache: Path) -> None:
    made = specs(federation=Federation(sites=3, baselines=True))
    alone = next(one for one in made if one.alone_at)
    command = command_of(alone, guarantee_of(alone, INPUTS, cache), phantoms=True)
    options = run.make_context("run", shlex.split(command)[2:]).params
    assert alone.key in {one.key for one in cells(sweep_of(options).request(), INPUTS, "")}


def test_a_setting_that_a_spec_leaves_out_is_told_where_the_preset_has_another(
    cache: Path,
) -> None:
    """`edges=fixed` is what was before there were edges, and no longer what `quick` does."""
    usual, before = spec(), spec(settings={"dp-wgan": {"edges": "fixed"}})
    assert "edges" not in before.generator.settings
    command = command_of(before, guarantee_of(before, INPUTS, cache), phantoms=True)
    assert "--set dp-wgan.edges=fixed" in command
    assert cells_of(command) == [before]
    (table,) = tables_of([entry(usual, cache), entry(before, cache)])
    assert {row.who for row in table.rows} == {"dp-wgan", "dp-wgan, edges=fixed"}


def test_the_free_row_that_others_are_compared_with_is_chosen_on_validation_patients(
    cache: Path,
) -> None:
    """On test patients `threshold` is the best free row, on validation patients `frangi` is."""
    dice = {UPPER: 0.9, LOWER: 0.5, "threshold": 0.7, "frangi": 0.6, "dp-wgan": 0.75}
    on_validation = {LOWER: 0.4, "threshold": 0.5, "frangi": 0.55}
    made = []
    for one in specs(bookends=True):
        name = one.generator.name
        cell = entry(one, cache, dice=dice[name])
        free = name in on_validation
        made.append(scored_on_validation(cell, on_validation[name]) if free else cell)
    (table,) = tables_of(made)
    assert table.free is not None
    assert table.free.name == "frangi"
    assert [row.who for row in table.rows if table.is_best_free(row)] == ["frangi"]
    wgan = next(row for row in table.rows if row.who == "dp-wgan")
    for name in ("test", "shifted"):
        scored = wgan.tests[name]
        assert scored.over_free is not None
        assert scored.over_free.mean == pytest.approx(0.15, abs=1e-9)
        assert scored.gain == pytest.approx(0.5, abs=1e-9)
    notes = " ".join(notes_of(table))
    assert "The free row is frangi, the best by Dice on 6 validation patients" in notes


def test_results_without_validation_scores_are_compared_with_the_simulator_and_say_so(
    cache: Path,
) -> None:
    dice = {UPPER: 0.5, LOWER: 0.6, "threshold": 0.7, "frangi": 0.7, "dp-wgan": 0.8}
    cells = [entry(one, cache, dice=dice[one.generator.name]) for one in specs(bookends=True)]
    before = [cell for cell in cells if cell.spec.generator.name not in ("threshold", "frangi")]
    for made in (cells, before):
        (table,) = tables_of(made)
        assert table.free is not None
        assert (table.free.name, table.free.patients) == (LOWER, None)
        assert any("not chosen" in note for note in notes_of(table))
        wgan = next(row for row in table.rows if row.who == "dp-wgan")
        assert wgan.tests["test"].over_free is not None
        assert wgan.tests["test"].gain is None, "real has nothing above the free row"


def test_in_which_order_the_files_are_read_changes_nothing(cache: Path) -> None:
    made = [
        entry(one, cache, dice=0.7 + 0.05 * (one.seed % 2)) for one in specs(bookends=True, seeds=3)
    ]
    free = {LOWER: 0.6, "threshold": 0.5, "frangi": 0.4}
    made = [
        scored_on_validation(one, free[name]) if (name := one.spec.generator.name) in free else one
        for one in made
    ]
    (table,) = tables_of(made)
    (other,) = tables_of(made[::-1])
    for one, again in zip(table.rows, other.rows, strict=True):
        scored = one.tests["test"]
        assert scored.over_free == again.tests["test"].over_free
        assert scored.paired == "seed and patient"
    itself = next(row for row in table.rows if table.is_best_free(row)).tests["test"].over_free
    assert isinstance(itself, Crossed)
    assert (itself.low, itself.mean, itself.high) == (0, 0, 0)


def test_a_lead_is_one_over_every_free_row_and_not_over_the_chosen_one_alone(cache: Path) -> None:
    """On few validation patients another free row than the best may be chosen."""
    dice = {UPPER: 0.9, LOWER: 0.5, "threshold": 0.3, "frangi": 0.75, "dp-wgan": 0.75}
    on_validation = {LOWER: 0.6, "threshold": 0.3, "frangi": 0.55}
    made = []
    for one in specs(bookends=True, seeds=3):
        name = one.generator.name
        cell = entry(one, cache, dice=dice[name] + 0.001 * one.seed * (name == "dp-wgan"))
        free = name in on_validation
        made.append(scored_on_validation(cell, on_validation[name]) if free else cell)
    (table,) = tables_of(made)
    number = next(n for n, row in enumerate(table.rows) if row.who == "dp-wgan")
    above = table.rows[number].tests["test"].over_free
    assert isinstance(above, Crossed)
    assert above.p < 0.05, "over the chosen one"
    assert free_p(table, "test")[number] > 0.05
    said = view_of([table])["tables"][0]["standings"]["test"][0]["headline"]
    assert "against simulator, the free row chosen on validation patients, and" in said
    assert "against frangi, the highest free row here (p = " in said
    assert "so no lead is shown)" in said


def test_fits_across_sites_are_not_ranked_beside_those_of_one_place(cache: Path) -> None:
    here = [entry(one, cache, dice=0.7) for one in specs(seeds=3)]
    apart = [entry(one, cache, dice=0.9) for one in specs(seeds=3, federation=Federation(sites=3))]
    (both,) = tables_of([*here, *apart])
    (standing,) = standings_of(both, "test")
    assert [both.rows[place.row].who for place in standing.places] == ["dp-wgan"]
    (alone,) = tables_of(apart)
    (standing,) = standings_of(alone, "test")
    assert len(standing.places) == 1, "without others they are ranked"


def test_the_table_that_most_readers_want_is_the_first(cache: Path) -> None:
    patch = [entry(one, cache) for one in specs(epsilons=(1.0, 2.0, 5.0))]
    patient = [entry(one, cache) for one in specs(unit="patient")]
    old = [entry(one, cache) for one in specs(unit="patient", protocol="2026-1")]
    units = [t.common.unit for t in tables_of([*old, *patch, *patient])]
    assert units == ["patient", "patch", "patient"]
