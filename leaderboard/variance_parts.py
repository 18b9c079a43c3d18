"""The standard deviations of a paired difference in Dice, measured on the shipped board.

    python -m leaderboard.variance_parts

writes the file that ``bench plan`` and ``bench run`` read. For each unit and generator, each of its
rows is paired with every other generator's row of the same ε, on the main test set. The parts of a
pair are the unbiased estimates of crossed effects, which may be below 0. A generator's part is the
*mean over pairs* of each variance, or 0 if that is below 0. A median would be too small: with three
seeds, half of all estimates are below 0.7 of the variance. Bookends and controls are left out.
Generators are of the version that their results are of. The file also has the standard deviation
over seeds of each generator's own Dice, for rows that are one draw.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from benchmark.core.budget import Unit
from benchmark.core.editions import edition_of
from benchmark.core.files import write_text
from benchmark.metrics.crossed import Floats, Grid, Parts, of_values
from benchmark.results.variance_parts import FILE, VarianceParts
from leaderboard.board import tables_of
from leaderboard.entries import entries_of
from leaderboard.page import RESULTS
from leaderboard.rows import Row, Table

EDITION = "2026-1"


def measured(tables: Sequence[Table]) -> VarianceParts:
    """Compute the standard deviations of every generator.

    Args:
        tables: Those of one protocol and cohort, one for each unit, every row with the same seeds
            and test patients.

    Raises:
        ValueError: If tables or rows differ in those.
    """
    of: dict[Unit, dict[str, Parts]] = {}
    alone: dict[Unit, dict[str, float]] = {}
    shapes = set()
    for table in sorted(tables, key=lambda table: table.common.unit):
        rows = list(_rows(table))
        shapes |= {
            (edition_of(table.common.protocol), told.seeds, told.patients) for _, told in rows
        }
        names = sorted({row.spec.generator.name for row, _ in rows})
        of[table.common.unit] = {name: _parts(name, rows) for name in names}
        alone[table.common.unit] = {name: _alone(name, rows) for name in names}
    if len(shapes) != 1:
        raise ValueError(f"Expected one protocol, seeds and patients, got {shapes}.")
    edition, seeds, patients = shapes.pop()
    return VarianceParts(
        edition=edition, seeds=len(seeds), patients=len(patients), of=of, alone=alone
    )


def _rows(table: Table) -> Iterator[tuple[Row, Grid]]:
    for row in table.rows:
        told = row.tests[table.test_sets[0]].told
        if not (row.is_bookend or row.is_refused or row.spec.control) and isinstance(told, Grid):
            yield row, told


def _parts(name: str, rows: Sequence[tuple[Row, Grid]]) -> Parts:
    pairs = [
        _variances(one.values - other.values)
        for row, one in rows
        for rival, other in rows
        if row.spec.generator.name == name != rival.spec.generator.name
        and row.spec.epsilon == rival.spec.epsilon
    ]
    return Parts(*(math.sqrt(max(0.0, v)) for v in np.mean(pairs, axis=0).tolist()))


def _alone(name: str, rows: Sequence[tuple[Row, Grid]]) -> float:
    """Over seeds, of a generator's own rows: the root of the mean variance."""
    own = [_variances(told.values)[0] for row, told in rows if row.spec.generator.name == name]
    return math.sqrt(max(0.0, float(np.mean(own))))


def _variances(differences: Floats) -> tuple[float, float, float]:
    """Unbiased estimates of the parts, which may be below 0."""
    seeds, patients = differences.shape
    found = of_values(differences)
    x, y, z = float(found.seeds), float(found.patients), float(found.rest)
    return (x - z) * seeds, (y - z) * patients, z * seeds * patients


def shipped_tables() -> list[Table]:
    """Return the tables of the board's results under the edition of ``EDITION``."""
    tables = tables_of(entries_of([RESULTS]))
    return [table for table in tables if edition_of(table.common.protocol) == EDITION]


if __name__ == "__main__":
    write_text(FILE, measured(shipped_tables()).text)
