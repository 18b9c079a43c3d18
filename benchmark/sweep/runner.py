"""Runs the cells of a sweep, some at a time, and says how each ended."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess

from benchmark.results.outcome import Outcome
from benchmark.results.spec import RunSpec
from benchmark.results.store import Store
from benchmark.sweep.worker import Task, work

PRELOAD = ["torch", "torch._dynamo", "monai.networks.nets.dynunet", "benchmark.sweep.cell"]
"""What takes seconds to import, done once for all cells; the first optimiser takes `_dynamo`."""


@dataclass(frozen=True, kw_only=True)
class Events:
    """Who hears of a sweep: every stage of a cell, and every cell's end."""

    progress: Callable[[RunSpec, str, int, int], None]
    ended: Callable[[Outcome], None]


def run_tasks(tasks: Iterable[Task], *, jobs: int, events: Events) -> list[Outcome]:
    """Runs every task in a process of its own, ``jobs`` at a time, in order.

    Tasks are taken one by one, as there is room for them, so that they may depend on how earlier
    ones ended. A kill or an interrupt loses the running cells alone; finished ones are in the
    store.
    """
    waiting = iter(tasks)
    running: dict[Connection, tuple[ForkServerProcess, Task]] = {}
    outcomes = []
    try:
        while True:
            while len(running) < jobs and (task := next(waiting, None)):
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
    if store.result(task.spec) is not None:
        return Outcome(task.spec, "done")
    error = store.error(task.spec)
    if error is not None:
        return Outcome(task.spec, "failed", error)
    if process.exitcode == 0:
        return Outcome(task.spec, "busy")
    reason = f"The cell's process died (exit code {process.exitcode})."
    store.fail(task.spec, reason)
    return Outcome(task.spec, "failed", reason)
