"""The real command in a folder, and what it left there."""

import csv
import io
import json
import os
import subprocess
import sys
import time
import urllib.request
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from benchmark.cli.main import main

FEW_PATCHES = [
    *("--set", "protocol.patches_per_patient=40"),
    *("--set", "protocol.samples=64"),
    *("--set", "protocol.fid_n=16"),
]
SMALL = [
    *FEW_PATCHES,
    *("--set", "unet.iterations=30"),
    *("--set", "unet.attempts=0"),  # in so few steps nothing is learnt
]
STEPS = ["--set", "dp-wgan.generator_steps=3"]
UNTRACKED = ["--tracking-uri", "none"]
"""Making MLflow's database takes as long as a small cell."""


WITHOUT_CELLS = ("audit", "compare", "data", "explain", "leaderboard", "ledger", "plan", "report")
"""Commands that start no process of their own: they can share this one and its imports."""


def bench(*arguments: str, cwd: Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command as a user starts it, in a process of its own where it could tell."""
    if arguments[0] in WITHOUT_CELLS:
        return in_process(*arguments, cwd=cwd)
    command = [sys.executable, "-m", "benchmark", *arguments]
    env = {**os.environ, "PYTHONPATH": str(path)} if path else None
    return subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300, check=False
    )


def in_process(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The same in this process. Cells do not see its folder, so they need absolute paths."""
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        redirect_stdout(out),
        redirect_stderr(err),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # as for any user
        patch.chdir(cwd)
        patch.setattr(sys, "argv", ["bench", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
    code = end.value.code or 0
    assert isinstance(code, int), code
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "runs" / "summary.csv").open() as lines:
        return list(csv.DictReader(lines))


def results(folder: Path) -> list[dict]:
    return [json.loads(f.read_text()) for f in sorted(folder.glob("runs/*/*/result.json"))]


def stamps_of(folder: Path) -> dict[str, int]:
    return {f.name: f.stat().st_mtime_ns for f in folder.iterdir() if f.name != ".lock"}


def wait_for(holds: Callable[[], object], timeout_s: float = 120) -> None:
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def fetched(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.read()
    except OSError:
        return b""


def processes_in(folder: Path) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").resolve() == folder.resolve():
                found.append(entry.name)
        except OSError:
            continue
    return found


def plug_in(folder: Path, kind: str, name: str, kind_name: str, code: str) -> Path:
    """A distribution with one plug-in, for ``bench(path=...)``."""
    where = folder / "plug-in"
    about = where / f"{name}-1.dist-info"
    about.mkdir(parents=True)
    (where / f"{name}.py").write_text(code)
    (about / "METADATA").write_text(f"Name: {name}\nVersion: 1\n")
    (about / "entry_points.txt").write_text(f"[angiobench.{kind}]\n{name} = {name}:{kind_name}\n")
    return where
