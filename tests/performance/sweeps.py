"""What a sweep costs beyond its cells, and how far a second node helps. For an idle machine.

``python tests/performance/sweeps.py overhead``: seconds a cell that are not the cell's own, in
processes and on Ray: the difference of a long sweep and a short one, with MLflow.
``python tests/performance/sweeps.py nodes``: 16 cells on two Ray nodes of one core each, over the
same on one; with ``--own-cores`` the command has no core of its own beside them. Each fails where
its limit is missed. ``--rounds N`` repeats and takes the median.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
for folder in (HERE.parent, HERE.parent / "integration", HERE.parent.parent):
    sys.path.insert(0, str(folder))

from conftest import write_patient, write_tiny_cohort  # noqa: E402
from ray_nodes import ray_cluster  # noqa: E402

from benchmark.core.editions import DEFAULT, EDITIONS  # noqa: E402
from benchmark.core.sums import write_sums  # noqa: E402
from benchmark.data.phantom import DEFAULT_SEED  # noqa: E402

MOST_OVERHEAD_S, MOST_OVERHEAD_SHARE = 0.5, 0.02
MOST_OF_ONE_NODE = 0.55
SHORT, LONG, CELLS = 4, 20, 16
TINY = {"protocol.patches_per_patient": 40, "protocol.samples": 64, "protocol.fid_n": 16}


class Sweep(NamedTuple):
    """One run of the command.

    Attributes:
        wall_s: From its start to its end.
        cpu_s: Of all its processes, where they are its children.
        cells_s: What the cells say of themselves.
    """

    wall_s: float
    cpu_s: float
    cells_s: float


def swept(cache: Path, seeds: int, iterations: int, *where: str) -> Sweep:
    """Runs a sweep of so many cells in a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="sweep-"))
    settings = {**TINY, "unet.iterations": iterations, "unet.attempts": 0}
    words = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    command = [sys.executable, "-m", "benchmark", "run", "--generator", "simulator"]
    command += ["--no-bookends", "--seeds", str(seeds), *words, *where]
    environment = {
        **os.environ,
        "ANGIOBENCH_CACHE": str(cache),
        "ANGIOBENCH_STATE": str(folder / "state"),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(HERE.parent.parent), os.environ.get("PYTHONPATH", "")]),
    }
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    wall_s, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    found = [json.loads(f.read_text()) for f in folder.glob("runs/*/*/result.json")]
    shutil.rmtree(folder)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Sweep(wall_s, cpu_s, sum(one["seconds"]["total"] for one in found))


def overhead_s(cache: Path, iterations: int, *where: str) -> tuple[float, float]:
    """Seconds a cell that are not its own, and the same as a share of the cell's own."""
    short = swept(cache, SHORT, iterations, *where)
    long = swept(cache, LONG, iterations, *where)
    own = (long.cells_s - short.cells_s) / (LONG - SHORT)
    whole = (long.wall_s - short.wall_s) / (LONG - SHORT)
    cpu = (long.cpu_s - short.cpu_s) / (LONG - SHORT)
    print(f"    a cell: {whole:.2f} s of time, {cpu:.2f} s of processors, {own:.2f} s its own")
    return whole - own, (whole - own) / own


def overhead(cache: Path, rounds: int) -> bool:
    """Whether the overhead of both executors is small."""
    fits = True
    with ray_cluster(nodes=1) as cluster:
        for name, where in (
            ("processes", ["--jobs", "1"]),
            ("Ray", ["--ray", cluster.address, "--jobs", "1"]),
        ):
            swept(cache, SHORT, 30, *where)  # imports and caches are warm then
            found = [overhead_s(cache, 30, *where) for _ in range(rounds)]
            seconds, share = (statistics.median(column) for column in zip(*found, strict=True))
            fits &= seconds <= MOST_OVERHEAD_S or share <= MOST_OVERHEAD_SHARE
            print(f"{name}: {seconds:.2f} s a cell beyond its own (limit {MOST_OVERHEAD_S})")
    return fits


def nodes(cache: Path, rounds: int, iterations: int, *, on_own_cores: bool) -> bool:
    """Whether two nodes take little more than half of one's time.

    Args:
        cache: Has the phantoms.
        rounds: How often to measure.
        iterations: Of each cell's U-Net.
        on_own_cores: Whether one node and the command have one core, and two nodes two. Otherwise
            the command and Ray's own processes have a core for themselves beside one node.
    """
    ratios, cores = [], sorted(os.sched_getaffinity(0))
    for _ in range(rounds):
        taken = []
        for many in (1, 2):
            os.sched_setaffinity(0, cores[:many] if on_own_cores else cores)
            with ray_cluster(nodes=many) as cluster:
                swept(cache, 2, 1, "--ray", cluster.address)
                taken.append(swept(cache, CELLS, iterations, "--ray", cluster.address).wall_s)
        ratios.append(taken[1] / taken[0])
        print(f"{CELLS} cells: one node {taken[0]:.1f} s, two {taken[1]:.1f} s: {ratios[-1]:.3f}")
    ratio = statistics.median(ratios)
    print(f"two nodes / one: {ratio:.3f} (limit {MOST_OF_ONE_NODE})")
    return ratio <= MOST_OF_ONE_NODE


def main() -> None:
    """Measures what is asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["overhead", "nodes"])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--iterations", type=int, default=500, help="of each cell's U-Net")
    parser.add_argument("--own-cores", action="store_true", help="no core beside the nodes'")
    asked = parser.parse_args()
    cache = Path(tempfile.mkdtemp(prefix="cache-"))
    phantoms = cache / f"phantom-v{EDITIONS[DEFAULT].phantoms}-seed{DEFAULT_SEED}"
    write_tiny_cohort(phantoms / "cohort")
    for number in (7, 8):
        write_patient(phantoms / "shifted", f"sub-{number:02d}", seed=number)
    write_sums(phantoms)
    try:
        fits = (
            overhead(cache, asked.rounds)
            if asked.what == "overhead"
            else nodes(cache, asked.rounds, asked.iterations, on_own_cores=asked.own_cores)
        )
    finally:
        shutil.rmtree(cache)
    sys.exit(0 if fits else 1)


if __name__ == "__main__":
    main()
