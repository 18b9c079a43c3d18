"""The README's answer is what the shipped results give: who is best, who is tied, by how much."""

import re

import pytest

from benchmark.core.budget import epsilon_text
from benchmark.core.editions import DEFAULT, edition_of
from benchmark.metrics.ranking import ALPHA
from benchmark.results.bookends import UPPER
from leaderboard.board import tables_of
from leaderboard.columns import estimate_text, p_text
from leaderboard.entries import entries_of
from leaderboard.markdown import overview_of
from leaderboard.page import HERE
from leaderboard.rows import Row, Table
from leaderboard.standings import Standing, free_p, standings_of

README = HERE.parent / "README.md"
EPSILON = 2.0


@pytest.fixture(scope="module")
def table() -> Table:
    """The shipped one in which patients are protected, under the present protocol."""
    (found,) = [
        table
        for table in tables_of(entries_of([HERE / "results"]))
        if edition_of(table.common.protocol) == DEFAULT and table.common.unit == "patient"
    ]
    return found


def answer_of(table: Table) -> str:
    """The README's sentences, as they follow from the table."""
    (standing,) = [one for one in standings_of(table, "test") if one.epsilon == EPSILON]
    best = table.rows[standing.places[0].row]
    scored = best.tests["test"]
    assert table.free is not None
    p = free_p(table, "test")[standing.places[0].row]
    beats = "It beats" if p < ALPHA else "It is not shown to beat"
    return (
        f"`{name_of(best)}` (ε = {epsilon_text(best.spec.epsilon)}) has the highest Dice on the "
        f"test patients, {estimate_text(scored.dice, 3)}. {tied(table, standing)} with it. {beats} "
        f"the free `{table.free.name}`, which looks at no patient: the difference is "
        f"{estimate_text(scored.over_free, 3)} ({p_text(p)}, corrected for all private rows). "
        f"Brackets are 95 % intervals over three seeds and {scored.patients} test patients."
    )


def tied(table: Table, standing: Standing) -> str:
    best = name_of(table.rows[standing.places[0].row])
    ties = [name_of(table.rows[one.row]) for one in standing.places[1:] if one.is_tied]
    names = [f"`{name}`" for name in dict.fromkeys(ties) if name != best]
    return f"{', '.join(names[:-1])} and {names[-1]} are tied"


def name_of(row: Row) -> str:
    return row.spec.generator.name


def test_the_answer_of_the_readme_is_that_of_the_board(table: Table) -> None:
    told = re.sub(r"\s+", " ", README.read_text(encoding="utf-8"))
    assert answer_of(table) in told
    assert {len(row.done) for row in table.rows if row.is_rival} == {3}


def shown(table: Table) -> list[Row]:
    """What the README has room for: levels up to that of its answer, and the upper bookend."""
    return [row for row in table.rows if row.spec.epsilon <= EPSILON or name_of(row) == UPPER]


def test_the_table_of_the_readme_is_that_of_the_board(table: Table) -> None:
    told = README.read_text(encoding="utf-8")
    assert "\n".join(overview_of(shown(table), "test")) in told
