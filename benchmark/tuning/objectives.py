"""The objectives that a search may optimise, read from a cell's result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from benchmark.results.result import Result

Direction = Literal["maximize", "minimize"]


class Objective(NamedTuple):
    """An objective of a search. The main test set of its cells is the *validation* patients.

    Attributes:
        direction: Whether more or less is better.
        title: Its name in pictures.
        score: Reads it from a result; ``None`` if the result has no such score.
    """

    direction: Direction
    title: str
    score: Callable[[Result], float | None]


OBJECTIVES: Mapping[str, Objective] = {
    "dice": Objective("maximize", "validation Dice", lambda result: result.test_sets[0].dice.mean),
    "fid": Objective("minimize", "FID", lambda result: result.fid.value if result.fid else None),
    "distance": Objective("minimize", "offline distance", lambda result: result.offline_distance),
}
