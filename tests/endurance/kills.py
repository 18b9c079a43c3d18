"""Runs a command again and again, kills it at random instants, and lets it end."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

KILLS = int(os.environ.get("ENDURANCE_KILLS", "1"))
SEED = int(os.environ.get("ENDURANCE_SEED", "0"))
LEAST_S = 1.5
"""Of processor time: before that a command has done nothing but imports."""

UNSTEADY = ("seconds", "peak_mib", "suite", "seal")
"""What differs from run to run of the same cell."""


def run(command: list[str], folder: Path, env: Mapping[str, str]) -> float:
    """The whole command, undisturbed; returns its seconds of processor time."""
    before = _children_s()
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **env}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return _children_s() - before


def killed(command: list[str], folder: Path, env: Mapping[str, str], *, whole_s: float) -> int:
    """The command, killed ``KILLS`` times, then let to its end.

    Instants are drawn in processor time, which other work on the machine does not stretch.

    Returns:
        How many kills hit it before it was done.
    """
    draws, hits = random.Random(SEED), 0
    print(f"ENDURANCE_SEED={SEED} ENDURANCE_KILLS={KILLS}")
    for _ in range(KILLS):
        hits += _killed_at(draws.uniform(LEAST_S, whole_s), command, folder, env)
    run(command, folder, env)
    return hits


def _killed_at(instant_s: float, command: list[str], folder: Path, env: Mapping[str, str]) -> bool:
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    going = subprocess.Popen(
        command, cwd=folder, env={**os.environ, **env}, start_new_session=True, **quiet
    )
    while going.poll() is None and _session_s(going.pid) < instant_s:
        time.sleep(0.01)
    hit = going.poll() is None
    with suppress(ProcessLookupError):
        os.killpg(going.pid, signal.SIGKILL)
    going.wait()
    return hit


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _session_s(session: int) -> float:
    """Processor time of a session's processes, those included that they have waited for."""
    ticks = 0
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            said = entry.read_text().rpartition(")")[2].split()
            if int(said[3]) == session:
                ticks += sum(map(int, said[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def results_in(folder: Path) -> dict[str, Any]:
    """Every result below a folder by its cell, without what differs from run to run."""
    found = {}
    for file in sorted(folder.rglob("result.json")):
        said = json.loads(file.read_text())
        kept = {name: value for name, value in said.items() if name not in UNSTEADY}
        if "rounds" in kept:
            kept["rounds"] = {n: v for n, v in kept["rounds"].items() if n != "seconds"}
        found[f"{file.parent.parent.name}/{file.parent.name}"] = kept
    return found


def files_in(folder: Path, *names: str) -> dict[str, bytes]:
    """The bytes of some files of every cell below a folder."""
    files = (file for name in names for file in sorted(folder.rglob(name)) if file.is_file())
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def leavings_in(folder: Path) -> list[str]:
    """Temporary files that should not be there in the end."""
    return sorted(
        str(file.relative_to(folder))
        for file in folder.rglob(".*")
        if file.is_file() and file.name not in (".lock", ".entering", ".present")
    )
