"""The form of a cell's result, and how results of earlier versions are read.

A distance between synthetic patches and held-out patients tells of those patients, so it stands in
the entry of their test set, and stays behind where that does. Earlier versions of the suite wrote
it beside the test sets; ``carried_over`` moves it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

DISTANCES = ("offline_distance", "fid")
"""What a test set's entry says of synthetic patches; the main one's alone does."""


def carried_over(result: Mapping[str, Any]) -> dict[str, Any]:
    """The result with each distance in the entry of its test set.

    The distances of a main test set that is not told of are left out. What is no result at all is
    returned as it is, for its reader to refuse.
    """
    if not any(name in result for name in DISTANCES):
        return dict(result)
    try:
        main = next(iter(result["spec"]["test_data"]))
        moved = {name: result[name] for name in DISTANCES if name in result}
        tests = [{**t, **(moved if t["name"] == main else {})} for t in result["test_sets"]]
    except (TypeError, KeyError, StopIteration):
        return dict(result)
    rest = {name: value for name, value in result.items() if name not in DISTANCES}
    return {**rest, "test_sets": tests}


def with_tests(
    result: Mapping[str, Any], change: Callable[[Mapping[str, Any]], Mapping[str, Any] | None]
) -> dict[str, Any]:
    """Every list of tests in a result, each test changed, or left out where it becomes ``None``.

    They are ``test_sets``, and in ``own`` those beside some own patients, and of those alone.
    """

    def changed(tests: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        return [kept for test in tests if (kept := change(test)) is not None]

    own = [
        {**one, "test_sets": changed(one["test_sets"]), "alone": changed(one["alone"])}
        for one in result.get("own", ())
    ]
    return {"test_sets": changed(result["test_sets"]), **({"own": own} if own else {})}


def offline_distance_in(result: Mapping[str, Any]) -> float | None:
    """The offline distance; ``None`` if nothing synthetic was made, or its test set is not told."""
    return next((test["offline_distance"] for test in _told(result)), None)


def mask_distance_in(result: Mapping[str, Any]) -> float | None:
    """The mask distance; ``None`` as for the offline one, and in results of earlier versions."""
    return next((test.get("mask_distance") for test in _told(result)), None)


def patients_in(test: Mapping[str, Any]) -> int | None:
    """How many patients a test set's means are over; ``None`` where an earlier version hid it."""
    return len(test["patients"]) if "patients" in test else test.get("n")


def fid_in(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """FID's value with what it rests on, or the reason why there is none; empty if not told."""
    return next((test["fid"] for test in _told(result)), {})


def _told(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    tests = result.get("test_sets", ())
    return [test for test in tests if all(name in test for name in DISTANCES)]
