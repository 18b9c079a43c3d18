"""Comparison of a published cell with the same cell computed again here.

A result file cannot claim this about itself. It is found when a board is built from published files
and from the builder's own runs. A cell with the same key in both was computed again by its command.
"""

from __future__ import annotations

from typing import NamedTuple

from benchmark.metrics.scores import NAMES
from benchmark.results.result import Result
from benchmark.results.scored import Mean, TestSet
from benchmark.sweep.plan_cache import same


class Replay(NamedTuple):
    """The result of computing a published cell again here.

    Attributes:
        is_same: Whether every score of every patient, and every mean, is the published one.
        apart: The largest difference of a mean Dice.
        same_draw: Whether both rest on the fit of one run. A fit that cells share is drawn under
            the key of one of them.
    """

    is_same: bool
    apart: float
    same_draw: bool = True

    @property
    def words(self) -> str:
        """A sentence that says whether the results are the same, and if not, how far apart."""
        if self.is_same:
            return "Computed again here by its command: every score is the published one."
        why = "Another processor may round otherwise"
        if not self.same_draw:
            why = "They rest on two draws of the fit, as one of them shares that of another run"
        return (
            "A published file of this cell came out otherwise when it was computed here: mean Dice "
            f"differs by {self.apart:.2g} at most. Shown is what was computed here. {why}, so this "
            "is no fault."
        )


def replayed(told: Result, here: Result) -> Replay:
    """Compare the published result with the one computed here.

    Args:
        told: The published result.
        here: The result of the same key, computed by the board's builder.
    """
    pairs = [(test, here.test(test.name)) for test in told.test_sets]
    means = [abs(one.dice.mean - other.dice.mean) for one, other in pairs if other]
    return Replay(
        is_same=bool(pairs) and all(other and _alike(one, other) for one, other in pairs),
        apart=max(means, default=0.0),
        same_draw=told.fitted_as == here.fitted_as,
    )


def _alike(told: TestSet, here: TestSet) -> bool:
    """Whether every mean and its ends are the same, and every score of the patients told of."""
    mine = {one.patient: one for one in here.patients}
    rows = [(one, mine.get(one.patient)) for one in told.patients]
    return all(
        _same_mean(told.mean(score), here.mean(score))
        and all(other and same(one.score(score), other.score(score)) for one, other in rows)
        for score in NAMES
    )


def _same_mean(told: Mean | None, here: Mean | None) -> bool:
    if told is None or here is None:
        return told is here
    return all(same(getattr(told, n), getattr(here, n)) for n in ("mean", "low", "high"))
