"""What a search may optimise, read from a cell's result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from benchmark.sweep.result_form import fid_in, offline_distance_in

Direction = Literal["maximize", "minimize"]


class Objective(NamedTuple):
    """Which direction is better, what a picture calls it, and the score, ``None`` if there is none.

    The main test set of a search is the *validation* patients.
    """

    direction: Direction
    title: str
    score: Callable[[Mapping[str, Any]], float | None]


OBJECTIVES: Mapping[str, Objective] = {
    "dice": Objective(
        "maximize", "validation Dice", lambda result: result["test_sets"][0]["dice"]["mean"]
    ),
    "fid": Objective("minimize", "FID", lambda result: fid_in(result).get("value")),
    "distance": Objective("minimize", "offline distance", offline_distance_in),
}
