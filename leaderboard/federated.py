"""What training together is worth: fits across sites beside the pooled fit and each site alone.

docs/federation.md has the table of the shipped results, which ``leaderboard.shipped`` writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmark.core.budget import epsilon_text
from benchmark.metrics.crossed import Crossed, Estimate
from benchmark.results.spec import canonical
from benchmark.results.spec_parts import OneSite
from leaderboard.columns import estimate_text, p_text
from leaderboard.command import cohort_of
from leaderboard.markdown import table_of
from leaderboard.rows import Row, Table

HEADINGS = (
    "generator, and how",
    "cohort",
    "protected",
    "ε",
    "seeds × patients",
    "Dice",
    "minus pooled",
    "minus the best site alone",
    "no better than some site: p",
)
NONE = "–"


@dataclass(frozen=True, kw_only=True)
class Together:
    """A fit across sites, and what it is compared with.

    Attributes:
        row: The federated row.
        pooled: The fit of all patients at one place, with the same settings and ε; ``None`` if the
            table has none.
        alone: The fit of each site alone with the same, by site; empty unless every site has one.
    """

    row: Row
    pooled: Row | None
    alone: Mapping[str, Row]

    def over_pooled(self, test_set: str) -> Estimate | None:
        """Estimate how far the fit's Dice is above the pooled fit's; ``None`` without one."""
        return self.row.over(self.pooled, test_set) if self.pooled else None

    def over_best_alone(self, test_set: str) -> Estimate | None:
        """Estimate how far the fit's Dice is above that of the best site; ``None`` without one."""
        if not self.alone:
            return None
        best = max(self.alone.values(), key=lambda row: row.tests[test_set].dice.mean)
        return self.row.over(best, test_set)

    def p_no_better(self, test_set: str) -> float | None:
        """Compute the p-value of the hypothesis that some site alone is as good or better.

        To reject it, the fit must beat every site, each at the same level. So the largest
        one-sided p-value is that of the whole, whatever the number of sites (Berger 1982,
        intersection-union tests).

        Returns:
            The p-value; ``None`` without sites alone, or where a row is one draw.
        """
        found = [self.row.over(one, test_set) for one in self.alone.values()]
        known = [one for one in found if isinstance(one, Crossed)]
        if not known or len(known) < len(found):
            return None
        return max(one.p / 2 if one.mean > 0 else 1 - one.p / 2 for one in known)


def together(table: Table, test_set: str) -> list[Together]:
    """Find the federated rows of a table, each with its pooled fit and its sites alone.

    Args:
        table: The table.
        test_set: A test set on which the rows were scored.
    """
    ranked = [row for row in table.rows if row.is_rival and test_set in row.tests]
    pooled = {_fit(row): row for row in ranked if row.spec.federation is None}
    return [
        Together(row=row, pooled=pooled.get(_fit(row)), alone=_alone(row, ranked))
        for row in ranked
        if row.spec.is_federated
    ]


def _alone(row: Row, rows: Sequence[Row]) -> dict[str, Row]:
    """The sites of a federated row alone; none unless each has one row."""
    found: dict[str, list[Row]] = {}
    for one in rows:
        if one.spec.alone_at is not None and _split(one) == _split(row):
            found.setdefault(one.spec.alone_at, []).append(one)
    if len(found) < row.spec.sites or any(len(mine) > 1 for mine in found.values()):
        return {}
    return {site: mine for site, (mine,) in found.items()}


def _split(row: Row) -> tuple[str, str, int]:
    """What the fits of all sites of a split, and of one of them, have in common."""
    how = row.spec.federation
    sites = how.of if isinstance(how, OneSite) else row.spec.sites
    return _fit(row), how.partition if how else "", sites


def _fit(row: Row) -> str:
    """What a fit has in common with that of other patients."""
    spec = row.spec
    tuned = spec.tuned and vars(spec.tuned)
    return canonical([vars(spec.generator), spec.epsilon, spec.noise, tuned])


def lines_of(tables: Sequence[Table], test_set: str = "test") -> Iterator[str]:
    """Write every federated row of some tables of phantoms as lines of Markdown.

    Args:
        tables: The tables, of one protocol; those without federated rows are left out.
        test_set: The test set's name.
    """
    body = [
        _line(table, one, test_set)
        for table in tables
        if test_set in table.test_sets
        for one in together(table, test_set)
    ]
    yield from table_of(HEADINGS, body)


def _line(table: Table, one: Together, test_set: str) -> list[str]:
    p = one.p_no_better(test_set)
    return [
        one.row.who,
        cohort_of(table.common),
        f"a {table.common.unit}",
        epsilon_text(one.row.spec.epsilon),
        f"{len(one.row.done)} × {one.row.tests[test_set].patients or NONE}",
        estimate_text(one.row.tests[test_set].dice, 3),
        _signed(one.over_pooled(test_set)),
        _signed(one.over_best_alone(test_set)),
        NONE if p is None else p_text(p),
    ]


def _signed(found: Estimate | None) -> str:
    return NONE if found is None else estimate_text(found, 3, signed=True)
