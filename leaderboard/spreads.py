"""The spread of Dice over a generator's seeds, shown beside a row that has one seed alone.

It is the standard deviation of Dice over seeds, from the generator's own rows. Rows of the same
table, generator and version that have more seeds are preferred. Without any, it is that of the
generator's rows on the shipped board (``benchmark.results.variance_parts``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from benchmark.metrics.crossed import Crossed, OneDraw
from benchmark.results.variance_parts import shipped
from leaderboard.rows import Row
from leaderboard.scores import Scored


def with_spreads(rows: Sequence[Row]) -> list[Row]:
    """Return the rows; single draws get the spread over seeds that is known of their generator."""
    return [
        replace(row, tests={name: _known(row, name, rows) for name in row.tests}) for row in rows
    ]


def _known(row: Row, test_set: str, rows: Sequence[Row]) -> Scored:
    scored = row.tests[test_set]
    if not isinstance(scored.dice, OneDraw) or scored.dice.seeds > 1:
        return scored
    dice = replace(scored.dice, seed_sd=_seed_sd(row, test_set, rows))
    return replace(scored, dice=dice, scores={**scored.scores, "dice": dice})


def _seed_sd(row: Row, test_set: str, rows: Sequence[Row]) -> float | None:
    """The root of the mean variance over rows of more seeds; without any, the shipped one."""
    alike = [other for other in rows if _kind(other) == _kind(row) and not other.is_refused]
    found = [other.tests[test_set].dice for other in alike if test_set in other.tests]
    here = [dice.parts.seeds**2 for dice in found if isinstance(dice, Crossed)]
    if here:
        return math.sqrt(fmean(here))
    return shipped().alone[row.spec.unit].get(row.spec.generator.name)


def _kind(row: Row) -> tuple[str, int]:
    return row.spec.generator.name, row.spec.generator.version
