"""What a search may optimise, read from a cell's result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

Direction = Literal["maximize", "minimize"]

OBJECTIVES: Mapping[str, tuple[Direction, Callable[[Mapping[str, Any]], float | None]]] = {
    "dice": ("maximize", lambda result: result["test_sets"][0]["dice"]["mean"]),
    "fid": ("minimize", lambda result: result["fid"]["value"]),
    "distance": ("minimize", lambda result: result["offline_distance"]),
}
"""Which direction is better, and the score, ``None`` where there is none. The main test set of a
search is the *validation* patients."""
