"""Whether a published cell came out the same when it was computed again here.

A result file cannot say so of itself. It is found where a board is built from published files and
from the builder's own runs: a cell with the same key in both was computed again by its command.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from benchmark.metrics.scores import Scores
from benchmark.sweep.plans import same


class Replay(NamedTuple):
    """What computing a cell again here gave.

    Attributes:
        is_same: Whether every score of every patient, and every mean, is the published one.
        apart: The largest difference of a mean Dice.
    """

    is_same: bool
    apart: float

    @property
    def words(self) -> str:
        """That it is the same, or how far it lies."""
        if self.is_same:
            return "Computed again here by its command: every score is the published one."
        return (
            f"Computed again here by its command: mean Dice differs by {self.apart:.2g} at most. "
            "Another processor may round otherwise, so this is no fault."
        )


def replayed(told: Mapping[str, Any], here: Mapping[str, Any]) -> Replay:
    """The published result set against the one computed here.

    Args:
        told: The published result.
        here: The result of the same key, computed by whoever builds the board.
    """
    pairs = [*_pairs(told, here)]
    dice = [(one["dice"], other["dice"]) for one, other in pairs if "patient" not in one]
    means = [(one["mean"], other["mean"]) for one, other in dice if one and other]
    return Replay(
        is_same=bool(pairs) and all(_alike(one, other) for one, other in pairs),
        apart=max((abs(one - other) for one, other in means), default=0.0),
    )


def _pairs(
    told: Mapping[str, Any], here: Mapping[str, Any]
) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """The published means and patients' scores, each beside its own; nothing where one lacks."""
    mine = {tested["name"]: tested for tested in here["test_sets"]}
    for tested in told["test_sets"]:
        other = mine.get(tested["name"], {})
        yield tested, {**dict.fromkeys(Scores._fields), **other}
        rows = {row["patient"]: row for row in other.get("patients", ())}
        for row in tested.get("patients", ()):
            yield row, rows.get(row["patient"], dict.fromkeys(Scores._fields))


def _alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(same(_number(one[name]), _number(other[name])) for name in Scores._fields)


def _number(said: Any) -> float | None:
    """A score, or the mean of one."""
    found: float | None = said["mean"] if isinstance(said, Mapping) else said
    return found
