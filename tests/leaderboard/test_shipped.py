"""The board that the repository ships: results add up, page and reference tables are of them."""

import math
from pathlib import Path

import pytest

from benchmark.core.editions import DEFAULT, FIRST, edition_of
from benchmark.core.folders import cache_folder, state_folder
from benchmark.metrics.crossed import Crossed
from benchmark.metrics.paired import difference, p_of_pairs
from benchmark.metrics.ranking import ALPHA, holm, holm_of_pairs
from leaderboard.audits import read_audits, with_audits
from leaderboard.board import tables_of
from leaderboard.columns import estimate_text, p_text
from leaderboard.entries import entries_of
from leaderboard.markdown import overview_of
from leaderboard.page import HERE, write_markdown, write_page
from leaderboard.published import Published
from leaderboard.rows import AUDITED, Row, Table
from leaderboard.standings import free_p, standings_of
from leaderboard.trends import trends_of
from leaderboard.verification import phantoms_of, verified_files, verifier
from leaderboard.versions import why_unranked

RESULTS = HERE / "results"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not [*RESULTS.glob("*.json")], reason="no results are shipped"),
]


def test_every_shipped_result_adds_up_and_the_page_is_built_from_them(tmp_path: Path) -> None:
    def silent(stage: str, done: int, total: int) -> None:
        del stage, done, total

    phantoms = phantoms_of(cache=cache_folder(), state=state_folder(), progress=silent)
    check = verifier(phantoms, cache=cache_folder())
    verdicts = verified_files([RESULTS], check, silent)
    assert not {file.name: found.faults for file, found in verdicts.items() if found.faults}
    in_part = {file for file, found in verdicts.items() if found.unchecked}
    assert not [file.name for file in in_part if not why_unranked(Published.read(file).spec)]
    audits, wrong = read_audits(HERE / "audits", phantoms)
    assert not wrong
    assert audits
    tables = tables_of(with_audits(entries_of([RESULTS], check), audits))
    assert all(
        any(AUDITED in row.badges for t in tables for row in t.rows if audit.is_of(row.spec))
        for audit in audits
    )
    write_page(tables, tmp_path / "index.html")
    write_markdown(tables, tmp_path / "report.md")
    for name in ("index.html", "report.md"):
        assert (HERE / name).read_bytes() == (tmp_path / name).read_bytes(), name
    told = (HERE.parent / "docs" / "leaderboard.md").read_text()
    for table in tables:
        for test_set in table.test_sets:
            assert "\n".join(overview_of(table.rows, test_set)) in told, table.common.unit


def of_edition(edition: str) -> list[Table]:
    """The shipped tables of a protocol's edition."""
    tables = tables_of(entries_of([RESULTS]))
    return [table for table in tables if edition_of(table.common.protocol) == edition]


def name_of(row: Row) -> str:
    return row.spec.generator.name


def beaten(rows: list[Row]) -> set[tuple[str, str]]:
    """Pairs of generators, the better first, that are told apart on the test patients."""
    p = holm_of_pairs(p_of_pairs([row.tests["test"].told for row in rows]))
    pairs = [(i, j) for i in range(len(rows)) for j in range(len(rows)) if p[i, j] < ALPHA]
    dice = [row.tests["test"].dice.mean for row in rows]
    found = {(name_of(rows[i]), name_of(rows[j])) for i, j in pairs if dice[i] > dice[j]}
    return {pair for pair in found if "dp-segmenter" not in pair}


def above_simulator(table: Table) -> set[tuple[str, float]]:
    """Generators and finite ε at which they beat it, all rows being corrected for."""
    (free,) = [row for row in table.rows if name_of(row) == "simulator"]
    rows = [row for row in table.rows if row is not free]
    gaps = [difference(row.tests["test"].told, free.tests["test"].told)[0] for row in rows]
    known = [(row, gap) for row, gap in zip(rows, gaps, strict=True) if isinstance(gap, Crossed)]
    p = holm([gap.p for _, gap in known]).tolist()
    best = [row for (row, gap), one in zip(known, p, strict=True) if one < ALPHA and gap.mean > 0]
    finite = {(name_of(row), row.spec.epsilon) for row in best if math.isfinite(row.spec.epsilon)}
    return {pair for pair in finite if pair[0] != "dp-segmenter"}


def test_what_the_docs_say_of_the_shipped_generators_is_so() -> None:
    tables = {table.common.unit: table for table in of_edition(FIRST)}
    found = {}
    for unit, table in tables.items():
        rows = [row for row in table.rows if name_of(row) not in ("real", "simulator")]
        for epsilon in {row.spec.epsilon for row in rows}:
            at = beaten([row for row in rows if row.spec.epsilon == epsilon])
            found |= {(unit, epsilon): at} if at else {}
    sim, wgan = "dp-simulator", "dp-wgan"
    assert found == {
        ("patch", 1.0): {(sim, "private-evolution")},
        ("patient", 2.0): {(sim, wgan), ("private-evolution", wgan)},
        ("patient", 7.4): {(sim, wgan)},
        ("patient", math.inf): {(sim, wgan)},
    }
    assert above_simulator(tables["patient"]) == set()
    assert above_simulator(tables["patch"]) == {
        *((sim, epsilon) for epsilon in (1.0, 2.0, 7.4)),
        (wgan, 5.0),
        *(("dp-merf", epsilon) for epsilon in (2.0, 5.0, 7.4)),
    }
    falls = {
        unit: {who for who, one in trends_of(table, "test").items() if one.p < ALPHA}
        for unit, table in tables.items()
    }
    assert falls == {"patch": set(), "patient": {"dp-simulator (version 2)"}}


def test_what_the_docs_say_of_the_present_protocol_is_so() -> None:
    by_unit = {table.common.unit: table for table in of_edition(DEFAULT)}
    for test_set in ("test", "shifted"):
        standings = standings_of(by_unit["patch"], test_set)
        assert [standing.epsilon for standing in standings] == [2, 7.4]
        assert all(place.is_tied for standing in standings for place in standing.places)
    table = by_unit["patient"]
    assert table.free is not None
    assert table.free.name == "simulator"
    told = (HERE.parent / "docs" / "leaderboard.md").read_text().replace("\n  ", " ")
    above = {}
    for test_set in ("test", "shifted"):
        standings = standings_of(table, test_set)
        assert [standing.epsilon for standing in standings] == [1, 2, 5, 7.4, math.inf]
        assert all(place.is_tied for standing in standings for place in standing.places)
        p = free_p(table, test_set)
        scored = {number: table.rows[number].tests[test_set] for number in p}
        assert all(one.gain is None for one in scored.values())
        above[test_set] = {
            (name_of(table.rows[number]), table.rows[number].spec.epsilon): (
                one.over_free,
                p[number],
            )
            for number, one in scored.items()
            if p[number] < ALPHA and one.over_free.mean > 0
        }
    assert {test_set: set(found) for test_set, found in above.items()} == {
        "test": {("dp-simulator", 7.4)},
        "shifted": set(),
    }
    ((gap, p_of_it),) = above["test"].values()
    assert f"{estimate_text(gap, 3)} ({p_text(p_of_it)}, corrected for" in told
    falls = {
        test_set: {who: one.p for who, one in trends_of(table, test_set).items() if one.p < ALPHA}
        for test_set in ("test", "shifted")
    }
    assert falls["test"] == {}
    ((who, fall),) = falls["shifted"].items()
    assert who == "dp-simulator"
    assert f"({p_text(fall)}; on the shifted patients alone)" in told
