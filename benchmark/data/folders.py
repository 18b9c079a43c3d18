"""Where the suite keeps what it can make again: one cache folder."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """``$ANGIOBENCH_CACHE``, else ``angiobench`` in the user's cache folder."""
    named = os.environ.get("ANGIOBENCH_CACHE")
    if named:
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "angiobench"
