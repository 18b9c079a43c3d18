"""What training together is worth: fits across sites beside the pooled fit and each site alone.

    python -m leaderboard.federated

writes the table of docs/federation.md from the shipped results.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmark.core.budget import epsilon_text
from benchmark.metrics.crossed import Crossed, Estimate
from benchmark.metrics.paired import difference
from benchmark.metrics.ranking import holm
from benchmark.results.spec import AcrossSites, OneSite, canonical
from leaderboard.board import tables_of
from leaderboard.columns import estimate_text, p_text
from leaderboard.entries import entries_of
from leaderboard.markdown import table_of
from leaderboard.page import HERE
from leaderboard.rows import Row, Table

HEADINGS = (
    "generator, and how",
    "ε",
    "seeds",
    "Dice",
    "minus pooled",
    "minus the best site alone",
    "above every site",
)
NONE = "–"


@dataclass(frozen=True, kw_only=True)
class Together:
    """A fit across sites, and what it is compared with.

    Attributes:
        row: The federated row.
        pooled: The fit of all patients at one place, with the same settings and ε; ``None`` if the
            table has none.
        alone: The fits of single sites, by site, with the same; empty if the table has none.
    """

    row: Row
    pooled: Row | None
    alone: Mapping[str, Row]

    def over_pooled(self, test_set: str) -> Estimate | None:
        """Estimate how far the fit's Dice is above the pooled fit's; ``None`` without one."""
        return _over(self.row, self.pooled, test_set) if self.pooled else None

    def over_best_alone(self, test_set: str) -> Estimate | None:
        """Estimate how far the fit's Dice is above that of the best site; ``None`` without one."""
        if not self.alone:
            return None
        best = max(self.alone.values(), key=lambda row: row.tests[test_set].dice.mean)
        return _over(self.row, best, test_set)

    def above_every_site(self, test_set: str) -> float | None:
        """Compute the p-value of "no better than some site alone", corrected by Holm.

        Returns:
            The largest over the sites; 1 if a site's mean is higher, and ``None`` if there are no
            sites alone, or one draw.
        """
        found = [_over(self.row, one, test_set) for one in self.alone.values()]
        known = [one for one in found if isinstance(one, Crossed)]
        if not known or len(known) < len(found):
            return None
        corrected = holm([one.p for one in known])
        return float(
            max(p if one.mean > 0 else 1.0 for p, one in zip(corrected, known, strict=True))
        )


def together(table: Table, test_set: str) -> list[Together]:
    """Find the federated rows of a table, each with its pooled fit and its sites alone.

    Args:
        table: The table.
        test_set: A test set on which the rows were scored.
    """
    ranked = [row for row in table.rows if row.is_rival and test_set in row.tests]
    pooled = {_fit(row): row for row in ranked if row.spec.federation is None}
    alone: dict[str, dict[str, Row]] = {}
    for row in ranked:
        if isinstance(how := row.spec.federation, OneSite):
            split = _split(row, how.partition, how.of)
            alone.setdefault(split, {})[how.alone] = row
    return [
        Together(
            row=row,
            pooled=pooled.get(_fit(row)),
            alone=alone.get(_split(row, how.partition, row.spec.sites), {}),
        )
        for row in ranked
        if isinstance(how := row.spec.federation, AcrossSites)
    ]


def _fit(row: Row) -> str:
    spec = row.spec
    return canonical([vars(spec.generator), spec.epsilon, spec.tuned and vars(spec.tuned)])


def _split(row: Row, partition: str, sites: int) -> str:
    return canonical([_fit(row), partition, sites])


def _over(row: Row, other: Row, test_set: str) -> Estimate:
    return difference(row.tests[test_set].told, other.tests[test_set].told)[0]


def lines_of(tables: Sequence[Table], test_set: str = "test") -> Iterator[str]:
    """Write every federated row of some tables as lines of Markdown.

    Args:
        tables: The tables; those without federated rows are left out.
        test_set: The test set's name.
    """
    body = [
        _line(one, test_set)
        for table in tables
        if test_set in table.test_sets
        for one in together(table, test_set)
    ]
    yield from table_of(HEADINGS, body)


def _line(one: Together, test_set: str) -> list[str]:
    p = one.above_every_site(test_set)
    return [
        one.row.who,
        epsilon_text(one.row.spec.epsilon),
        str(len(one.row.done)),
        estimate_text(one.row.tests[test_set].dice, 3),
        _signed(one.over_pooled(test_set)),
        _signed(one.over_best_alone(test_set)),
        NONE if p is None else p_text(p),
    ]


def _signed(found: Estimate | None) -> str:
    return NONE if found is None else estimate_text(found, 3, signed=True)


if __name__ == "__main__":
    shipped = tables_of(entries_of([HERE / "results"]))
    sys.stdout.write("\n".join(lines_of(shipped)) + "\n")
