"""Whether what a board tells apart is found again: on fresh seeds, and on other patients.

    python -m leaderboard.replication BOARD FRESH…

``BOARD`` is a folder of published files or of runs, and each ``FRESH`` a folder of runs of the same
rows with other seeds, or on another cohort. For every pair of private rows that the board calls
different, it asks what the fresh fits show of the same pair. A finding that they call different
*the other way* is reversed. Kendall's τ compares the order of all rows that both have.

Rows are the same if all that decides them is, but for seeds, patients and δ. A δ is lawful for its
number of patients, so it may differ with the cohort.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from scipy.stats import kendalltau

from benchmark.core.budget import epsilon_text
from benchmark.metrics.crossed import Crossed, Estimate
from benchmark.metrics.paired import difference, p_of_pairs
from benchmark.metrics.ranking import ALPHA, holm_of_pairs
from benchmark.results.spec import RunSpec, canonical
from leaderboard.board import tables_of
from leaderboard.columns import estimate_text
from leaderboard.entries import entries_of
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

    Args:
        board: The table whose findings are put to the test.
        fresh: The same rows of other seeds, or on other patients.
        test_set: The test set's name, which both have.
    """
    ours, theirs = _rivals(board, test_set), _rivals(fresh, test_set)
    names = [name for name in ours if name in theirs]
    told = [ours[name].tests[test_set].told for name in names]
    again = [theirs[name].tests[test_set].told for name in names]
    first, then = (holm_of_pairs(p_of_pairs(one)) for one in (told, again))
    pairs = []
    for one in range(len(names)):
        for other in range(one + 1, len(names)):
            if first[one, other] >= ALPHA:
                continue
            over, _ = difference(told[one], told[other])
            up, down = (one, other) if over.mean > 0 else (other, one)
            pairs.append(
                Pair(
                    better=_called(ours[names[up]]),
                    worse=_called(ours[names[down]]),
                    board=difference(told[up], told[down])[0],
                    fresh=(seen := difference(again[up], again[down])[0]),
                    verdict=_verdict(seen, float(then[one, other])),
                )
            )
    means = [[row.values.mean() for row in rows] for rows in (told, again)]
    tau = float(kendalltau(*means).statistic) if len(names) > 1 else None
    return Replication(pairs=pairs, rows=len(names), tau=tau)


def _rivals(table: Table, test_set: str) -> dict[str, Row]:
    """Ranked rows with an interval, by all that decides them."""
    return {
        _same(row.spec): row
        for row in table.rows
        if row.is_rival and isinstance(_dice(row, test_set), Crossed)
    }


def _dice(row: Row, test_set: str) -> Estimate | None:
    return row.tests[test_set].dice if test_set in row.tests else None


def _same(spec: RunSpec) -> str:
    across = spec.federation and replace(spec.federation, assignment=None)
    bare = replace(spec, seed=0, data="", test_data={}, validation="", delta=0.5, federation=across)
    return canonical(bare.as_dict())


def _called(row: Row) -> str:
    return f"{row.who} at ε = {epsilon_text(row.spec.epsilon)}"


def _verdict(fresh: Estimate, p: float) -> Verdict:
    if fresh.mean > 0:
        return "again" if p < ALPHA else "same sign"
    return "reversed" if p < ALPHA else "other sign"


def report(board: Path, others: Sequence[Path], test_set: str = "test") -> Iterator[str]:
    """Write what fresh fits say of every table of a board, as lines of Markdown.

    Args:
        board: A folder of published files or of runs.
        others: Folders of fresh runs.
        test_set: The test set's name.
    """
    tables, fresh = tables_of(entries_of([board])), tables_of(entries_of(others))
    for ours in tables:
        for theirs in fresh:
            found = replicated(ours, theirs, test_set)
            if found.rows > 1:
                yield from _section(ours, theirs, found)


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


if __name__ == "__main__":
    first, *more = map(Path, sys.argv[1:])
    sys.stdout.write("\n".join(report(first, more)) + "\n")
