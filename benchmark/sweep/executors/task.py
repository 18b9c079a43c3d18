"""The execution of one cell, from its task to its files, in whichever process."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path

from benchmark.core.budget import Guarantee
from benchmark.core.directory import kept_directory
from benchmark.core.errors import BenchError, PlugInError, UsageError
from benchmark.results.bookends import fraction
from benchmark.results.result import Result
from benchmark.results.spec import RunSpec
from benchmark.results.store import Store, forget, write_result
from benchmark.sweep.inputs import Inputs
from benchmark.sweep.judging.testing import Listener
from benchmark.sweep.machine import Bench, Machine

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEEP_BELOW = 1 << 30
CPU = "cpu"


class Busy(Enum):
    """Said of a cell that another process computes."""

    BUSY = "busy"


BUSY = Busy.BUSY


@dataclass(frozen=True)
class Failure:
    """Why a cell failed, as its process says it."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Task:
    """Everything that a worker needs to run a cell.

    Attributes:
        spec: The cell.
        guarantee: Its plan.
        reference: The upper bookend's cell, by whose Dice the cell's Dice is divided.
        inputs: The sweep's data.
        root: The store's folder.
        machine: The machine with its folders and devices.
    """

    spec: RunSpec
    guarantee: Guarantee
    reference: RunSpec | None
    inputs: Inputs
    root: Path
    machine: Machine


def work(task: Task, events: Connection) -> None:
    """Attempt the cell in this worker process, and send its progress to the parent.

    Args:
        task: The cell.
        events: Gets stage, step and total.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()

    def listener(stage: str, step: int, total: int) -> None:
        events.send((stage, step, total))

    error = attempt(task, listener)
    if isinstance(error, BaseException):
        events.send(Failure(reason_of(error)))
    elif error is BUSY:
        events.send(BUSY)


def attempt(task: Task, listener: Listener) -> BaseException | Busy | None:
    """Runs the cell, unless it is done or held by another process.

    Returns:
        What it failed by, which the store has as well; ``BUSY`` if another process holds it.
    """
    keep_memory()
    store = Store(task.root)
    with store.held(task.spec) as mine:
        if not mine:
            return BUSY
        if store.result(task.spec) is not None:
            return None
        folder = store.begin(task.spec)
        try:
            with kept_directory():
                result = _run(task, folder, listener)
            write_result(folder, result.but(fraction_of_real=_fraction(task, store, result)))
            forget(folder)
        except (Exception, SystemExit) as error:
            with suppress(OSError):  # a full disk; whoever started the cell is told too
                store.fail(task.spec, reason_of(error))
            return error
    return None


def reason_of(error: BaseException) -> str:
    """Why a cell failed: one sentence for an error of ours that says something, or a traceback."""
    known = isinstance(error, BenchError) and not isinstance(error, PlugInError)
    if known and str(error).strip():
        return str(error)
    return "".join(traceback.format_exception(error))


def check_device(name: str) -> None:
    """Refuse a device that torch does not know or does not find.

    Args:
        name: The device's name, such as ``cuda``.

    Raises:
        UsageError: With what to ask for instead.
    """
    import torch

    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            f"torch cannot compute on {name!r} here; ask for --device cpu or another."
        ) from error


def _run(task: Task, folder: Path, listener: Listener) -> Result:
    from benchmark.privacy.arithmetic import exact_arithmetic
    from benchmark.sweep.run_cell import run_cell

    bench = Bench(folder=folder, machine=task.machine)
    if task.machine.device != CPU:
        check_device(task.machine.device)  # a node may have none
    with one_thread(), exact_arithmetic():
        return run_cell(task.spec, task.guarantee, task.inputs, bench, listener)


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit torch to one thread, because the number of threads changes the last bits of results.

    The earlier number is restored at the end.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _fraction(task: Task, store: Store, result: Result) -> dict[str, float] | None:
    """Dice as a fraction of the upper bookend's, by test set, once that one is done."""
    if task.reference is None:
        return None
    with store.held(task.reference, wait=True):
        reference = store.result(task.reference)
    return fraction(result, reference)


def _die_with_parent() -> None:
    """A sweep that is killed takes its cells along, so that the next one finds them free."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def keep_memory() -> None:
    """Keep freed memory in this process. Returning it costs a third of a training step."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_MMAP_THRESHOLD, _KEEP_BELOW)
        libc.mallopt(_M_TRIM_THRESHOLD, _KEEP_BELOW)
