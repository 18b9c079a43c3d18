"""Whether what a board tells apart is found again: on fresh seeds, and on other patients.

    python -m leaderboard.replication BOARD FRESH…

``BOARD`` is a folder of published files or of runs, and each ``FRESH`` a folder of runs of the same
rows with other seeds, or on another cohort. For every pair of ranked rows that the board calls
different, it asks what the fresh fits show of the same pair. A finding that they call different
*the other way* is reversed. Kendall's τ compares the order of all rows that both have.

Rows are the same if all that decides them is, but for seeds, patients and δ.
"""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from scipy.stats import kendalltau

from benchmark.core.budget import epsilon_text
from benchmark.core.errors import BenchError, UsageError
from benchmark.metrics.crossed import Crossed, Estimate, Floats
from benchmark.metrics.paired import p_of_pairs
from benchmark.metrics.ranking import ALPHA, holm_of_pairs
from benchmark.results.spec import canonical
from leaderboard.board import tables_of
from leaderboard.columns import estimate_text
from leaderboard.entries import Entry, entries_of
from leaderboard.markdown import table_of
from leaderboard.rows import Row, Table

Verdict = Literal["again", "same sign", "other sign", "reversed"]
VERDICTS: dict[Verdict, str] = {
    "again": "called different again, the same way",
    "same sign": "the same way, and not told apart",
    "other sign": "the other way, and not told apart",
    "reversed": "called different, the other way",
}


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two rows that a board calls different, and what fresh fits show of them.

    Attributes:
        better: The name of the row that the board has above the other.
        worse: The name of the other.
        board: By how much, on the board.
        fresh: By how much, of the fresh fits.
        verdict: What that says of the board's finding.
    """

    better: str
    worse: str
    board: Estimate
    fresh: Estimate
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class Replication:
    """What fresh fits say of one table of a board.

    Attributes:
        pairs: Every pair that the board calls different and that the fresh fits have.
        rows: How many rows both have.
        tau: Kendall's rank correlation of their mean Dice; ``None`` of fewer than two rows.
    """

    pairs: Sequence[Pair]
    rows: int
    tau: float | None

    @property
    def counts(self) -> dict[Verdict, int]:
        """How many pairs have each verdict."""
        found = Counter(pair.verdict for pair in self.pairs)
        return {verdict: found[verdict] for verdict in VERDICTS}


def replicated(board: Table, fresh: Table, test_set: str) -> Replication:
    """Compare a table with fresh fits of its rows.

    The board's findings are corrected for all pairs of its rows, as on its page, and those of the
    fresh fits for all pairs that both have.

    Args:
        board: The table whose findings are put to the test.
        fresh: The same rows of other seeds, or on other patients.
        test_set: The test set's name, which both have.
    """
    ours, theirs = _ranked(board, test_set), _ranked(fresh, test_set)
    both = [number for number, recipe in enumerate(ours) if recipe in theirs]
    there = [theirs[recipe] for recipe in ours if recipe in theirs]
    here = [*ours.values()]
    findings = _corrected(here, test_set)[np.ix_(both, both)]
    again = _corrected(there, test_set)
    pairs = [
        _pair((here[both[i]], here[both[j]]), (there[i], there[j]), float(again[i, j]), test_set)
        for i, j in itertools.combinations(range(len(both)), 2)
        if findings[i, j] < ALPHA
    ]
    means = [
        [row.tests[test_set].dice.mean for row in rows]
        for rows in ([here[number] for number in both], there)
    ]
    tau = float(kendalltau(*means).statistic) if len(both) > 1 else None
    return Replication(pairs=pairs, rows=len(both), tau=tau)


def _ranked(table: Table, test_set: str) -> dict[str, Row]:
    """The rows that a standing ranks and that have an interval, by all that decides them."""
    return {
        row.recipe: row
        for row in table.rows
        if row.is_rival and not row.is_direct and test_set in row.tests
        if isinstance(row.tests[test_set].dice, Crossed)
    }


def _corrected(rows: Sequence[Row], test_set: str) -> Floats:
    return holm_of_pairs(p_of_pairs([row.tests[test_set].told for row in rows]))


def _pair(ours: tuple[Row, Row], theirs: tuple[Row, Row], fresh_p: float, test_set: str) -> Pair:
    """The better of two of the board's rows first, and the same two of the fresh fits."""
    found = ours[0].over(ours[1], test_set)
    if found.mean < 0:
        return _pair(ours[::-1], theirs[::-1], fresh_p, test_set)
    fresh = theirs[0].over(theirs[1], test_set)
    return Pair(
        better=_called(ours[0]),
        worse=_called(ours[1]),
        board=found,
        fresh=fresh,
        verdict=_verdict(fresh, fresh_p),
    )


def _called(row: Row) -> str:
    return f"{row.who} at ε = {epsilon_text(row.spec.epsilon)}"


def _verdict(fresh: Estimate, p: float) -> Verdict:
    if fresh.mean > 0:
        return "again" if p < ALPHA else "same sign"
    return "reversed" if p < ALPHA else "other sign"


def report(board: Path, others: Sequence[Path], test_set: str = "test") -> Iterator[str]:
    """Write what fresh fits say of every table of a board, as lines of Markdown.

    Cells that the board has are not fresh, and are left out.

    Args:
        board: A folder of published files or of runs.
        others: Folders of fresh runs.
        test_set: The test set's name.
    """
    known = entries_of([board])
    drawn = {_draw(entry) for entry in known}
    fresh = tables_of(entry for entry in entries_of(others) if _draw(entry) not in drawn)
    many = 0
    for ours, theirs in itertools.product(tables_of(known), fresh):
        found = replicated(ours, theirs, test_set)
        if found.rows > 1:
            many += 1
            yield from _section(ours, theirs, found)
    if not many:
        yield "No table of the board has two rows that are among the fresh fits."


def _draw(entry: Entry) -> str:
    return canonical(replace(entry.spec, fid_weights="").as_dict())


def _section(ours: Table, theirs: Table, found: Replication) -> Iterator[str]:
    seeds = sorted({len(row.done) for row in theirs.rows if row.is_rival})
    tau = "–" if found.tau is None else f"{found.tau:.2f}"
    yield (
        f"Unit {ours.common.unit}, cohort {ours.common.data[:8]} against {theirs.common.data[:8]}: "
        f"{found.rows} rows, {'/'.join(map(str, seeds))} fresh seeds, Kendall's τ {tau}."
    )
    yield ""
    counts = [[VERDICTS[verdict], str(many)] for verdict, many in found.counts.items()]
    yield from table_of(["of the pairs that the board calls different", "pairs"], counts)
    yield ""
    rows = [
        [p.better, p.worse, estimate_text(p.board, 3), estimate_text(p.fresh, 3), p.verdict]
        for p in found.pairs
    ]
    if rows:
        yield from table_of(["better", "worse", "board", "fresh", "found"], rows)
        yield ""


def main(folders: Sequence[str]) -> int:
    """Write the report of a board and of folders of fresh runs; return the exit code."""
    try:
        if len(folders) < 2:
            raise UsageError(
                f"Expected a board and a folder of fresh runs, got {len(folders)} folders."
            )
        first, *more = map(Path, folders)
        sys.stdout.write("\n".join(report(first, more)) + "\n")
    except BenchError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
