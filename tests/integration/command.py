"""The command in a folder, and what it left there."""

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
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from benchmark.cli.main import main
from benchmark.sweep.tracking.mlflow_runs import Tracker

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
UNTRAINED = [*FEW_PATCHES, "--segmenter", "frangi"]
"""For what is said of fits and cells, and not of what a segmenter learns."""
STEPS = ["--set", "dp-wgan.generator_steps=3"]
COMMAND = [sys.executable, "-m", "benchmark"]
"""The command in a process of its own, as a user starts it."""
UNTRACKED = ["--tracking-uri", "none"]
"""Making MLflow's database takes as long as a small cell."""


CELLS_HERE = ["--jobs", "0"]
WITH_CELLS = ("run", "tune")


def bench(*arguments: str, cwd: Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command in this process, and its cells with it, whose imports all tests share.

    What starts, kills or counts processes says ``--jobs`` itself, or starts ``COMMAND``.

    Args:
        arguments: As they are typed.
        cwd: Where.
        path: A folder of ``plug_in``.
    """
    with pytest.MonkeyPatch.context() as patch:
        if path is not None:
            patch.syspath_prepend(str(path))
        here = {*WITH_CELLS} & {*arguments[:2]} and "--jobs" not in arguments
        if here:
            patch.setattr(Tracker, "_open", with_tables)
        done = in_process(*arguments, *(CELLS_HERE if here else []), cwd=cwd)
    for name, module in list(sys.modules.items()):
        if path is not None and str(getattr(module, "__file__", "")).startswith(str(path)):
            del sys.modules[name]  # another plug-in may have its name
    return done


@lru_cache(maxsize=1)
def empty_database() -> bytes:
    """What MLflow makes of a new database, by dozens of migrations."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow import MlflowClient

    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        MlflowClient(f"sqlite:///{folder}/mlflow.db").search_experiments()
        return Path(folder, "mlflow.db").read_bytes()


def with_tables(tracker: Tracker, opened: Callable[[Tracker], None] = Tracker._open) -> None:
    """Opens MLflow's store; a new one gets its empty tables at once."""
    file = Path(tracker._uri.removeprefix("sqlite:///"))
    if tracker._uri.startswith("sqlite:///") and not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(empty_database())
    opened(tracker)


def in_process(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The same as it is typed. Cells in processes do not see its folder: give absolute paths."""
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


def wait_for(holds: Callable[[], object], timeout_s: float = 400) -> None:
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
