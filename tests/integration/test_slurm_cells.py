"""Cells as jobs of a real SLURM of one node: what they leave, and what stops them."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from command import COMMAND, UNTRACKED, UNTRAINED, plug_in, results, rows, wait_for
from left_by_cells import FITS, MOODY, left
from slurm_node import PARTITION, lacking, slurm_node

from benchmark.privacy.ledger.ledger import ledger_in
from benchmark.sweep.executors.ground import NODES

pytestmark = pytest.mark.slow

RUN = ["run", "--no-bookends", *UNTRAINED, *UNTRACKED]
LONG = [*RUN, "--generator", "dp-wgan", "--noise", "seeded", "--set", "dp-wgan.begin=noise"]
LONG += ["--set", "dp-wgan.batch=16", "--set", "dp-wgan.critic_steps=1"]
LONG += ["--set", "dp-wgan.generator_steps=120"]
SLURM = ["--slurm", f"partition={PARTITION},time=20"]


@pytest.fixture(scope="module")
def slurm() -> Iterator[Mapping[str, str]]:
    if why := lacking():
        pytest.skip(why)
    pytest.importorskip("submitit")
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    try:
        with slurm_node(folder) as environment:
            yield environment
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def started(
    *asked: str, cwd: Path, slurm: Mapping[str, str], path: Path | None = None
) -> subprocess.Popen[str]:
    folders = [str(path)] if path else []
    environment = {
        **os.environ,
        **slurm,
        "ANGIOBENCH_STATE": str(cwd / "state"),
        "PYTHONPATH": os.pathsep.join([*folders, os.environ.get("PYTHONPATH", "")]),
    }
    return subprocess.Popen(
        [*COMMAND, *asked],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def run(*asked: str, code: int = 0, **where: object) -> str:
    process = started(*asked, **where)  # type: ignore[arg-type]
    said = process.communicate(timeout=900)[0]
    assert process.returncode == code, said
    return said


def with_secret(folder: Path) -> Path:
    """The folder, with one secret for all: the keys of private data hang on it."""
    (folder / "state").mkdir(parents=True)
    (folder / "state" / "secret").write_text("5" * 64)
    return folder


def entries(folder: Path) -> list[str]:
    return [entry.said["run"] for entry in ledger_in(folder / "state").entries()]


def jobs(slurm: Mapping[str, str]) -> list[str]:
    """The numbers of jobs that have not ended."""
    ask = ["squeue", "--noheader", "--format=%A"]
    return subprocess.check_output(ask, env={**os.environ, **slurm}, text=True).split()


def nothing_shared_is_left(folder: Path) -> bool:
    return not (folder / "runs" / NODES).exists() and not (folder / "state" / NODES).exists()


def test_jobs_leave_the_same_as_processes_and_shipped_data_are_gone(
    slurm: Mapping[str, str], module_cohort: Path, tmp_path: Path
) -> None:
    asked = [*FITS, "--data", str(module_cohort)]
    for name, where in (("slurm", [*SLURM, "--ship-data"]), ("apart", ["--jobs", "1"])):
        run(*asked, *where, cwd=with_secret(tmp_path / name), slurm=slurm)
    assert left(tmp_path / "slurm") == left(tmp_path / "apart")
    assert len(results(tmp_path / "slurm")) == len(entries(tmp_path / "slurm")) == 2
    assert nothing_shared_is_left(tmp_path / "slurm")
    again = run(*asked, *SLURM, cwd=tmp_path / "slurm", slurm=slurm)
    assert "2 cells, 2 of them done before" in again


def test_a_killed_jobs_cell_ends_in_another_under_one_entry(
    slurm: Mapping[str, str], module_cohort: Path, tmp_path: Path
) -> None:
    asked = [*LONG, "--epsilon", "2,5", "--data", str(module_cohort)]
    sweep = started(*asked, *SLURM, cwd=with_secret(tmp_path), slurm=slurm)
    wait_for(lambda: checkpoints(tmp_path) or sweep.poll() is not None)
    assert sweep.poll() is None, sweep.communicate()[0]
    (first, *_) = sorted(jobs(slurm), key=int)
    subprocess.run(["scancel", "--signal=KILL", first], check=True, env={**os.environ, **slurm})
    said = sweep.communicate(timeout=900)[0]
    assert sweep.returncode == 0, said
    assert sorted(entries(tmp_path)) == sorted(one["run_key"] for one in results(tmp_path))
    assert len(results(tmp_path)) == 2
    run(*asked, "--jobs", "1", cwd=with_secret(tmp_path / "apart"), slurm=slurm)
    assert left(tmp_path) == left(tmp_path / "apart"), "as if nothing had happened"


def test_a_cell_that_fails_by_itself_is_not_repeated(
    slurm: Mapping[str, str], module_cohort: Path, tmp_path: Path
) -> None:
    moody = plug_in(tmp_path, "generators", "moody", "Moody", MOODY)
    (moody / "mood").write_text("fails")
    asked = [*RUN, "--generator", "moody,simulator", "--data", str(module_cohort), *SLURM]
    run(*asked, code=1, cwd=tmp_path, slurm=slurm, path=moody)
    (error,) = tmp_path.glob("runs/moody/*/error.txt")
    assert "RuntimeError: no luck today" in error.read_text()
    assert (moody / "fits").read_text() == "fit "
    states = {row["generator"]: row["status"] for row in rows(tmp_path)}
    assert states == {"moody": "failed", "simulator": "done"}


def test_an_interrupt_cancels_the_jobs_and_the_command_goes_on(
    slurm: Mapping[str, str], module_cohort: Path, tmp_path: Path
) -> None:
    asked = [*LONG, "--epsilon", "2,5", "--data", str(module_cohort), *SLURM]
    sweep = started(*asked, cwd=tmp_path, slurm=slurm)
    wait_for(lambda: checkpoints(tmp_path) or sweep.poll() is not None)
    sweep.send_signal(signal.SIGINT)
    said = sweep.communicate(timeout=100)[0]
    assert sweep.returncode == 130, said
    wait_for(lambda: not jobs(slurm), timeout_s=60)
    run(*asked, cwd=tmp_path, slurm=slurm)
    assert len(entries(tmp_path)) == len(results(tmp_path)) == 2
    assert nothing_shared_is_left(tmp_path)


def test_jobs_of_a_killed_command_end_by_themselves(
    slurm: Mapping[str, str], module_cohort: Path, tmp_path: Path
) -> None:
    asked = [*LONG, "--epsilon", "2,5", "--data", str(module_cohort), *SLURM]
    sweep = started(*asked, cwd=tmp_path, slurm=slurm)
    wait_for(lambda: checkpoints(tmp_path) or sweep.poll() is not None)
    sweep.kill()
    sweep.communicate()
    wait_for(lambda: not jobs(slurm), timeout_s=120)
    run(*asked, cwd=tmp_path, slurm=slurm)
    assert len(entries(tmp_path)) == len(results(tmp_path)) == 2
    assert nothing_shared_is_left(tmp_path), "also what the killed one left"


def test_what_slurm_does_not_have_is_named_at_once(
    slurm: Mapping[str, str], module_cohort: Path, tmp_path: Path
) -> None:
    asked = [*RUN, "--generator", "simulator", "--data", str(module_cohort)]
    for options, words in (
        (["--slurm", "partition=none"], f"SLURM has no partition 'none'; there are: {PARTITION}."),
        ([*SLURM, "--cpus-per-cell", "900"], "SLURM has no node in the partition for the job"),
    ):
        said = run(*asked, *options, code=2, cwd=tmp_path, slurm=slurm)
        assert words in said
        assert "Traceback" not in said


def test_a_forecast_is_of_a_cell_and_the_jobs_that_were_asked_for(
    slurm: Mapping[str, str], module_cohort: Path, tmp_path: Path
) -> None:
    asked = [*RUN, "--generator", "simulator", "--data", str(module_cohort), *SLURM, "--dry-run"]
    free = " ".join(run(*asked, cwd=tmp_path, slurm=slurm).split())
    assert "The cluster decides how many run at a time" in free
    many = " ".join(run(*asked, "--jobs", "8", cwd=tmp_path, slurm=slurm).split())
    assert "with --jobs 8 on the cluster" in many
    for said in (free, many):
        assert "Memory of a cell on its node: about" in said
    assert not jobs(slurm)


def test_a_time_beyond_the_partitions_is_not_taken_for_a_full_queue(
    slurm: Mapping[str, str], module_cohort: Path, tmp_path: Path
) -> None:
    """Where SLURM refuses such a job, and where it would let it wait for ever."""
    asked = [*RUN, "--generator", "simulator", "--data", str(module_cohort)]
    asked += ["--slurm", f"partition={PARTITION},time=120"]
    said = run(*asked, code=2, cwd=tmp_path, slurm=slurm)
    assert "SLURM has no node in the partition for the job (PartitionTimeLimit)" in said
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    try:
        with slurm_node(folder, "EnforcePartLimits=ALL\n") as strict:
            said = run(*asked, code=2, cwd=tmp_path, slurm=strict)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    assert "SLURM refuses a job of 120 minutes" in said
    assert "Requested time limit is invalid" in said
    assert "--jobs" not in said
    assert "Traceback" not in said


def checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob("runs/*/*/checkpoint.safetensors"))
