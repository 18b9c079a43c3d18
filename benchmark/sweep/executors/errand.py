"""What a node of a cluster is sent to do: one cell, in a process of its own.

The node checks first that it sees the driver's folders and the patients' files. Then it runs the
cell exactly as ``--jobs 1`` does: a process apart, its limits, the same files in the store. How far
the cell is goes into a file of the driver's in the store, line by line.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from benchmark.results.spec import RunSpec
from benchmark.sweep.executors.data_files import DataFile, fault_of
from benchmark.sweep.executors.executor import Events
from benchmark.sweep.executors.ground import Ground
from benchmark.sweep.executors.processes import Processes
from benchmark.sweep.executors.task import Task

SAY_EACH_S = 1.0
"""How often a node writes how far a stage is; a new stage is always written."""

ASK_EACH_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Errand:
    """A cell as it is sent to a node.

    Attributes:
        task: The cell, with paths as the node has them.
        ground: What the driver shares with nodes.
        files: What the cell reads, and how each file must be.
        events: The file in which the node writes how far the cell is.
        patience_s: How long to wait for another process that holds the cell.
        modules: Folders in which the driver finds modules, plug-ins among them.
    """

    task: Task
    ground: Ground
    files: tuple[DataFile, ...]
    events: Path
    patience_s: float
    modules: tuple[str, ...] = ()


class Ended(NamedTuple):
    """How an errand ended.

    Attributes:
        state: As of an ``Outcome``.
        error: Why it failed; empty if it did not.
    """

    state: Literal["done", "failed", "busy"]
    error: str = ""


def run_errand(errand: Errand) -> Ended:
    """Run a cell on this node, unless the node does not see what it must.

    Args:
        errand: The cell.
    """
    fault = errand.ground.fault() or fault_of(errand.files)
    if fault:
        return Ended("failed", fault)
    _set_folders(errand)
    with errand.ground.watched():
        return _run(errand)


def _run(errand: Errand) -> Ended:
    events = Events(progress=Said(errand.events), ended=lambda outcome: None)
    last = time.monotonic() + errand.patience_s
    while True:
        (outcome,) = Processes(1).run([errand.task], events)
        if outcome.state == "busy" and time.monotonic() < last:
            time.sleep(ASK_EACH_S)
            continue
        return Ended("done" if outcome.state == "done" else _other(outcome.state), outcome.error)


def _other(state: str) -> Literal["failed", "busy"]:
    return "busy" if state == "busy" else "failed"


def _set_folders(errand: Errand) -> None:
    """The process of the cell finds the driver's folders and modules, whatever this node's are."""
    os.environ["ANGIOBENCH_CACHE"] = str(errand.task.machine.cache)
    os.environ["ANGIOBENCH_STATE"] = str(errand.task.machine.state)
    sys.path += [folder for folder in errand.modules if folder not in sys.path]
    os.environ["PYTHONPATH"] = os.pathsep.join(folder for folder in sys.path if folder)


@dataclass
class Said:
    """Writes on a node how far its cell is.

    Attributes:
        file: The file, to which a line is added each time.
    """

    file: Path
    _stage: str = ""
    _last: float = field(default=-SAY_EACH_S)

    def __call__(self, spec: RunSpec, stage: str, step: int, total: int) -> None:
        """Write a line, unless the last one of this stage is a moment ago."""
        now = time.monotonic()
        if stage == self._stage and now - self._last < SAY_EACH_S and step < total:
            return
        self._stage, self._last = stage, now
        with self.file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps([stage, step, total]) + "\n")


@dataclass
class Heard:
    """Reads in the driver how far a cell is.

    Attributes:
        file: What a node writes.
    """

    file: Path
    _read: int = 0

    def news(self) -> list[tuple[str, int, int]]:
        """Return what was written since the last call: stage, step and total."""
        try:
            with self.file.open("rb") as lines:
                lines.seek(self._read)
                whole = lines.read().rpartition(b"\n")[0]
        except FileNotFoundError:
            return []
        self._read += len(whole) + 1 if whole else 0
        return [(str(s), int(n), int(t)) for s, n, t in map(json.loads, whole.splitlines())]
