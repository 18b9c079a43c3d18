"""Cells in separate processes, so that a crash or a lack of memory affects one cell alone."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess

from benchmark.results.outcome import Outcome
from benchmark.results.store import Store
from benchmark.sweep.executors.executor import Events, outcome_in
from benchmark.sweep.executors.task import Task, work

PRELOAD = ["torch", "torch._dynamo", "monai.networks.nets.dynunet", "benchmark.sweep.run_cell"]
"""Modules that take seconds to import, loaded once for all cells. The first optimiser imports
`_dynamo`."""


@dataclass(frozen=True)
class Processes:
    """Runs every cell in a process of its own.

    A kill or an interrupt loses the running cells alone; finished ones are in the store.

    Attributes:
        jobs: The most cells at a time; 1 or more.
    """

    jobs: int

    def run(self, tasks: Iterable[Task], events: Events) -> list[Outcome]:
        """Run every task: see ``Executor.run``."""
        waiting = iter(tasks)
        running: dict[Connection, tuple[ForkServerProcess, Task]] = {}
        outcomes = []
        try:
            while True:
                while len(running) < self.jobs and (task := next(waiting, None)):
                    process, receiver = _start(task)
                    running[receiver] = (process, task)
                if not running:
                    break
                for ready in [r for r in wait(list(running)) if isinstance(r, Connection)]:
                    process, task = running[ready]
                    if _hear(ready, task, events):
                        continue
                    process.join()
                    del running[ready]
                    outcomes.append(_outcome(process, task))
                    events.ended(outcomes[-1])
        finally:
            for process, _ in running.values():
                process.kill()
                process.join()
        return outcomes


def _start(task: Task) -> tuple[ForkServerProcess, Connection]:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(task, sender))
    process.start()
    sender.close()
    return process, receiver


def _hear(receiver: Connection, task: Task, events: Events) -> bool:
    """Forwards one event; False once the worker has gone."""
    try:
        stage, step, total = receiver.recv()
    except EOFError:
        return False
    events.progress(task.spec, stage, step, total)
    return True


def _outcome(process: ForkServerProcess, task: Task) -> Outcome:
    store = Store(task.root)
    found = outcome_in(store, task.spec)
    if found is not None:
        return found
    if process.exitcode == 0:
        return Outcome(task.spec, "busy")
    reason = f"The cell's process died (exit code {process.exitcode})."
    store.fail(task.spec, reason)
    return Outcome(task.spec, "failed", reason)
