"""Results of another version of their generator: shown, marked, and compared with nothing."""

from dataclasses import replace
from pathlib import Path

import pytest
from made import entry, of, spec, specs, unfinished

from leaderboard.board import tables_of
from leaderboard.entries import Entry
from leaderboard.markdown import overview_of
from leaderboard.notes import notes_of
from leaderboard.page import write_markdown
from leaderboard.published import Verdict
from leaderboard.rows import Table
from leaderboard.versions import why_unranked
from leaderboard.view import view_of


def of_version(one: Entry, version: int, name: str = "") -> Entry:
    """The same cell, as if another version of its generator had made it."""
    said = one.spec.generator
    made = replace(one.spec, generator=replace(said, version=version, name=name or said.name))
    if one.status != "done":
        return replace(one, spec=made)
    return of(made, one)


def bookends(cache: Path) -> list[Entry]:
    asked = specs(generators=("real", "simulator"), epsilons=(float("inf"),))
    return [entry(one, cache, dice=0.9 if one.generator.name == "real" else 0.3) for one in asked]


def table_of(*entries: Entry) -> Table:
    (table,) = tables_of(entries)
    return table


@pytest.mark.parametrize(("version", "order"), [(1, "before"), (99, "after")])
def test_another_version_is_marked_with_the_reason_and_stands_below(
    version: int, order: str, cache: Path, tmp_path: Path
) -> None:
    new = entry(spec(), cache, dice=0.5)
    installed = new.spec.generator.version
    old = of_version(entry(spec(), cache, dice=0.8), version)
    table = table_of(old, new, *bookends(cache))
    assert [row.who for row in table.rows][-1] == f"dp-wgan (version {version})"
    (view,) = view_of([table])["tables"]
    reason = f"version {version}, {order} the installed version {installed}: not ranked"
    assert [row["unranked"] for row in view["rows"]] == ["", "", "", reason]
    assert any("1 rows are of another version" in note for note in notes_of(table))
    write_markdown([table], tmp_path / "report.md")
    text = (tmp_path / "report.md").read_text()
    assert f"| {version}, {order} the installed version {installed}: not ranked |" in text
    assert f"dp-wgan (version {version}) |" in "\n".join(overview_of(table.rows, "test"))


def test_another_version_is_in_no_answer_and_in_no_chart(cache: Path) -> None:
    new, old = entry(spec(), cache, dice=0.5), of_version(entry(spec(), cache, dice=0.8), 1)
    table = table_of(new, old, *bookends(cache))
    (view,) = view_of([table])["tables"]
    assert [row["who"] for row in view["rows"] if row["rival"]] == ["dp-wgan"]
    shown = {
        point["who"]
        for points in view["data"]["test"].values()
        for point in points
        if "who" in point
    }
    assert shown == {"dp-wgan", "real patches", "data-free simulator"}


def test_another_version_is_compared_with_no_bookend_and_no_bookend_of_it_with_anybody(
    cache: Path,
) -> None:
    real, simulator = bookends(cache)
    new, old = entry(spec(), cache), of_version(entry(spec(), cache), 1)
    rows = {row.who: row for row in table_of(new, old, real, simulator).rows}
    assert rows["dp-wgan"].tests["test"].fraction_of_real is not None
    apart = rows["dp-wgan (version 1)"].tests["test"]
    assert (apart.fraction_of_real, apart.over_free) == (None, None)
    before = [of_version(one, 99) for one in (real, simulator)]
    (mine,) = (row for row in table_of(new, *before).rows if row.is_rival)
    assert mine.tests["test"].fraction_of_real is mine.tests["test"].over_free is None


def test_seeds_of_another_version_are_not_asked_of_this_one(cache: Path) -> None:
    new = entry(spec(), cache)
    old = [of_version(entry(one, cache), 1) for one in specs(seeds=3)]
    rows = {row.who: row for row in table_of(new, *old).rows}
    assert (rows["dp-wgan"].asked, rows["dp-wgan (version 1)"].asked) == (1, 3)


def test_what_is_not_installed_is_of_no_other_version(cache: Path) -> None:
    one = of_version(entry(spec(), cache), 1, "dp-elsewhere")
    assert why_unranked(one.spec) == ""
    (row,) = table_of(one).rows
    assert (row.who, row.is_rival, row.unranked) == ("dp-elsewhere", True, "")


def test_failed_cells_and_those_that_do_not_add_up_keep_their_places(cache: Path) -> None:
    new = entry(spec(), cache)
    failed = of_version(unfinished(spec(), "failed", "no luck"), 1)
    refused = replace(of_version(entry(spec(), cache), 1), verdict=Verdict(["made up"], []))
    table = table_of(refused, failed, new)
    assert [(row.is_refused, bool(row.unranked)) for row in table.rows] == [
        (False, False),
        (False, True),
        (True, True),
    ]
    view_of([table])
