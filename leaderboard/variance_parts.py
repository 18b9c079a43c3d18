"""The standard deviations of a paired difference in Dice, measured on the shipped board.

    python -m leaderboard.variance_parts

writes the file that ``bench plan`` and ``bench run`` read, from the present protocol's tables of
all cohorts. For each unit and generator, each of its rows is paired with every other generator's
row of the same ε, on the main test set and the seeds that both have. The parts of a pair are the
unbiased estimates of crossed effects, which may be below 0. A generator's part is the *mean over
pairs* of each variance, or 0 if that is below 0. A median would be too small: with three seeds,
half of all estimates are below 0.7 of the variance. Bookends, controls and fits across sites are
left out. Generators are of the installed version. The file also has the standard deviation over
seeds of each generator's own Dice, for rows that are one draw.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from benchmark.core.budget import UNITS
from benchmark.core.editions import DEFAULT, edition_of
from benchmark.core.files import write_text
from benchmark.metrics.crossed import Floats, Grid, Parts, of_values
from benchmark.results.variance_parts import FILE, VarianceParts
from leaderboard.board import tables_of
from leaderboard.command import is_judged_as_usual
from leaderboard.entries import entries_of
from leaderboard.page import RESULTS
from leaderboard.rows import Row, Table

FEWEST = 3
"""Fewer common seeds of a pair say too little of their variance."""


def measured(tables: Sequence[Table]) -> VarianceParts:
    """Compute the standard deviations of every generator.

    Args:
        tables: Those of one protocol, of any cohorts and units.

    Raises:
        ValueError: If they are of several protocols, or no pair of rows has enough seeds.
    """
    editions = {edition_of(table.common.protocol) for table in tables}
    each = [(table.common.unit, list(_rows(table))) for table in tables]
    pairs = [(unit, *pair) for unit, rows in each for pair in _pairs(rows)]
    if len(editions) != 1 or not pairs:
        raise ValueError(f"Expected pairs of rows of one protocol, got {len(pairs)} of {editions}.")
    units = [unit for unit in UNITS if any(one == unit for one, *_ in pairs)]
    return VarianceParts(
        edition=editions.pop(),
        seeds=min(len(apart) for *_, apart in pairs),
        patients=min(apart.shape[1] for *_, apart in pairs),
        of={unit: _by_name((n, apart) for one, n, apart in pairs if one == unit) for unit in units},
        alone={
            unit: _alone([pair for one, rows in each if one == unit for pair in rows])
            for unit in units
        },
    )


def _rows(table: Table) -> Iterator[tuple[str, Row, Grid]]:
    """The rows that are measured, with their generator's name and Dice."""
    for row in table.rows:
        scored = row.tests.get(table.test_sets[0])
        told = scored.told if scored else None
        is_here = row.is_rival and row.spec.federation is None
        if is_here and isinstance(told, Grid) and len(told.seeds) >= FEWEST:
            yield row.spec.generator.name, row, told


def _pairs(rows: Sequence[tuple[str, Row, Grid]]) -> Iterator[tuple[str, Floats]]:
    """Each generator's name with the differences of one of its rows to another generator's."""
    for name, row, one in rows:
        for rival, other, two in rows:
            seeds = [seed for seed in one.seeds if seed in two.seeds]
            fits = row.spec.epsilon == other.spec.epsilon and one.patients == two.patients
            if name != rival and fits and len(seeds) >= FEWEST:
                yield name, _of(one, seeds) - _of(two, seeds)


def _of(told: Grid, seeds: Sequence[int]) -> Floats:
    return told.values[[told.seeds.index(seed) for seed in seeds]]


def _by_name(pairs: Iterable[tuple[str, Floats]]) -> dict[str, Parts]:
    found: dict[str, list[tuple[float, float, float]]] = {}
    for name, apart in pairs:
        found.setdefault(name, []).append(_variances(apart))
    return {name: Parts(*_deviations(np.mean(found[name], axis=0))) for name in sorted(found)}


def _alone(rows: Sequence[tuple[str, Row, Grid]]) -> dict[str, float]:
    """Over seeds, of a generator's own rows: the root of the mean variance."""
    found: dict[str, list[float]] = {}
    for name, _, told in rows:
        found.setdefault(name, []).append(_variances(told.values)[0])
    return {name: _deviations([float(np.mean(found[name]))])[0] for name in sorted(found)}


def _deviations(variances: Iterable[float]) -> list[float]:
    return [math.sqrt(max(0.0, float(variance))) for variance in variances]


def _variances(differences: Floats) -> tuple[float, float, float]:
    """Unbiased estimates of the parts, which may be below 0."""
    seeds, patients = differences.shape
    found = of_values(differences)
    x, y, z = float(found.seeds), float(found.patients), float(found.rest)
    return (x - z) * seeds, (y - z) * patients, z * seeds * patients


def shipped_tables() -> list[Table]:
    """Return the tables of the board's results under the present protocol, as its preset judges."""
    tables = tables_of(entries_of([RESULTS]))
    return [
        table
        for table in tables
        if edition_of(table.common.protocol) == DEFAULT and is_judged_as_usual(table.common)
    ]


if __name__ == "__main__":
    write_text(FILE, measured(shipped_tables()).text)
