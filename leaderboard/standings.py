"""Standings: which rows of a table differ significantly, at every privacy level.

A standing at ε has the generators that spend at most that ε, best Dice first. Pairs are tested by
the difference of their Dice over seeds and patients, corrected by Holm for all pairs of the
standing. Those that do not differ significantly from the first are its ties.

Rows across sites hold ε against another adversary, and sites alone protect fewer patients. So they
are not ranked beside fits of all patients at one place; a table that has no others ranks them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.metrics.crossed import Crossed, Floats
from benchmark.metrics.paired import p_of_pairs
from benchmark.metrics.ranking import ALPHA, Rank, holm, holm_of_pairs, ranks
from leaderboard.rows import Row, Table
from leaderboard.scores import Scored


@dataclass(frozen=True, kw_only=True)
class Place:
    """A row in a standing.

    Attributes:
        row: Its number in the table.
        rank: The range of its rank, with all pairs corrected.
        p: The corrected p-value of the hypothesis that it equals the first; 1 for the first itself.
    """

    row: int
    rank: Rank
    p: float

    @property
    def is_tied(self) -> bool:
        """Whether it does not differ significantly from the first."""
        return self.p >= ALPHA


@dataclass(frozen=True, kw_only=True)
class Standing:
    """The generators that spend at most an ε, the best Dice first.

    Attributes:
        epsilon: The most that may be spent.
        places: Their places; empty if there are none.
        direct: The numbers of rows that fit the segmenter itself within the same ε.
    """

    epsilon: float
    places: Sequence[Place]
    direct: Sequence[int]


def levels_of(table: Table) -> list[float]:
    """Return every ε that a ranked row was asked for, rising; infinity if there is none."""
    asked = {row.spec.epsilon for row in table.rows if row.is_rival and row.spec.epsilon}
    return sorted(asked) or [math.inf]


def ranked_in(table: Table, test_set: str) -> list[int]:
    """Return the numbers of the rows that are ranked: rivals of one place, or else across sites."""
    rivals = [n for n, row in enumerate(table.rows) if row.is_rival and test_set in row.tests]
    here = [n for n in rivals if table.rows[n].spec.federation is None]
    return here or rivals


def standings_of(table: Table, test_set: str) -> list[Standing]:
    """Return one standing for each level."""
    numbers = ranked_in(table, test_set)
    synthetic = [number for number in numbers if not table.rows[number].is_direct]
    scored = {number: table.rows[number].tests[test_set] for number in synthetic}
    pairs = p_of_pairs([one.told for one in scored.values()])
    found = []
    for epsilon in levels_of(table):
        kept = [k for k, n in enumerate(synthetic) if _spent(table.rows[n], table) <= epsilon]
        places = _places([synthetic[k] for k in kept], scored, pairs[np.ix_(kept, kept)])
        direct = [n for n in numbers if n not in scored and _spent(table.rows[n], table) <= epsilon]
        found.append(Standing(epsilon=epsilon, places=places, direct=direct))
    return found


def _spent(row: Row, table: Table) -> float:
    """For the table's unit."""
    said = getattr(row.guarantee, f"epsilon_{table.common.unit}", None)
    return math.inf if said is None else float(said)


def _places(numbers: Sequence[int], scored: Mapping[int, Scored], pairs: Floats) -> list[Place]:
    means = [scored[number].dice.mean for number in numbers]
    corrected = holm_of_pairs(pairs)
    order = sorted(range(len(numbers)), key=lambda k: -means[k])
    said = ranks(means, corrected)
    return [
        Place(
            row=numbers[k],
            rank=said[k],
            p=float(corrected[order[0], k]),
        )
        for k in order
    ]


def free_p(table: Table, test_set: str) -> dict[int, float]:
    """Compute for each rival the p-value that its lead over the free rows is none.

    The free row was chosen on a few validation patients, and another one may be as good. So a lead
    must hold over each of them: its p-value is the largest of all. Of a row below the chosen one it
    is that of the difference to that row. All are corrected by Holm.

    Returns:
        The p-values by row number, for rows with an interval.
    """
    found = {
        number: p
        for number, row in enumerate(table.rows)
        if row.is_rival and test_set in row.tests
        if (p := _free_p(row.tests[test_set])) is not None
    }
    return dict(zip(found, holm([*found.values()]).tolist(), strict=True))


def _free_p(scored: Scored) -> float | None:
    above = scored.over_free
    if not isinstance(above, Crossed):
        return None
    if above.mean <= 0:
        return above.p
    each = [one for one in scored.over_each_free.values() if isinstance(one, Crossed)]
    return max(one.p if one.mean > 0 else 1.0 for one in each)
