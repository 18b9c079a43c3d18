"""The contract of every executor of cells, and the events that it reports."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from benchmark.results.outcome import Outcome
from benchmark.results.spec import RunSpec
from benchmark.results.store import Store
from benchmark.sweep.executors.task import Task


@dataclass(frozen=True, kw_only=True)
class Events:
    """Callbacks for what happens to the cells of a sweep.

    Attributes:
        progress: Called with a cell, its stage, what is done of it and how much there is.
        ended: Called with the outcome of each cell.
    """

    progress: Callable[[RunSpec, str, int, int], None]
    ended: Callable[[Outcome], None]


class Executor(Protocol):
    """Runs cells. The files that they leave in the store do not depend on the executor."""

    def run(self, tasks: Iterable[Task], events: Events) -> list[Outcome]:
        """Run every task.

        Args:
            tasks: They are taken one by one, whenever there is a free worker. So a task may depend
                on how earlier ones ended.
            events: Called for every stage and every end of a cell.

        Returns:
            How each cell ended, in the order of their ends.
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
        with suppress(OSError):  # a full disk
            store.fail(spec, error)
    return Outcome(spec, "failed", error, trace)
