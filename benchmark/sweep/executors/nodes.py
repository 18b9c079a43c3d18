"""Cells on the nodes of a cluster, whichever it is. A launcher sends them there."""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from benchmark.core.errors import BenchError
from benchmark.results.bookends import fraction
from benchmark.results.outcome import Outcome
from benchmark.results.store import Store, write_result
from benchmark.sweep.executors.data_files import DataOnNodes
from benchmark.sweep.executors.errand import Ended, Errand, Heard
from benchmark.sweep.executors.executor import Events, outcome_in
from benchmark.sweep.executors.ground import EVENTS, Shared
from benchmark.sweep.executors.task import Task

LOOK_EACH_S = 0.5
TRIES = 2
"""A cell whose node or job is lost goes elsewhere once."""

PATIENCE_S, PATIENCE_AFTER_LOSS_S = 3.0, 120.0
"""How long a node waits for a lock on its cell: a file server keeps a dead node's for a while."""

SEEN_WITHIN_S = 90.0
"""How long a shared file system may take to show the driver what a node has written."""

STOPPED_WITHIN_S = 40.0


@dataclass(frozen=True)
class Lost:
    """What became of a cell's node or job, in words."""

    reason: str


class Sent(Protocol):
    """An errand on its way."""

    def answer(self) -> Ended | Lost | None:
        """Return how it ended; ``None`` if it has not."""
        ...

    def cancel(self) -> None:
        """End it, wherever it is."""
        ...


class FullError(BenchError):
    """The cluster takes no further errand now."""


class Launcher(Protocol):
    """Sends errands to a cluster."""

    def room(self) -> int:
        """Return how many errands the cluster takes at a time, those on their way included."""
        ...

    def send(self, errand: Errand) -> Sent:
        """Send an errand.

        Raises:
            FullError: If the cluster takes no further one now.
            UsageError: If the cluster refuses it.
        """
        ...

    def wait(self, sent: Sequence[Sent], timeout_s: float) -> None:
        """Return as soon as one may have ended.

        Raises:
            UsageError: If the cluster is gone.
        """
        ...

    def close(self) -> None:
        """Leave the cluster."""
        ...


@dataclass
class Cell:
    """A cell on its way.

    Attributes:
        task: As this machine would run it.
        sent: The errand that was sent last.
        heard: How far it is.
        tries: How many errands were sent.
        outcome: How it ended; ``None`` while it has not.
    """

    task: Task
    sent: Sent
    heard: Heard
    tries: int = 1
    outcome: Outcome | None = None


@dataclass
class OnNodes:
    """Runs every cell on some node of a cluster.

    Attributes:
        launcher: Sends them.
        shared: What this driver shares with the nodes.
        data: Where the nodes find patients' files.
        jobs: The most cells at a time; ``None`` for as many as the cluster takes.
    """

    launcher: Launcher
    shared: Shared
    data: DataOnNodes
    jobs: int | None = None
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _put_off: Task | None = None

    def run(self, tasks: Iterable[Task], events: Events) -> list[Outcome]:
        """Run every task: see ``Executor.run``."""
        waiting, going, outcomes = iter(tasks), list[Cell](), list[Outcome]()
        try:
            self._fill(going, waiting)
            while going:
                running = [cell.sent for cell in going if cell.outcome is None]
                self.launcher.wait(running, LOOK_EACH_S)
                for cell in going:
                    self._look(cell, events)
                ended = [cell for cell in going if _may_be_told(cell, going)]
                for cell in ended:
                    going.remove(cell)
                self._fill(going, waiting)  # the next cells compute while these are logged
                for cell in ended:
                    outcomes.append(_with_fraction(cell))
                    events.ended(outcomes[-1])
            return outcomes
        finally:
            self._stop([cell for cell in going if cell.outcome is None])

    def _fill(self, going: list[Cell], waiting: Iterator[Task]) -> None:
        """Sends cells while there is room."""
        running = sum(cell.outcome is None for cell in going)
        most = self.launcher.room() if self.jobs is None else self.jobs
        for _ in range(most - running):
            task = self._put_off or next(waiting, None)
            self._put_off = None
            if task is None:
                return
            try:
                going.append(self._begun(task))
            except FullError:
                if not going:
                    raise
                self._put_off = task
                return

    def _begun(self, task: Task) -> Cell:
        events = self.shared.ground.folder(EVENTS) / f"{next(self._numbers)}"
        return Cell(task, self._send(task, events, PATIENCE_S), Heard(events))

    def _send(self, task: Task, events: Path, patience_s: float) -> Sent:
        there, files = self.data.at_nodes(task)
        return self.launcher.send(
            Errand(
                task=there,
                ground=self.shared.ground,
                files=files,
                events=events,
                patience_s=patience_s,
                modules=tuple(str(Path(folder).absolute()) for folder in sys.path),
            )
        )

    def _look(self, cell: Cell, events: Events) -> None:
        """Forwards what is new of a cell; one that was lost goes elsewhere, once."""
        if cell.outcome is not None:
            return
        answer = cell.sent.answer()
        for stage, step, total in cell.heard.news():
            events.progress(cell.task.spec, stage, step, total)
        if isinstance(answer, Ended):
            cell.outcome = _outcome(cell.task, answer)
        elif isinstance(answer, Lost) and cell.tries < TRIES:
            with suppress(Exception):  # it may be alive, or its cluster gone
                cell.sent.cancel()
            with suppress(FullError):  # it is asked again
                cell.sent = self._send(cell.task, cell.heard.file, PATIENCE_AFTER_LOSS_S)
                cell.tries += 1
        elif isinstance(answer, Lost):
            cell.outcome = _outcome(cell.task, Ended("failed", answer.reason))

    def _stop(self, running: Sequence[Cell]) -> None:
        """Cancels cells, and waits until no node holds one, so that the next command finds them."""
        for cell in running:
            with suppress(Exception):  # the cluster may be gone
                cell.sent.cancel()
        if not running:
            return
        self.shared.let_go()
        last = time.monotonic() + STOPPED_WITHIN_S
        for cell in running:
            while not _is_free(cell.task) and time.monotonic() < last:
                time.sleep(LOOK_EACH_S)


def _is_free(task: Task) -> bool:
    with Store(task.root).held(task.spec) as mine:
        return mine


def _may_be_told(cell: Cell, going: Sequence[Cell]) -> bool:
    """Whether a cell has ended, and so has the one that its Dice is divided by."""
    reference = cell.task.reference
    running = {other.task.spec.key for other in going if other.outcome is None}
    return cell.outcome is not None and (reference is None or reference.key not in running)


def _with_fraction(cell: Cell) -> Outcome:
    """How a cell ended. Its result gets the fraction of the reference that ended after it."""
    outcome, task = cell.outcome, cell.task
    assert outcome is not None  # noqa: S101
    store = Store(task.root)
    if outcome.state != "done" or task.reference is None:
        return outcome
    with store.held(task.spec, wait=True):
        result, reference = store.result(task.spec), store.result(task.reference)
        if result is not None and result.fraction_of_real is None:
            found = fraction(result, reference)
            if found is not None:
                write_result(store.folder(task.spec), result.but(fraction_of_real=found))
    return outcome


def _outcome(task: Task, answer: Ended) -> Outcome:
    """How a cell ended, by what its node says and what it left in the store."""
    if answer.state == "busy":
        return Outcome(task.spec, "busy")
    store = Store(task.root)
    if answer.state == "done":
        _see(store, task)
    elif store.result(task.spec) is None and store.error(task.spec) != answer.error:
        with suppress(OSError):  # a full disk
            store.fail(task.spec, answer.error)
    return outcome_in(store, task.spec, died=answer.error)


def _see(store: Store, task: Task) -> None:
    """Waits for a result that a node has written; listing the folder makes clients look anew."""
    last = time.monotonic() + SEEN_WITHIN_S
    while time.monotonic() < last:
        with suppress(OSError):
            os.listdir(store.folder(task.spec))  # noqa: PTH208  (a listing, whatever is in it)
        if store.result(task.spec) is not None:
            return
        time.sleep(LOOK_EACH_S)
