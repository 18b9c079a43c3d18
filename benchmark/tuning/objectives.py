"""What a search may optimise, read from a cell's result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from benchmark.results.result import Result

Direction = Literal["maximize", "minimize"]


class Objective(NamedTuple):
    """Which direction is better, what a picture calls it, and the score, ``None`` if there is none.

    The main test set of a search is the *validation* patients.
    """

    direction: Direction
    title: str
    score: Callable[[Result], float | None]


OBJECTIVES: Mapping[str, Objective] = {
    "dice": Objective("maximize", "validation Dice", lambda result: result.test_sets[0].dice.mean),
    "fid": Objective("minimize", "FID", lambda result: result.fid.value if result.fid else None),
    "distance": Objective("minimize", "offline distance", lambda result: result.offline_distance),
}
