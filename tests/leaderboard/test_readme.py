"""What README and docs say of the shipped results is what these give."""

import re
from pathlib import Path

import pytest

from benchmark.metrics.ranking import ALPHA
from leaderboard.board import tables_of
from leaderboard.command import cohort_of
from leaderboard.entries import entries_of
from leaderboard.page import RESULTS
from leaderboard.rows import Table
from leaderboard.shipped import EPSILON, README, TEST, UNIT, blocks_of, with_block
from leaderboard.standings import standings_of

pytestmark = pytest.mark.skipif(not [*RESULTS.glob("*.json")], reason="no results are shipped")


@pytest.fixture(scope="module")
def tables() -> list[Table]:
    return tables_of(entries_of([RESULTS]))


def test_every_computed_block_is_that_of_the_shipped_results(tables: list[Table]) -> None:
    for (file, name), lines in blocks_of(tables).items():
        told = file.read_text(encoding="utf-8")
        assert with_block(told, name, lines) == told, f"python -m leaderboard.shipped ({file.name})"


def test_the_readme_answers_its_question_for_every_cohort(tables: list[Table]) -> None:
    told = README.read_text(encoding="utf-8")
    of_unit = [
        one for one in tables if one.common.unit == UNIT and one.common.protocol.get("edition")
    ]
    largest = {cohort_of(one.common): one for one in sorted(of_unit, key=lambda t: len(t.rows))}
    asked = [*largest.values()]  # a cohort may have a second table, of another preset
    lines = re.findall(r"^\* Cohort `(\w+)`: (.+)$", told, re.MULTILINE)
    assert len(lines) == len(asked)
    for table in asked:
        (standing,) = [s for s in standings_of(table, TEST) if s.epsilon == EPSILON]
        best = max(standing.places, key=lambda one: table.rows[one.row].tests[TEST].dice.mean)
        row = table.rows[best.row]
        dice = f"{row.tests[TEST].dice.mean:.3f}"
        assert any(row.who in said and dice in said for _, said in lines), row.who
        assert best.p >= ALPHA


def test_a_block_is_there_once() -> None:
    text = "a\n<!-- computed: x -->\nold\n<!-- end -->\nb\n"
    made = with_block(text, "x", ["new \\1"])
    assert made == "a\n<!-- computed: x -->\nnew \\1\n<!-- end -->\nb\n"
    assert with_block(made, "x", ["old"]) == text
    for wrong in ("", text + text):
        with pytest.raises(ValueError, match="once"):
            with_block(wrong, "x", [])


def test_blocks_are_of_files_that_have_them(tables: list[Table]) -> None:
    assert {file.name for file, _ in blocks_of(tables)} == {
        "README.md",
        "board.md",
        "federation.md",
    }
    assert all(isinstance(file, Path) for file, _ in blocks_of(tables))
