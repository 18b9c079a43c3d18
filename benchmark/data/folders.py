"""Where the suite keeps what it can make again: one cache folder."""

from __future__ import annotations

import os
from pathlib import Path

from benchmark.core.errors import UsageError


def cache_folder() -> Path:
    """``$ANGIOBENCH_CACHE``, else ``angiobench`` in the user's cache folder."""
    named = os.environ.get("ANGIOBENCH_CACHE")
    if named:
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "angiobench"


def check_writable(folder: Path) -> None:
    """Refuses a folder that could not be written to, without making it.

    Raises:
        UsageError: Naming what stands in the way.
    """
    there = next(
        place for place in (folder.absolute(), *folder.absolute().parents) if place.exists()
    )
    if not there.is_dir():
        raise UsageError(f"{folder}: {there} is a file, so nothing can be written there.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UsageError(f"{folder}: {there} may not be written to; name another folder.")
