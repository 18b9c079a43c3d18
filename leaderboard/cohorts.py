"""The number of cohorts on which an answer holds: tables that differ in their patients alone."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.metrics.crossed import Crossed
from benchmark.results.spec import canonical
from leaderboard.rows import Table
from leaderboard.standings import Standing, standings_of


class Cohorts:
    """All tables of a board, grouped by what they share beside their patients.

    Args:
        tables: The board's tables.
    """

    def __init__(self, tables: Sequence[Table]) -> None:
        self._groups: dict[str, list[Table]] = {}
        self._known: dict[tuple[str, str], list[Standing]] = {}
        for table in tables:
            self._groups.setdefault(_shared(table), []).append(table)

    def sentence(self, table: Table, test_set: str, standing: Standing, number: int) -> str:
        """Say whether a row is among the best on every cohort that has it.

        Args:
            table: The row's table.
            test_set: The name of the test set, the same on all cohorts.
            standing: The standing that the row leads.
            number: The row's number.
        """
        recipe, mine = table.rows[number].recipe, table.common.data
        others: dict[str, set[str]] = {}
        for other in self._groups[_shared(table)]:
            best = self._best(other, test_set, standing.epsilon)
            has = any(row.recipe == recipe and test_set in row.tests for row in other.rows)
            if other.common.data != mine and best and has:
                others.setdefault(other.common.data, best)
        if not others:
            return "No other cohort has this row with more than one draw."
        held = 1 + sum(recipe in best for best in others.values())
        return f"It is first or tied on {held} of the {1 + len(others)} cohorts that have this row."

    def _best(self, table: Table, test_set: str, epsilon: float) -> set[str]:
        """What is first or tied at that level; nothing where the first is one draw."""
        if test_set not in table.test_sets:
            return set()
        key = table.key, test_set
        if key not in self._known:
            self._known[key] = standings_of(table, test_set)
        fit = [one for one in self._known[key] if one.epsilon <= epsilon and one.places]
        places = fit[-1].places if fit else ()
        known = [isinstance(table.rows[p.row].tests[test_set].dice, Crossed) for p in places]
        if not any(known[:1]):
            return set()
        tied = (p for p, is_known in zip(places, known, strict=True) if is_known and p.is_tied)
        return {table.rows[place.row].recipe for place in tied}


def _shared(table: Table) -> str:
    spec = table.common
    segmenter = [spec.segmenter.name, spec.segmenter.version, dict(spec.segmenter.settings)]
    own = None if spec.own is None else max(spec.own.patients)
    return canonical([spec.unit, table.relation, dict(spec.protocol), segmenter, own])
