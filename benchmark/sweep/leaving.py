"""What of a result may leave the place where it was computed: for MLflow, and for publishing.

Unless the data are phantoms, what was seen of single patients stays behind: their scores, who was
left out and why (with names and paths), and the training curves, which no noise protects.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def without_patients(result: Mapping[str, Any]) -> dict[str, Any]:
    """The result as it may leave."""
    if not result["private_data"]:
        return dict(result)
    tests = [{n: v for n, v in t.items() if n != "patients"} for t in result["test_sets"]]
    return {**result, "test_sets": tests, "skipped": []}


def curves_may_leave(result: Mapping[str, Any]) -> bool:
    """Whether the training curves may leave too."""
    return not result["private_data"]
