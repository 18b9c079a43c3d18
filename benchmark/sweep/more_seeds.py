"""``--seeds auto``: how many seeds a sweep still needs, by the width of its intervals.

After each round of seeds every row has a 95 % interval of its Dice on the main test set, over seeds
and patients (``crossed``). A row whose interval reaches further than the precision is *wide*. More
seeds reduce the variance of seeds and of the rest, but not that of patients. A row is *hopeless* if
its patients alone make it wider than the precision; the sweep does not wait for it.

All rows get the same seeds, so that they stay paired. The next number of seeds is the smallest that
promises the precision by the parts found so far, and at most twice the present number. Parts of few
seeds are uncertain, and privacy spent on a seed cannot be taken back. An interval that decides when
to stop is slightly too narrow in the end, because the sweep stops more readily when it happens to
be narrow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from benchmark.core.budget import epsilon_text
from benchmark.metrics.crossed import FEWEST, Crossed, Parts, estimate, within
from benchmark.metrics.power import half_width
from benchmark.results.outcome import Outcome
from benchmark.results.over_seeds import is_certain, told_of
from benchmark.results.spec import RunSpec
from benchmark.results.store import Store
from benchmark.results.summary import called
from benchmark.sweep.request import FIRST_SEEDS, Precision


class Width(NamedTuple):
    """The precision with which a row's Dice is known.

    Attributes:
        row: The row in words.
        reach: Half the width of its interval; infinity where it has none.
        alone: Half the width that patients alone would leave with any number of seeds.
        parts: The standard deviations of the scores' random effects.
        patients: The number of patients.
    """

    row: str
    reach: float
    alone: float
    parts: Parts
    patients: int

    @property
    def words(self) -> str:
        """The row with its half width, rounded up."""
        reach = f"± {math.ceil(self.reach * 1000) / 1000:.3f}" if self.reach < 1 else "no interval"
        return f"{self.row} ({reach})"


def widths(outcomes: Sequence[Outcome], store: Store) -> list[Width]:
    """Compute how well the Dice of every row with a finished cell is known, on the main test set.

    Args:
        outcomes: How every cell ended.
        store: Where the results are.
    """
    rows: dict[str, dict[int, RunSpec]] = {}
    for spec in (outcome.spec for outcome in outcomes if store.result(outcome.spec)):
        rows.setdefault(replace(spec, seed=0).key, {})[spec.seed] = spec
    return [_width(row, store) for row in rows.values()]


def _width(row: dict[int, RunSpec], store: Store) -> Width:
    spec = next(iter(row.values()))
    done = {seed: store.result(one) for seed, one in row.items()}
    tests = {seed: result.test_sets[0] for seed, result in done.items() if result}
    found = within(estimate(told_of(tests, "dice", certain=is_certain(spec))), 0, 1)
    segmenter = "" if spec.is_direct else f", {spec.segmenter.name}"
    name = f"{called(spec)}, ε = {epsilon_text(spec.epsilon)}{segmenter}"
    if not isinstance(found, Crossed):
        return Width(name, math.inf, math.inf, Parts(0, 0, 0), found.patients or FEWEST)
    patients = found.patients or FEWEST
    return Width(
        row=name,
        reach=max(found.high - found.mean, found.mean - found.low),
        alone=half_width(Parts(0, found.parts.patients, 0), FIRST_SEEDS, patients),
        parts=found.parts,
        patients=patients,
    )


def wide(found: Sequence[Width], precision: Precision) -> tuple[list[Width], list[Width]]:
    """Select the rows that are too wide.

    Args:
        found: How well every row is known.
        precision: What is asked for.

    Returns:
        Those that more seeds can help, and those that are hopeless.
    """
    rows = [row for row in found if row.reach > precision.reach]
    helped = [row for row in rows if row.alone <= precision.reach]
    return helped, [row for row in rows if row not in helped]


def next_seeds(found: Sequence[Width], precision: Precision, seeds: int) -> int | None:
    """Choose the next number of seeds.

    Args:
        found: How well every row is known.
        precision: What is asked for.
        seeds: The present number of seeds.

    Returns:
        The number; ``None`` if none are to be added.
    """
    helped, _ = wide(found, precision)
    top = min(2 * seeds, precision.most_seeds)
    if not helped or seeds >= top:
        return None

    def suffice(many: int) -> bool:
        return all(half_width(r.parts, many, r.patients) <= precision.reach for r in helped)

    return next((many for many in range(seeds + 1, top) if suffice(many)), top)


def verdict(found: Sequence[Width], precision: Precision, seeds: int) -> str:
    """Write a sentence or two on whether the precision was reached, and by which rows not.

    Args:
        found: How well every row is known.
        precision: What was asked for.
        seeds: How many seeds there are.
    """
    if not found:
        return f"{seeds} seeds: no row is finished."
    helped, hopeless = wide(found, precision)
    aim = f"± {precision.reach:g}"
    if not (helped or hopeless):
        return f"{seeds} seeds: the precision {aim} is reached in every finished row."
    said = f"{seeds} seeds: the precision {aim} is not reached."
    if helped:
        said += f" Too wide: {_listed(helped)}."
    if helped and seeds >= precision.most_seeds:
        said += " --max-seeds allows no more."
    if drawn_once := [row for row in hopeless if math.isinf(row.reach)]:
        said += f" One draw alone is finished: {_listed(drawn_once)}."
    if alone := [row for row in hopeless if math.isfinite(row.reach)]:
        said += f" Too wide by the patients alone, whatever the seeds: {_listed(alone)}."
    return said


def _listed(rows: Sequence[Width]) -> str:
    return "; ".join(row.words for row in rows)
