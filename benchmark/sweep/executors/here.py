"""Cells in this process, one after the other, so that a debugger can step into them.

A crash of a cell, or a lack of memory, ends the whole sweep. A result's ``peak_mib`` is that of the
whole process.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable

from benchmark.results.outcome import Outcome
from benchmark.results.store import Store
from benchmark.sweep.executors.executor import Events, outcome_in
from benchmark.sweep.executors.task import BUSY, Task, attempt, reason_of


class Here:
    """Runs every cell in this process; an interrupt loses the running one alone."""

    def run(self, tasks: Iterable[Task], events: Events) -> list[Outcome]:
        """Run every task: see ``Executor.run``."""
        outcomes = []
        for task in tasks:
            outcomes.append(_ran(task, events))
            events.ended(outcomes[-1])
        return outcomes


def _ran(task: Task, events: Events) -> Outcome:
    def listener(stage: str, step: int, total: int) -> None:
        events.progress(task.spec, stage, step, total)

    error = attempt(task, listener)
    if error is BUSY:
        return Outcome(task.spec, "busy")
    trace = "".join(traceback.format_exception(error)) if isinstance(error, BaseException) else ""
    died = reason_of(error) if isinstance(error, BaseException) else ""
    return outcome_in(Store(task.root), task.spec, died=died, trace=trace)
