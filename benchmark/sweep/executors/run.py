"""Runs the cells of a sweep where they are asked to run."""

from __future__ import annotations

from collections.abc import Iterable

from benchmark.results.outcome import Outcome
from benchmark.sweep.executors.executor import Events, Executor
from benchmark.sweep.executors.here import Here
from benchmark.sweep.executors.processes import Processes
from benchmark.sweep.executors.task import Task


def executor_for(jobs: int) -> Executor:
    """So many processes at a time; with 0, this very process."""
    return Processes(jobs) if jobs else Here()


def run_tasks(tasks: Iterable[Task], *, jobs: int, events: Events) -> list[Outcome]:
    """Runs every task where ``jobs`` says: see ``Executor.run``."""
    return executor_for(jobs).run(tasks, events)
