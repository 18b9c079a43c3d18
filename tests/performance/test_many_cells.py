"""A store of ten thousand finished cells: planned, resumed and foretold in bounded time and memory.

The bounds are on this process's own time, so that another program on the machine moves them little.
MLflow is left out here: logging a cell takes 35 ms once, which no resume repeats.
"""

import resource
import time
from pathlib import Path

import pytest
from command import bench
from large_store import SWEEP, copied

CELLS, SEEDS = 10_000, 834
PLAN_S, RESUME_S, MORE_MIB = 60, 30, 400

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(module_cohort: Path) -> Path:
    done = bench(*SWEEP, "--tracking-uri", "none", cwd=module_cohort.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    return module_cohort.parent


def timed(*arguments: str, cwd: Path) -> tuple[str, float, float]:
    """What a command says, this process's seconds for it, and by how many MiB its peak grew."""
    start, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    done = bench(*arguments, "--tracking-uri", "none", cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return done.stdout, time.process_time() - start, grown / 1024


def test_ten_thousand_cells_are_planned_and_a_finished_sweep_resumes_at_once(folder: Path) -> None:
    asked = [*SWEEP, "--seeds", str(SEEDS)]
    said, seconds, grown = timed(*asked, "--dry-run", cwd=folder)
    assert f"{CELLS + 10} cells, 14 of them done" in " ".join(said.split())
    assert seconds < PLAN_S
    assert grown < MORE_MIB
    copied(folder / "runs", range(1, SEEDS))
    said, seconds, grown = timed(*asked, cwd=folder)
    assert f"{CELLS + 10} cells, {CELLS + 10} of them done before." in said
    assert seconds < RESUME_S
    assert grown < MORE_MIB
