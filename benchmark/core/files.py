"""Small files that are written whole or not at all, and folders that one process holds."""

from __future__ import annotations

import fcntl
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LOCK = ".lock"


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; an empty one for a file that is missing or damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_json(path: Path, value: Any) -> None:
    """Writes JSON durably: a reader sees the old file or the new one, never a part."""
    write_text(path, json.dumps(plain(value), indent=1, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a file by a temporary neighbour, synced, then put in place."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)  # an interrupt, or a full disk
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable: a replaced file may come back as the old one before."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


@contextmanager
def held(folder: Path, *, wait: bool = False) -> Iterator[bool]:
    """Holds a folder by ``flock``, which a dead process lets go.

    Yields:
        False where another holds it and ``wait`` is False.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True


def plain(value: Any, *, exact: bool = False) -> Any:
    """A copy that JSON can hold; with ``exact``, whole floats become integers."""
    if isinstance(value, Mapping):
        return {str(name): plain(item, exact=exact) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, exact=exact) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if exact and isinstance(value, float) and value.is_integer():
        return int(value)
    return value
