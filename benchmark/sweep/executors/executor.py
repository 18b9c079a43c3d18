"""What every executor of cells offers, and what it says of each cell."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from benchmark.results.outcome import Outcome
from benchmark.results.spec import RunSpec
from benchmark.results.store import Store
from benchmark.sweep.executors.task import Task


@dataclass(frozen=True, kw_only=True)
class Events:
    """Who hears of a sweep: every stage of a cell, and every cell's end."""

    progress: Callable[[RunSpec, str, int, int], None]
    ended: Callable[[Outcome], None]


class Executor(Protocol):
    """Runs cells somewhere; what they leave in the store is the same everywhere."""

    def run(self, tasks: Iterable[Task], events: Events) -> list[Outcome]:
        """Runs every task; returns how each cell ended, in the order of their ends.

        Args:
            tasks: They are taken one by one, as there is room for them, so that a task may depend
                on how earlier ones ended.
            events: Who hears of them.
        """
        ...


def outcome_in(store: Store, spec: RunSpec, *, died: str = "", trace: str = "") -> Outcome:
    """How a cell ended, by what it left in the store.

    Args:
        store: Where it worked.
        spec: The cell.
        died: Why it left nothing, if it did not; the store has it then.
        trace: The traceback of what it failed by, if it is known.
    """
    if store.result(spec) is not None:
        return Outcome(spec, "done")
    error = store.error(spec)
    if error is None:
        error = died or "The cell ended, and left neither a result nor a reason."
        store.fail(spec, error)
    return Outcome(spec, "failed", error, trace)
