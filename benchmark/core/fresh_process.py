"""Work in a process of its own, which knows nothing of what this one keeps.

A fork server forks it: a clean process that has loaded some modules and run nothing else.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from typing import TypeVar

MAIN: tuple[str, ...] = ("__file__", "__spec__")
"""What says where a process's main module comes from."""

Answer = TypeVar("Answer")


class ProcessEndedError(RuntimeError):
    """A process ended before it had answered."""


def forks(preload: Sequence[str]) -> ForkServerContext:
    """Return what starts fresh processes.

    Args:
        preload: Modules that take seconds to import. The first call decides: they are loaded once,
            when the fork server starts.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*preload])
    return context


def in_fresh_process(
    work: Callable[..., Answer], *told: object, preload: Sequence[str] = ()
) -> Answer:
    """Run a function in a fresh process, and wait for what it returns.

    Args:
        work: A function of a module, which the process imports.
        told: What it is called with; all of it can be pickled.
        preload: As for ``forks``.

    Returns:
        What it returned.

    Raises:
        ProcessEndedError: If the process ended without an answer.
    """
    context = forks(preload)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(sender, dict(os.environ), work, told))
    try:
        with no_main_file():
            process.start()
        sender.close()
        found: Answer = receiver.recv()
    except EOFError:
        process.join()
        raise ProcessEndedError(f"its process ended (exit code {process.exitcode})") from None
    except BaseException:
        if process.pid is not None:
            process.kill()
        raise
    finally:
        receiver.close()
        if process.pid is not None:
            process.join()
    return found


def _answer(
    sender: Connection,
    environment: Mapping[str, str],
    work: Callable[..., object],
    told: Sequence[object],
) -> None:
    """The fork server's environment is that of when it started."""
    os.environ.clear()
    os.environ.update(environment)
    sender.send(work(*told))
    sender.close()


@contextmanager
def no_main_file() -> Iterator[None]:
    """Keep a new process from running its parent's main file anew.

    It would be the command's, or that of a worker of Ray, which takes a second to import.
    """
    names = vars(sys.modules["__main__"])
    kept = {name: names[name] for name in MAIN if name in names}
    names.update(dict.fromkeys(kept))
    try:
        yield
    finally:
        names.update(kept)
