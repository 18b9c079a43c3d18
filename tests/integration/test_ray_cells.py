"""Cells on the nodes of a real Ray cluster: what they leave, and what stops them."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command import COMMAND, UNTRACKED, UNTRAINED, plug_in, results, rows, wait_for
from left_by_cells import FITS, MOODY, left
from ray_nodes import Nodes, ray_cluster

from benchmark.core.editions import DEFAULT, EDITIONS
from benchmark.privacy.ledger.ledger import ledger_in
from benchmark.sweep.executors.ground import NODES
from benchmark.tuning.study import PHANTOM_SEED

RUN = ["run", "--no-bookends", *UNTRAINED, *UNTRACKED]
LONG = ["run", "--no-bookends", *UNTRAINED, *UNTRACKED, "--generator", "dp-wgan"]
LONG += ["--noise", "seeded", "--set", "dp-wgan.begin=noise", "--set", "dp-wgan.batch=16"]
LONG += ["--set", "dp-wgan.critic_steps=1"]
STEPS = ["--set", "dp-wgan.generator_steps=120"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Nodes]:
    with ray_cluster(nodes=2) as cluster:
        yield cluster


def run(*asked: str, cwd: Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *asked],
        cwd=cwd,
        env=environment_of(cwd, path),
        capture_output=True,
        text=True,
        check=False,
    )


def environment_of(folder: Path, path: Path | None = None) -> dict[str, str]:
    """A ledger of the folder's own, and plug-ins from a path."""
    paths = [str(path)] if path else []
    found = {**os.environ, "ANGIOBENCH_STATE": str(folder / "state")}
    return {**found, "PYTHONPATH": os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")])}


def with_secret(folder: Path) -> Path:
    """The folder, with one secret for all: the keys of private data hang on it."""
    (folder / "state").mkdir(parents=True)
    (folder / "state" / "secret").write_text("5" * 64)
    return folder


def entries(folder: Path) -> list[str]:
    """The run of every entry of the folder's ledger."""
    return [entry.said["run"] for entry in ledger_in(folder / "state").entries()]


def nothing_shared_is_left(folder: Path) -> bool:
    return not (folder / "runs" / NODES).exists() and not (folder / "state" / NODES).exists()


def test_cells_on_two_nodes_leave_the_same_as_in_processes(
    cluster: Nodes, module_cohort: Path, tmp_path: Path
) -> None:
    asked = [*FITS, "--data", str(module_cohort)]
    for name, where in (("ray", ["--ray", cluster.address]), ("apart", ["--jobs", "1"])):
        done = run(*asked, *where, cwd=with_secret(tmp_path / name))
        assert done.returncode == 0, done.stdout + done.stderr
    assert left(tmp_path / "ray") == left(tmp_path / "apart")
    assert len(results(tmp_path / "ray")) == len(entries(tmp_path / "ray")) == 2
    assert nothing_shared_is_left(tmp_path / "ray")
    again = run(*asked, "--ray", cluster.address, "--ship-data", cwd=tmp_path / "ray")
    assert "2 cells, 2 of them done before" in again.stdout


@pytest.mark.parametrize(
    ("mood", "words"),
    [
        ("fails", "RuntimeError: no luck today"),
        ("dies", "ended before its cell was done (exit code 3)"),
        ("sleeps", "took longer than --cell-timeout"),
    ],
)
def test_a_cell_that_fails_by_itself_is_not_repeated_and_the_others_go_on(
    mood: str, words: str, cluster: Nodes, module_cohort: Path, tmp_path: Path
) -> None:
    moody = plug_in(tmp_path, "generators", "moody", "Moody", MOODY)
    (moody / "mood").write_text(mood)
    asked = [*RUN, "--generator", "moody,simulator", "--data", str(module_cohort)]
    asked += ["--ray", cluster.address, "--cell-timeout", "20" if mood == "sleeps" else "300"]
    done = run(*asked, cwd=tmp_path, path=moody)
    assert done.returncode == 1, done.stdout + done.stderr
    (error,) = tmp_path.glob("runs/moody/*/error.txt")
    assert words in error.read_text()
    assert (moody / "fits").read_text() == "fit ", "once"
    states = {row["generator"]: row["status"] for row in rows(tmp_path)}
    assert states == {"moody": "failed", "simulator": "done"}


@pytest.mark.slow
def test_the_cells_of_a_killed_node_end_elsewhere_under_one_entry_each(
    module_cohort: Path, tmp_path: Path
) -> None:
    asked = [*LONG, *STEPS, "--epsilon", "2,5,7", "--data", str(module_cohort)]
    with_secret(tmp_path)
    with ray_cluster(nodes=2) as cluster:
        sweep = subprocess.Popen(
            [*COMMAND, *asked, "--ray", cluster.address],
            cwd=tmp_path,
            env=environment_of(tmp_path),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        wait_for(lambda: len(checkpoints(tmp_path)) >= 2 or sweep.poll() is not None)
        assert sweep.poll() is None, sweep.communicate()[0]
        running = set(checkpoints(tmp_path))
        cluster.kill_last()
        said = sweep.communicate(timeout=500)[0]
    assert sweep.returncode == 0, said
    assert len(running) == 2, "one cell on each node"
    done = results(tmp_path)
    assert sorted(entries(tmp_path)) == sorted(result["run_key"] for result in done)
    assert len(done) == 3
    whole = run(*asked, "--jobs", "2", cwd=with_secret(tmp_path / "apart"))
    assert whole.returncode == 0, whole.stdout + whole.stderr
    assert left(tmp_path) == left(tmp_path / "apart"), "as if nothing had happened"
    assert nothing_shared_is_left(tmp_path)


@pytest.mark.slow
def test_an_interrupt_ends_the_cells_on_all_nodes_and_the_command_goes_on(
    cluster: Nodes, module_cohort: Path, tmp_path: Path
) -> None:
    asked = [*LONG, *STEPS, "--epsilon", "2,5", "--data", str(module_cohort)]
    asked += ["--ray", cluster.address]
    for blow, code in ((signal.SIGINT, 130), (signal.SIGKILL, -9)):
        sweep = subprocess.Popen(
            [*COMMAND, *asked],
            cwd=tmp_path,
            env=environment_of(tmp_path),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        before = {file: file.stat().st_mtime_ns for file in checkpoints(tmp_path)}
        wait_for(lambda before=before: rewritten(tmp_path, before) >= 2)
        sweep.send_signal(blow)
        assert sweep.wait(100) == code
        if blow is signal.SIGKILL:
            time.sleep(15)  # nobody waited for the nodes
        still = {file: file.stat().st_mtime_ns for file in checkpoints(tmp_path)}
        time.sleep(3)
        assert still == {file: file.stat().st_mtime_ns for file in checkpoints(tmp_path)}
    done = run(*asked, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(entries(tmp_path)) == len(results(tmp_path)) == 2
    assert nothing_shared_is_left(tmp_path), "also what the killed one left"


def test_a_cluster_that_is_dead_or_too_small_is_named_at_once(
    cluster: Nodes, module_cohort: Path, tmp_path: Path
) -> None:
    asked = [*RUN, "--generator", "simulator", "--data", str(module_cohort)]
    for where, words in (
        (["--ray", "127.0.0.1:1"], "Ray's cluster 127.0.0.1:1 cannot be reached"),
        (["--ray", cluster.address, "--cpus-per-cell", "64"], "has 64 CPUs for a cell"),
        (["--cpus-per-cell", "2"], "need --ray or --slurm"),
        (["--ray", cluster.address, "--slurm", "partition=a"], "leave one of them out"),
    ):
        refused = run(*asked, *where, cwd=tmp_path)
        assert refused.returncode == 2, refused.stdout
        assert words in refused.stderr
        assert "Traceback" not in refused.stderr
    assert not (tmp_path / "runs").exists() or nothing_shared_is_left(tmp_path)


@pytest.mark.slow
def test_a_search_on_nodes_finds_what_it_finds_here(
    cluster: Nodes,
    tmp_path: Path,
    write_tiny_phantoms: Callable[[Path], None],
    cache_with_plans: Callable[[Path], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cache = cache_with_plans(tmp_path / "cache")
    write_tiny_phantoms(cache / f"phantom-v{EDITIONS[DEFAULT].phantoms}-seed{PHANTOM_SEED}")
    monkeypatch.setenv("ANGIOBENCH_CACHE", str(cache))
    asked = ["tune", "--generator", "dp-wgan", "--epsilon", "2", "--trials", "3", "--seeds", "1"]
    asked += [*UNTRAINED, *UNTRACKED, "--segmenter", "threshold"]
    for setting in ("generator_steps=3", "critic_steps=1", "pretrain_steps=2", "batch=16"):
        asked += ["--set", f"dp-wgan.{setting}"]
    for name, where in (("ray", ["--ray", cluster.address]), ("here", [])):
        done = run(*asked, *where, "--jobs", "1", cwd=with_secret(tmp_path / name))
        assert done.returncode == 0, done.stdout + done.stderr
    files = [list((tmp_path / name).glob("runs/tuned/*/*/*.toml")) for name in ("ray", "here")]
    (ray,), (here,) = files
    assert ray.read_text() == here.read_text()
    assert len(list((tmp_path / "ray").glob("runs/trials/*/*/*/result.json"))) == 3


def checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob("runs/*/*/checkpoint.safetensors"))


def rewritten(folder: Path, before: dict[Path, int]) -> int:
    """How many checkpoints are new since then."""
    found = 0
    for file in checkpoints(folder):
        try:
            found += file.stat().st_mtime_ns != before.get(file)
        except FileNotFoundError:
            continue
    return found
