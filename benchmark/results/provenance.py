"""The version and the commit of the suite that computed a result."""

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
    """Return the commit of the checkout that the suite runs from; ``unknown`` if there is none."""
    here = Path(__file__)
    git = ["git", "-C", str(here.parent)]
    try:
        ours = subprocess.run([*git, "ls-files", "--error-unmatch", here.name], capture_output=True)
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True)
    except OSError:
        return UNKNOWN
    return head.stdout.strip() if ours.returncode == 0 else UNKNOWN


def suite() -> dict[str, str]:
    """Return the suite's ``version`` and ``commit``."""
    return {"version": version("angiobench"), "commit": git_commit()}


def peak_mib() -> float:
    """Return the most memory that this process has ever used, in MiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20, 1)
