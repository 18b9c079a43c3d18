"""Small files that are written whole or not at all, and folders that one process locks."""

from __future__ import annotations

import fcntl
import json
import math
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmark.core.parsers import json_in

LOCK = ".lock"


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        path: Of the file.

    Returns:
        The object; an empty one if the file is missing, damaged or holds something else.
    """
    try:
        found = json_in(path)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_json(path: Path, value: Any) -> None:
    """Write JSON durably: a reader sees the old file or the new one, never a part.

    Args:
        path: Of the file; its folder exists.
        value: What ``plain`` can copy; infinities become the text ``inf``.
    """
    write_text(path, json.dumps(plain(value), indent=1, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a file by a temporary neighbour that is synced and then put in its place.

    Args:
        path: Of the file; its folder exists.
        text: Its content; what UTF-8 cannot hold is written as escapes.

    Raises:
        OSError: Naming the file, for a full disk, say; nothing is left beside it then.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(text.encode("utf-8", "backslashreplace"))
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Put a new file in the place of another when the block ends well, and else leave nothing.

    Args:
        path: Of the file; its folder exists.

    Yields:
        A neighbour to write, and to sync before the block ends.

    Raises:
        OSError: Naming ``path``.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        yield temporary
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        if error.errno is None:
            raise
        raise type(error)(error.errno, error.strerror, str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)  # an interrupt, or a full disk


def sync_folder(folder: Path) -> None:
    """Sync a folder to the disk. Without it, a crash may bring a replaced file back.

    Args:
        folder: The folder whose files were made, replaced or removed.
    """
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def sync_file(path: Path) -> None:
    """Sync the content of a file that somebody else wrote to the disk.

    Args:
        path: Of the file.
    """
    with path.open("rb") as opened:
        os.fsync(opened.fileno())


@contextmanager
def held(folder: Path, *, wait: bool = False) -> Iterator[bool]:
    """Lock a folder with ``flock``. The lock ends with the process, even if it is killed.

    Args:
        folder: The folder; it is made if it is missing.
        wait: Whether to wait for another process that holds the lock.

    Yields:
        True if the lock is held; False if another process holds it and ``wait`` is False.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / LOCK, wait=wait) as mine:
        yield mine


@contextmanager
def locked(file: Path, *, wait: bool = False) -> Iterator[bool]:
    """Hold a file by ``flock``, which a dead process lets go.

    Args:
        file: It is made if it is not there, and so is its folder.
        wait: Whether to wait for another process that holds it.

    Yields:
        True if it is held; False if another process holds it and ``wait`` is False.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True


def plain(value: Any, *, exact: bool = False) -> Any:
    """Copy a value into what JSON can hold.

    Args:
        value: Mappings and sequences of numbers, texts, truth values and ``None``.
        exact: Whether whole floats become integers, so that 2 and 2.0 are written alike.

    Returns:
        The copy; numbers that are not finite become the texts ``inf``, ``-inf`` and ``nan``.

    Examples:
        >>> plain({"epsilon": math.inf, "steps": (1.0, 2.5)}, exact=True)
        {'epsilon': 'inf', 'steps': [1, 2.5]}
    """
    if isinstance(value, Mapping):
        return {str(name): plain(item, exact=exact) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, exact=exact) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if exact and isinstance(value, float) and value.is_integer():
        return int(value)
    return value
