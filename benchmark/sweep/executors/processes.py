"""Cells in separate processes, so that a crash or a lack of memory affects one cell alone."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from benchmark.core.fresh_process import forks, no_main_file
from benchmark.results.outcome import Outcome
from benchmark.results.store import Store
from benchmark.sweep.executors.executor import Events, outcome_in
from benchmark.sweep.executors.task import BUSY, Failure, Task, work

PRELOAD = ["torch", "torch._dynamo", "monai.networks.nets.dynunet", "benchmark.sweep.run_cell"]
"""Modules that take seconds to import, loaded once for all cells. The first optimiser imports
`_dynamo`."""

LOOK_EACH_S = 0.5
"""How often limits are looked at."""

GIB = 1 << 30


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
        waiting, running, outcomes = iter(tasks), dict[Connection, Running](), list[Outcome]()
        try:
            self._fill(running, waiting)
            while running:
                heard = wait(list(running), LOOK_EACH_S)
                gone = [r for r, c in running.items() if r in heard and not c.hears(events)]
                ended = [running.pop(receiver).ended() for receiver in gone]
                self._fill(running, waiting)  # the next cells compute while these are logged
                for outcome in ended:
                    outcomes.append(outcome)
                    events.ended(outcome)
                for cell in running.values():
                    cell.stop_beyond_limits()
        finally:
            for cell in running.values():
                cell.process.kill()
                cell.process.join()
        return outcomes

    def _fill(self, running: dict[Connection, Running], waiting: Iterator[Task]) -> None:
        """Starts cells while there is room."""
        while len(running) < self.jobs and (task := next(waiting, None)):
            cell = _start(task)
            running[cell.receiver] = cell


@dataclass
class Running:
    """A cell in its process.

    Attributes:
        task: The cell.
        process: Its own.
        receiver: Hears of it, and that it ended.
        is_busy: Whether another process computes the cell.
        stopped: The limit that it went over; empty if none.
        reason: Why it failed, as it says itself; empty if it has not.
    """

    task: Task
    process: ForkServerProcess
    receiver: Connection
    is_busy: bool = False
    stopped: str = ""
    reason: str = ""
    _begun: float = field(default_factory=time.monotonic)

    def hears(self, events: Events) -> bool:
        """Forwards one event; False once the process has gone."""
        try:
            heard = self.receiver.recv()
        except (EOFError, OSError):
            return False
        if heard is BUSY:
            self.is_busy = True
        elif isinstance(heard, Failure):
            self.reason = heard.reason
        else:
            events.progress(self.task.spec, *heard)
        return True

    def stop_beyond_limits(self) -> None:
        """Ends the process if it took too long, or too much memory."""
        machine = self.task.machine
        most_s, most_gib = machine.cell_timeout_s, machine.cell_memory_gib
        if most_s is not None and time.monotonic() - self._begun > most_s:
            self.stopped = f"took longer than --cell-timeout {most_s:g}"
        elif most_gib is not None and _memory_of(self.process.pid) > most_gib * GIB:
            self.stopped = f"held more memory than --cell-memory {most_gib:g}"
        if self.stopped:
            self.process.kill()

    def ended(self) -> Outcome:
        """How the cell ended."""
        self.process.join()
        if self.is_busy:
            return Outcome(self.task.spec, "busy")
        how = self.stopped or f"ended before its cell was done (exit code {self.process.exitcode})"
        store = Store(self.task.root)
        died = self.reason or f"The cell's process {how}."
        return outcome_in(store, self.task.spec, died=died)


def _start(task: Task) -> Running:
    context = forks(PRELOAD)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(task, sender))
    with no_main_file():
        process.start()
    sender.close()
    return Running(task, process, receiver)


def _memory_of(process: int | None) -> int:
    """What a process holds, in bytes; 0 where that cannot be read."""
    try:
        resident = Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return 0
    return int(resident) * os.sysconf("SC_PAGE_SIZE")
