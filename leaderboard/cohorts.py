"""On how many cohorts an answer holds: tables that differ in their patients alone."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.sweep.spec import canonical
from leaderboard.board import Table
from leaderboard.standings import Standing, standings_of

Answered = tuple[Table, Standing]


class Cohorts:
    """All tables of a board, by what they share beside their patients.

    Args:
        tables: Those of the board.
    """

    def __init__(self, tables: Sequence[Table]) -> None:
        self._groups: dict[str, list[Table]] = {}
        self._known: dict[tuple[str, str], list[Standing]] = {}
        for table in tables:
            self._groups.setdefault(_shared(table), []).append(table)

    def sentence(self, table: Table, test_set: str, standing: Standing, number: int) -> str:
        """Whether a row is among the best on every cohort that was run.

        Args:
            table: The row's table.
            test_set: The name of the test set, the same on all cohorts.
            standing: That which the row leads.
            number: The row's.
        """
        who = table.rows[number].who
        others = [
            found
            for other in self._groups[_shared(table)]
            if other is not table and (found := self._at(other, test_set, standing.epsilon))
        ]
        if not others:
            return "That is so on one cohort; no other was run."
        best = 1 + sum(who in _best(found) for found in others)
        return f"It is first or tied on {best} of {1 + len(others)} cohorts."

    def _at(self, table: Table, test_set: str, epsilon: float) -> Answered | None:
        """The table's standing at that level, if there is a generator in it."""
        if test_set not in table.test_sets:
            return None
        key = table.key, test_set
        if key not in self._known:
            self._known[key] = standings_of(table, test_set)
        fit = [one for one in self._known[key] if one.epsilon <= epsilon and one.places]
        return (table, fit[-1]) if fit else None


def _best(found: Answered) -> set[str]:
    """Who is first or tied."""
    table, standing = found
    return {table.rows[place.row].who for place in standing.places if place.is_tied}


def _shared(table: Table) -> str:
    spec = table.common
    segmenter = [spec.segmenter.name, spec.segmenter.version, dict(spec.segmenter.settings)]
    own = None if spec.own is None else len(spec.own["patients"])
    return canonical([spec.unit, table.relation, dict(spec.protocol), segmenter, own])
