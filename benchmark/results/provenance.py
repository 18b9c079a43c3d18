"""Which suite computed a result: its version, and the commit where there is one."""

from __future__ import annotations

import resource
import subprocess
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path

UNKNOWN = "unknown"


@cache
def git_commit() -> str:
    """The commit that the suite runs from; ``unknown`` where it is installed without one."""
    here = Path(__file__)
    git = ["git", "-C", str(here.parent)]
    try:
        ours = subprocess.run([*git, "ls-files", "--error-unmatch", here.name], capture_output=True)
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True)
    except OSError:
        return UNKNOWN
    return head.stdout.strip() if ours.returncode == 0 else UNKNOWN


def suite() -> dict[str, str]:
    """The version and the commit."""
    return {"version": version("angiobench"), "commit": git_commit()}


def peak_mib() -> float:
    """The most memory that this process ever held."""
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20, 1)
