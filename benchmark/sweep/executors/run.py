"""The choice of an executor by the number of jobs."""

from __future__ import annotations

from collections.abc import Iterable

from benchmark.results.outcome import Outcome
from benchmark.sweep.executors.executor import Events, Executor
from benchmark.sweep.executors.here import Here
from benchmark.sweep.executors.processes import Processes
from benchmark.sweep.executors.task import Task


def executor_for(jobs: int) -> Executor:
    """Return the executor for a number of jobs.

    Args:
        jobs: The most processes at a time; 0 for this process.
    """
    return Processes(jobs) if jobs else Here()


def run_tasks(tasks: Iterable[Task], *, jobs: int, events: Events) -> list[Outcome]:
    """Run every task.

    Args:
        tasks: See ``Executor.run``.
        jobs: The most processes at a time; 0 for this process.
        events: Called for every stage and every end of a cell.

    Returns:
        How each cell ended, in the order of their ends.
    """
    return executor_for(jobs).run(tasks, events)
