"""What the repository says of its shipped results, written from them.

    python -m leaderboard.shipped

writes the computed blocks of README.md and of the docs. A block stands between two comments of
Markdown, and no sentence in it is written by hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmark.core.budget import epsilon_text
from benchmark.core.editions import DEFAULT, edition_of
from benchmark.core.files import write_text
from benchmark.core.folders import cache_folder, state_folder
from benchmark.data.phantom.cohorts import COHORTS
from benchmark.results.bookends import UPPER, is_free
from benchmark.results.over_seeds import is_certain
from leaderboard.answers import Answers
from leaderboard.board import tables_of, told_apart
from leaderboard.cohorts import Cohorts
from leaderboard.columns import estimate_text
from leaderboard.command import cohort_of, is_judged_as_usual
from leaderboard.entries import entries_of
from leaderboard.federated import lines_of as federated_lines
from leaderboard.markdown import overview_of, table_of
from leaderboard.page import HERE, RESULTS
from leaderboard.rows import Row, Table
from leaderboard.standings import free_p, standings_of
from leaderboard.trends import trend_sentences
from leaderboard.verification import phantoms_of, verifier
from leaderboard.view import title_of

ROOT = HERE.parent
README = ROOT / "README.md"
BOARD, FEDERATION = (ROOT / "docs" / name for name in ("board.md", "federation.md"))
UNIT, EPSILON, TEST = "patient", 2.0, "test"
"""The question of the README: one whole patient protected, at this ε, on the main test set."""


def blocks_of(tables: Sequence[Table]) -> Mapping[tuple[Path, str], list[str]]:
    """Return every computed block of the repository, by file and name.

    Args:
        tables: Those of the shipped results.
    """
    return {
        (README, "answer"): [*answer_of(tables)],
        (BOARD, "board"): [*board_of(tables)],
        (FEDERATION, "together"): [*federated_lines(present(tables), TEST)],
    }


def answer_of(tables: Sequence[Table]) -> Iterator[str]:
    """Write what is best at the README's ε: a sentence for each cohort, and one table for all.

    Args:
        tables: Those of the shipped results.
    """
    cohorts, asked = Cohorts(tables), _by_cohort(tables)
    for name, table in asked.items():
        yield from (f"* Cohort `{name}`: {said}" for said in _headline(table, TEST, cohorts))
    yield ""
    dice: dict[str, dict[str, str]] = {}
    shown: dict[str, Row] = {}
    for name, table in asked.items():
        for row in filter(_is_shown, table.rows):
            shown.setdefault(row.recipe, row)
            told = f"{estimate_text(row.tests[TEST].dice, 3)} ({len(row.done)})"
            dice.setdefault(row.recipe, {})[name] = told
    body = [
        [_called(row), *(dice[row.recipe].get(name, "–") for name in asked)]
        for row in told_apart([*shown.values()])
    ]
    yield from table_of([f"Dice at ε = {epsilon_text(EPSILON)} (seeds)", *asked], body)


def _by_cohort(tables: Sequence[Table]) -> dict[str, Table]:
    """The tables in which the README's question is asked, by cohort, in the order of cohorts."""
    found = {
        cohort_of(table.common): table
        for table in reversed(present(tables))  # of several for a cohort, the largest
        if table.common.unit == UNIT and is_judged_as_usual(table.common)
    }
    return {name: found[name] for name in COHORTS if name in found}


def present(tables: Sequence[Table]) -> list[Table]:
    """Return the tables of phantoms under the present protocol."""
    return [t for t in tables if t.phantoms and edition_of(t.common.protocol) == DEFAULT]


def _headline(table: Table, test_set: str, cohorts: Cohorts) -> Iterator[str]:
    """What is best at the README's ε, or at the nearest level below, if anything is."""
    answers = Answers(table, test_set, free_p(table, test_set), cohorts)
    fit = [one for one in standings_of(table, test_set) if one.epsilon <= EPSILON]
    yield from (answers.headline(standing) for standing in fit[-1:])


def _is_shown(row: Row) -> bool:
    """Bookends, and pooled fits at the README's ε."""
    spec = row.spec
    if TEST not in row.tests or spec.federation is not None:
        return False
    return row.is_bookend or (row.is_rival and spec.epsilon == EPSILON)


def _called(row: Row) -> str:
    if row.spec.generator.name == UPPER:
        return f"{row.who} (ε = ∞)"
    return f"{row.who} (ε = 0)" if is_free(row.spec) else row.who


def board_of(tables: Sequence[Table]) -> Iterator[str]:
    """Write every table: its answer if it is of the present protocol, its trends, and its Dice.

    Args:
        tables: Those of the shipped results.
    """
    cohorts = Cohorts(tables)
    for table in sorted(tables, key=_order):
        said = title_of(table)
        yield f"## {said[0].upper()}{said[1:]}"
        yield ""
        for test_set in table.test_sets:
            yield f"**On {test_set} patients.** {_counts(table, test_set)}"
            yield ""
            yield from _sentences(table, test_set, cohorts)
            yield ""
            yield from overview_of(table.rows, test_set)
            yield ""


def _sentences(table: Table, test_set: str, cohorts: Cohorts) -> Iterator[str]:
    if edition_of(table.common.protocol) == DEFAULT:
        yield from (f"* {said}" for said in _headline(table, test_set, cohorts))
    if trends := trend_sentences(table, test_set):
        yield f"* {' '.join(trends)}"


def _order(table: Table) -> tuple[bool, int, str, str]:
    cohort = [*COHORTS].index(cohort_of(table.common))
    return edition_of(table.common.protocol) != DEFAULT, cohort, table.common.unit, table.key


def _counts(table: Table, test_set: str) -> str:
    rows = [row for row in table.rows if test_set in row.tests and not row.is_bookend]
    seeds = sorted({len(row.done) for row in rows}) or [0]
    said = f"{seeds[0]} to {seeds[-1]}" if seeds[1:] else f"{seeds[0]}"
    patients = next((row.tests[test_set].patients for row in rows), None)
    of = f", {patients} patients" if patients else ""
    once = "; `threshold` and `frangi` run once, with intervals over patients alone"
    once = once if any(is_certain(row.spec) for row in table.rows) else ""
    return f"Dice, mean [95 % interval over seeds and patients]; {said} seeds{of}{once}."


def with_block(text: str, name: str, lines: Sequence[str]) -> str:
    """Return a file's text with other lines in a block.

    Args:
        text: The text, which has the block once.
        name: The block's name.
        lines: Its lines.

    Raises:
        ValueError: If it is not there once.
    """
    begin, end = f"<!-- computed: {name} -->", "<!-- end -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    inside = "\n".join([begin, *lines, end])
    made, many = pattern.subn(lambda _: inside, text)
    if many != 1:
        raise ValueError(f"Expected the block {name!r} once, found it {many} times.")
    return made


def write() -> None:
    """Write every computed block. Rows of results that do not add up are in none."""
    cache = cache_folder()
    phantoms = phantoms_of(cache=cache, state=state_folder(), progress=lambda *_: None)
    tables = tables_of(entries_of([RESULTS], verifier(phantoms, cache=cache)))
    for (file, name), lines in blocks_of(tables).items():
        write_text(file, with_block(file.read_text(encoding="utf-8"), name, lines))


if __name__ == "__main__":
    write()
