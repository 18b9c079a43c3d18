"""What a node of a cluster must find before it fits anything, and what a driver leaves."""

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing import active_children
from pathlib import Path

import pytest

from benchmark.core.errors import UsageError
from benchmark.core.files import locked
from benchmark.privacy.ledger.ledger import ledger_in
from benchmark.results.store import Store
from benchmark.sweep.executors import ground
from benchmark.sweep.executors.cluster import Cluster, cluster_of, minutes_of, slurm_options
from benchmark.sweep.executors.data_files import DataOnNodes
from benchmark.sweep.executors.errand import Ended, Errand, Heard, Said, run_errand
from benchmark.sweep.executors.executor import Events
from benchmark.sweep.executors.ground import EVENTS, LOCK, NODES, TOKEN, Shared, sweep_out
from benchmark.sweep.executors.nodes import OnNodes
from benchmark.sweep.executors.processes import Processes
from benchmark.sweep.executors.run import check_cluster
from benchmark.sweep.executors.task import Task
from benchmark.sweep.inputs import gather
from benchmark.sweep.machine import Machine
from benchmark.sweep.plan_cells import cells, guarantee_of
from benchmark.sweep.request import Request

NODE = socket.gethostname()
SETTINGS = {
    "protocol": {"patches_per_patient": "20", "samples": "32", "fid_n": "16"},
    "dp-wgan": {"generator_steps": "2", "batch": "8"},
}


@pytest.fixture
def task(
    tiny_cohort: Path, tmp_path: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> Task:
    """A private cell of real files, with a store and a state folder of its own."""
    for name in ("ANGIOBENCH_CACHE", "ANGIOBENCH_STATE", "PYTHONPATH"):
        monkeypatch.setenv(name, os.environ.get(name, ""))  # a node sets them for its cells
    state = tmp_path / "state"
    inputs = gather(
        tiny_cohort, (), cache=shared_cache, state=state, jobs=1, progress=lambda *_: None
    )
    request = Request(
        generators=["dp-wgan"],
        epsilons=[5.0],
        segmenters=("threshold",),
        settings=SETTINGS,
        bookends=False,
        private=True,
    )
    (spec,) = cells(request, inputs, "")
    return Task(
        spec=spec,
        guarantee=guarantee_of(spec, inputs, shared_cache),
        reference=None,
        inputs=inputs,
        root=tmp_path / "runs",
        machine=Machine(cache=shared_cache, state=state),
    )


@pytest.fixture
def shared(task: Task) -> Iterator[Shared]:
    shared = Shared(task.root, task.machine.state)
    yield shared
    shared.close()


def errand_of(task: Task, shared: Shared, *, ships: bool = False) -> Errand:
    there, files = DataOnNodes(shared.ground, ships=ships).at_nodes(task)
    events = shared.ground.folder(EVENTS) / "0"
    return Errand(task=there, ground=shared.ground, files=files, events=events, patience_s=0)


def assert_refused(errand: Errand, task: Task, *words: str) -> None:
    """The node says why in one sentence, and neither a fit nor a charge was begun."""
    ended = run_errand(errand)
    assert ended.state == "failed"
    for word in (NODE, *words):
        assert word in ended.error
    assert ended.error.endswith(".")
    assert "\n" not in ended.error
    assert not Store(task.root).folder(task.spec).exists()
    assert ledger_in(task.machine.state).entries() == []


@pytest.mark.parametrize("name", ["store", "state"])
@pytest.mark.parametrize("content", [None, "0" * 64, ""])
def test_a_node_that_does_not_find_the_drivers_token_fits_nothing(
    name: str, content: str | None, task: Task, shared: Shared
) -> None:
    place = getattr(shared.ground, name)
    errand = errand_of(task, shared)
    if content is None:
        (place.mine / TOKEN).unlink()
    else:
        (place.mine / TOKEN).write_text(content)
    assert_refused(errand, task, str(place.folder), place.remedy, "does not see")


@pytest.mark.parametrize("name", ["store", "state"])
def test_a_node_with_another_folder_of_that_name_fits_nothing_and_makes_no_folder(
    name: str, task: Task, shared: Shared, tmp_path: Path
) -> None:
    place = getattr(shared.ground, name)
    errand, other = errand_of(task, shared), tmp_path / "another"
    place.folder.rename(other)
    ended = run_errand(errand)
    assert ended.state == "failed"
    assert str(place.folder) in ended.error
    assert not place.folder.exists()
    other.rename(place.folder)


@pytest.mark.parametrize("name", ["store", "state"])
def test_a_node_that_sees_the_drivers_lock_free_fits_nothing(
    name: str, task: Task, shared: Shared
) -> None:
    """Either locks do not hold from node to node, or the driver has gone."""
    place = getattr(shared.ground, name)
    errand = errand_of(task, shared)
    (place.mine / LOCK).unlink()
    (place.mine / LOCK).touch()  # as a file server without locks shows it
    assert_refused(errand, task, str(place.folder), "flock")


def test_a_node_with_another_file_of_a_patient_fits_nothing(task: Task, shared: Shared) -> None:
    errand, file = errand_of(task, shared), task.inputs.train[0].image
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    os.utime(file, (0, 0))
    assert_refused(errand, task, str(file), "--ship-data")
    file.unlink()
    assert_refused(errand, task, str(file), "--ship-data", "cannot read")


def test_copies_are_private_checked_by_their_digest_and_removed(task: Task, shared: Shared) -> None:
    errand = errand_of(task, shared, ships=True)
    inputs = task.inputs
    everyone = (*inputs.train, *inputs.validation, *inputs.tests["test"])
    assert len(errand.files) == len({file for patient in everyone for file in patient.files})
    for file in errand.files:
        assert file.path.is_relative_to(shared.ground.store.mine)
        assert not stat.S_IMODE(file.path.stat().st_mode) & 0o077
        assert not any(patient.id in file.path.name for patient in everyone)
    assert not stat.S_IMODE(shared.ground.store.mine.stat().st_mode) & 0o077
    used = {file for p in errand.task.inputs.train for file in p.files}
    assert used <= {file.path for file in errand.files}, "no patient is read from where it was"
    assert errand.task.machine.cache.is_relative_to(shared.ground.store.mine), "nor are patches"
    copy = errand.files[0].path
    before = copy.stat()
    copy.write_bytes(copy.read_bytes()[:-1] + b"!")
    os.utime(copy, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert_refused(errand, task, str(copy))
    shared.close()
    assert not list(task.root.rglob("*"))


@pytest.mark.parametrize("ships", [False, True])
def test_a_node_that_sees_everything_runs_the_cell_under_one_entry(
    ships: bool, task: Task, shared: Shared
) -> None:
    errand = errand_of(task, shared, ships=ships)
    if ships:  # what the driver has is not there
        for patient in task.inputs.train:
            patient.image.rename(patient.image.with_suffix(".away"))
    assert run_errand(errand).state == "done"
    assert Store(task.root).result(task.spec) is not None
    assert len(ledger_in(task.machine.state).entries()) == 1
    told = Heard(errand.events).news()
    assert {"patches", "fit"} <= {stage for stage, _, _ in told}
    assert run_errand(errand).state == "done", "and computes nothing twice"
    assert len(ledger_in(task.machine.state).entries()) == 1


def test_what_is_shared_is_gone_at_the_end_and_what_a_killed_driver_left_at_the_next_start(
    tmp_path: Path,
) -> None:
    out, state = tmp_path / "runs", tmp_path / "state"
    code = (
        "import os, signal, sys; from pathlib import Path;"
        "from benchmark.sweep.executors.ground import Shared;"
        f"shared = Shared(Path({str(out)!r}), Path({str(state)!r}));"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], check=False, env=environment)
    (left,) = (out / NODES).iterdir()
    alive, late = Shared(out, state), Shared(out, state)
    assert not left.exists()
    assert alive.ground.fault() == "", "one that lives is left alone"
    sweep_out(out)
    assert alive.ground.fault() == ""
    late.close()
    alive.close()
    assert list(out.iterdir()) == []
    assert [file.name for file in state.iterdir()] == []


def test_locks_of_one_kind_alone_are_not_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a file system that keeps the locks of databases to each node."""
    with monkeypatch.context() as patch:
        patch.setattr(ground, "_lock_record", lambda lock, kind: None)
        shared = Shared(tmp_path / "runs", tmp_path / "state")
    assert "flock and fcntl" in shared.ground.fault()
    shared.close()


def test_patients_files_without_a_token_are_removed_by_the_next_driver(tmp_path: Path) -> None:
    out, left = tmp_path / "runs", tmp_path / "runs" / NODES / "0123456789abcdef"
    (left / "data").mkdir(parents=True)
    (left / "data" / "0.nii.gz").write_bytes(b"a patient")
    sweep_out(out)
    assert not left.exists()


def test_a_lock_that_the_driver_lets_go_is_seen(tmp_path: Path) -> None:
    shared = Shared(tmp_path / "runs", tmp_path / "state")
    assert shared.ground.store.is_held()
    shared.let_go()
    assert not shared.ground.store.is_held()
    with locked(shared.ground.store.mine / LOCK) as mine:
        assert mine, "and a node's look takes it from nobody"
    shutil.rmtree(shared.ground.store.mine)
    assert not shared.ground.store.is_held()
    shared.close()


def test_events_arrive_in_order_and_a_line_that_is_half_written_arrives_whole(
    task: Task, tmp_path: Path
) -> None:
    said, heard = Said(tmp_path / "events"), Heard(tmp_path / "events")
    assert heard.news() == []
    for step in range(100):
        said(task.spec, "fit", step, 100)
    said(task.spec, "fit", 100, 100)
    said(task.spec, "score", 0, 2)
    assert heard.news() == [("fit", 0, 100), ("fit", 100, 100), ("score", 0, 2)]
    line = json.dumps(["score", 1, 2])
    with said.file.open("a") as file:
        file.write(line[:5])
        file.flush()
        assert heard.news() == []
        file.write(line[5:] + "\n")
    assert heard.news() == [("score", 1, 2)]
    assert heard.news() == []


def asked(**options: object) -> Cluster | None:
    plain = {"ray": None, "slurm": None, "jobs": None, "cpus_per_cell": None}
    return cluster_of(**{**plain, "gpus_per_cell": None, "ships_data": False, **options})  # type: ignore[arg-type]


def test_cells_stay_on_this_machine_unless_a_cluster_is_named() -> None:
    assert asked() is None
    assert asked(jobs=4) is None
    assert asked(ray="auto", gpus_per_cell=0.5) == Cluster(ray="auto", gpus_per_cell=0.5)
    slurm = asked(slurm="partition=cpu, qos=long", cpus_per_cell=2, jobs=3)
    assert slurm == Cluster(slurm={"partition": "cpu", "qos": "long"}, cpus_per_cell=2, jobs=3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cpus_per_cell": 2}, "need --ray or --slurm"),
        ({"ships_data": True}, "need --ray or --slurm"),
        ({"ray": "auto", "slurm": "partition=a"}, "leave one of them out"),
        ({"ray": "auto", "jobs": 0}, "--jobs 0 runs cells in this process"),
        ({"ray": "auto", "cpus_per_cell": 0}, r"Expected --cpus-per-cell in \[1, 1024\]"),
        ({"slurm": "partition=a", "gpus_per_cell": 0.5}, "whole GPUs"),
        ({"slurm": "time=5"}, "needs a partition"),
        ({"slurm": "partition=a,tine=5"}, "Did you mean 'time'"),
        ({"slurm": "partition=a b"}, "Expected --slurm partition=VALUE"),
        ({"slurm": "partition=a\n#SBATCH --wrap=x"}, "Expected --slurm partition=VALUE"),
        ({"slurm": "partition=a,time=soon"}, "Expected --slurm time=MINUTES"),
    ],
)
def test_a_wrong_cluster_is_refused_in_one_sentence(options: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        asked(**options)
    assert str(caught.value).endswith(".")


def test_times_are_read_as_slurm_reads_them() -> None:
    read = {"90": 90, "1:30": 2, "2:00:00": 120, "0:00:01": 1, "1-12": 2160, "1-0:30": 1470}
    assert {text: minutes_of(text) for text in read} == read
    assert minutes_of("2-1:02:03") == 2 * 1440 + 60 + 3
    assert slurm_options("partition=a-b.c,account=x@y") == {"partition": "a-b.c", "account": "x@y"}


def test_a_cells_weights_are_shipped_too(task: Task, shared: Shared, tmp_path: Path) -> None:
    weights = tmp_path / "weights.pth"
    weights.write_bytes(b"of a network")
    with_weights = replace(task, machine=replace(task.machine, fid_weights=weights))
    errand = errand_of(with_weights, shared, ships=True)
    there = errand.task.machine.fid_weights
    assert there is not None
    assert there.is_relative_to(shared.ground.store.mine)
    assert there.read_bytes() == b"of a network"
    assert errand_of(with_weights, shared).task.machine.fid_weights == weights


def test_slurm_without_its_commands_or_without_submitit_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slurm = Cluster(slurm={"partition": "cells"})
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="sbatch is not on this machine; run on a login node"):
        check_cluster(slurm)
    (tmp_path / "sbatch").touch(mode=0o755)
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(UsageError, match=r"pip install 'angiobench\[cluster\]'"):
        check_cluster(slurm)


@dataclass
class Notes:
    """A launcher of one errand at a time, each of which ends at once, that notes what it sends."""

    said: list[str]

    def room(self) -> int:
        return 1

    def send(self, errand: Errand) -> "Notes":
        self.said.append(f"sent {errand.task.spec.seed}")
        return self

    def answer(self) -> Ended:
        return Ended("failed", "It was not asked to work.")

    def wait(self, sent: Sequence[object], timeout_s: float) -> None:
        pass

    def cancel(self) -> None:
        pass

    def close(self) -> None:
        pass


def with_seeds(task: Task, many: int) -> list[Task]:
    return [replace(task, spec=replace(task.spec, seed=seed)) for seed in range(many)]


def test_a_node_gets_its_next_cell_before_the_last_one_is_logged(
    task: Task, shared: Shared
) -> None:
    said: list[str] = []
    nodes = OnNodes(Notes(said), shared, DataOnNodes(shared.ground, ships=False))
    events = Events(
        progress=lambda *_: None, ended=lambda outcome: said.append(f"logged {outcome.spec.seed}")
    )
    outcomes = nodes.run(with_seeds(task, 3), events)
    assert said == ["sent 0", "sent 1", "logged 0", "sent 2", "logged 1", "logged 2"]
    assert [outcome.spec.seed for outcome in outcomes] == [0, 1, 2]
    assert {outcome.state for outcome in outcomes} == {"failed"}


def test_a_process_begins_the_next_cell_before_the_last_one_is_logged(task: Task) -> None:
    going: list[int] = []
    events = Events(progress=lambda *_: None, ended=lambda _: going.append(len(active_children())))
    outcomes = Processes(1).run(with_seeds(task, 2), events)
    assert going == [1, 0]
    assert [outcome.state for outcome in outcomes] == ["done", "done"]
