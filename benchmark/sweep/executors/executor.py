"""The contract of every executor of cells, and the events that it reports."""

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


def outcome_in(store: Store, spec: RunSpec, *, trace: str = "") -> Outcome | None:
    """Read from the store how a cell ended.

    Args:
        store: The store.
        spec: The cell.
        trace: The traceback of its failure, if it is known.

    Returns:
        The outcome; ``None`` if the cell left neither a result nor an error.
    """
    if store.result(spec) is not None:
        return Outcome(spec, "done")
    error = store.error(spec)
    return None if error is None else Outcome(spec, "failed", error, trace)
