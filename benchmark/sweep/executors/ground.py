"""The folders that a sweep shares with the nodes of a cluster, and the proof that they see them.

A node may have a folder of the same name that is another one. A fit there would be charged to a
ledger that nobody reads. So the driver, which is the process of the command, writes a random token
into a folder of its own in the store and in the state folder, and holds a lock beside it. Before a
node looks at any patient it must find both tokens by their content, and find the locks taken. That
shows that locks hold from node to node: those by ``flock``, on which the store rests, and those by
``fcntl``, on which the ledger's database does. A file system may have one kind without the other.

The locks end with the driver, however it ends. A node that finds one free stops its cell.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from hmac import compare_digest
from pathlib import Path
from typing import IO

from benchmark.core.errors import UsageError
from benchmark.core.files import locked, write_text

NODES = ".nodes"
"""In the store and in the state folder: one folder for each driver."""

TOKEN, LOCK = "token", "driver.lock"
EVENTS, DATA, CACHE, JOBS = "events", "data", "cache", "jobs"
WATCH_S, MISSES = 2.0, 3
"""How often a node looks whether the driver is there, and how often it must miss it in a row."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A folder that the driver and the nodes share.

    Attributes:
        folder: The folder, as a user named it.
        name: What it is called in messages.
        remedy: How to move it to a shared file system.
        mine: The driver's own folder in it.
        token: What the driver wrote there.
    """

    folder: Path
    name: str
    remedy: str
    mine: Path
    token: str

    def fault(self) -> str:
        """Return why this node must not use the folder, in one sentence; empty if it may."""
        try:
            found = (self.mine / TOKEN).read_text(encoding="ascii", errors="replace")
        except OSError:
            found = ""
        if not compare_digest(found.encode(), self.token.encode()):
            return (
                f"Node {socket.gethostname()} does not see the {self.name} {self.folder} of this "
                f"sweep, so nothing was fitted there; put it on a file system that all nodes have "
                f"under this path ({self.remedy})."
            )
        if not self.is_held():
            return (
                f"Node {socket.gethostname()} does not see the lock that the sweep holds in the "
                f"{self.name} {self.folder}, so nothing was fitted there; mount its file system "
                "with file locks that hold from node to node (flock and fcntl)."
            )
        return ""

    def is_held(self) -> bool:
        """Tell whether the driver holds its locks of both kinds, as far as this node can see."""
        return all(self._is_refused(take) for take in (_share_file, _share_record))

    def _is_refused(self, take: Callable[[IO[bytes]], object]) -> bool:
        try:
            with (self.mine / LOCK).open("rb") as lock:
                take(lock)
        except (BlockingIOError, PermissionError):
            return True
        except OSError:
            return False
        return False


def _share_file(lock: IO[bytes]) -> None:
    fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)


def _share_record(lock: IO[bytes]) -> None:
    _lock_record(lock, fcntl.F_RDLCK)


def _lock_record(lock: IO[bytes], kind: int) -> None:
    """Locks a file as databases do, until it is closed; by this opening of it, not by process."""
    fcntl.fcntl(lock, fcntl.F_OFD_SETLK, struct.pack("hhqqi", kind, os.SEEK_SET, 0, 0, 0))


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What a driver shares with nodes.

    Attributes:
        store: Its place in the store.
        state: Its place in the state folder.
    """

    store: Place
    state: Place

    def folder(self, name: str) -> Path:
        """Return a folder of the driver's in the store; it is private and removed at the end."""
        folder = self.store.mine / name
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder

    def fault(self) -> str:
        """Return why this node must fit nothing, in one sentence; empty if it may."""
        return self.store.fault() or self.state.fault()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """End this process, and its cells with it, if the driver goes while the block runs."""
        over = threading.Event()

        def watch() -> None:
            missed = 0
            while not over.wait(WATCH_S):
                missed = 0 if self.store.is_held() and self.state.is_held() else missed + 1
                if missed == MISSES:
                    os._exit(1)

        threading.Thread(target=watch, daemon=True).start()
        try:
            yield
        finally:
            over.set()


class Shared:
    """The driver's side of a ground.

    Args:
        out: The store's folder.
        state: The state folder.

    Attributes:
        ground: What nodes are told.
    """

    def __init__(self, out: Path, state: Path) -> None:
        name = secrets.token_hex(8)
        self._locks, self._out, self._state = ExitStack(), out.absolute(), state.absolute()
        self.ground = Ground(
            store=self._begun(self._out, name, "store", "--out"),
            state=self._begun(self._state, name, "state folder", "ANGIOBENCH_STATE"),
        )

    def let_go(self) -> None:
        """Release the locks, by which nodes know that they are to stop."""
        self._locks.close()

    def close(self) -> None:
        """Remove all that was shared."""
        self.let_go()
        for place in (self.ground.store, self.ground.state):
            _remove(place.mine)
            with suppress(OSError):  # another driver's is there
                place.mine.parent.rmdir()

    def _begun(self, folder: Path, name: str, called: str, remedy: str) -> Place:
        sweep_out(folder)
        mine, token = folder / NODES / name, secrets.token_hex(32)
        mine.mkdir(parents=True, mode=0o700)
        mine.chmod(0o700)
        try:
            self._locks.enter_context(locked(mine / LOCK))
            _lock_record(self._locks.enter_context((mine / LOCK).open("r+b")), fcntl.F_WRLCK)
        except OSError as error:
            raise UsageError(
                f"{folder}: files cannot be locked there ({error.strerror}), and nodes share the "
                f"{called} by locks (flock and fcntl); name another folder ({remedy})."
            ) from error
        write_text(mine / TOKEN, token)
        return Place(folder=folder, name=called, remedy=remedy, mine=mine, token=token)


def sweep_out(folder: Path) -> None:
    """Remove what drivers that were killed have left in a store or a state folder.

    Args:
        folder: The store or the state folder.
    """
    for left in (folder / NODES).glob("*"):
        if _names(left) <= {LOCK}:
            continue  # one that begins just now
        with locked(left / LOCK) as mine:
            if mine:
                _remove(left)


def _remove(mine: Path) -> None:
    """Removes a driver's folder, patients' files first: what is left is found by its token."""
    for name in _names(mine) - {TOKEN, LOCK}:
        shutil.rmtree(mine / name, ignore_errors=True)
        with suppress(OSError):  # it is a file, or cannot be removed yet
            (mine / name).unlink(missing_ok=True)
    if _names(mine) <= {TOKEN, LOCK}:
        shutil.rmtree(mine, ignore_errors=True)


def _names(folder: Path) -> set[str]:
    """What is in a folder; nothing where another driver has just removed it."""
    try:
        return {one.name for one in folder.iterdir()}
    except FileNotFoundError:
        return set()
