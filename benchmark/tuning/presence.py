"""Who else works on a study's cells here: found out by locks, which a dead worker lets go."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DOOR, ROOM = ".entering", ".present"


@contextmanager
def entering(root: Path) -> Iterator[bool]:
    """Become one of the workers of a folder, for as long as the process lives.

    Workers enter one by one: nobody else does while the block runs.

    Args:
        root: The folder; it is made if it is not there.

    Yields:
        Whether no other worker is present, so that whatever is begun here is nobody's.
    """
    root.mkdir(parents=True, exist_ok=True)
    with (root / DOOR).open("w") as door:
        fcntl.flock(door, fcntl.LOCK_EX)
        room = (root / ROOM).open("w+")  # a file server shares a lock on what can be read
        try:
            fcntl.flock(room, fcntl.LOCK_EX | fcntl.LOCK_NB)
            alone = True
        except BlockingIOError:
            alone = False
        _PRESENT.append(room)
        try:
            yield alone
        finally:
            fcntl.flock(room, fcntl.LOCK_SH)


_PRESENT: list[object] = []
"""Open files whose locks say that this process is there."""
