"""On how many cohorts an answer holds: tables that differ in their patients alone."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.metrics.crossed import Crossed
from benchmark.metrics.ranking import ALPHA
from benchmark.results.spec import canonical
from leaderboard.rows import Table
from leaderboard.standings import Standing, free_p, standings_of


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
        """Say on how many cohorts a row beats the free rows, and on how many it is first or tied.

        Args:
            table: The row's table.
            test_set: The name of the test set, the same on all cohorts.
            standing: The standing that the row leads.
            number: The row's number.
        """
        recipe = table.rows[number].recipe
        found = {table.common.data: (True, _beats(table, test_set, number))}
        for other in self._groups[_shared(table)]:
            best = self._best(other, test_set, standing.epsilon)
            has = [n for n, row in enumerate(other.rows) if row.recipe == recipe]
            if best and has and test_set in other.rows[has[0]].tests:
                holds = recipe in best, _beats(other, test_set, has[0])
                found.setdefault(other.common.data, holds)
        if len(found) == 1:
            return "No other cohort has this row with more than one draw."
        first, beats = zip(*found.values(), strict=True)
        said = f"Of the {len(found)} cohorts that have this row, it is "
        if None not in beats:
            said += f"shown to beat the free rows on {sum(map(bool, beats)) or 'none'}, and "
        return f"{said}first or tied on {sum(first)}."

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


def _beats(table: Table, test_set: str, number: int) -> bool | None:
    """Whether a row is shown to beat the free rows; ``None`` if there are none."""
    above = table.rows[number].tests[test_set].over_free
    if above is None:
        return None
    return above.mean > 0 and free_p(table, test_set).get(number, 1.0) < ALPHA


def _shared(table: Table) -> str:
    spec = table.common
    segmenter = [spec.segmenter.name, spec.segmenter.version, dict(spec.segmenter.settings)]
    own = None if spec.own is None else max(spec.own.patients)
    return canonical([spec.unit, table.relation, dict(spec.protocol), segmenter, own])
