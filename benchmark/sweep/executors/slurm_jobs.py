"""Cells as jobs of SLURM, submitted by submitit.

A job is known to have ended by what it leaves, or by ``squeue``; SLURM's accounting is not needed.
SLURM itself repeats no job: whether a lost cell goes elsewhere is decided in one place, for every
cluster (``nodes``).
"""

from __future__ import annotations

import math
import os
import pickle
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.core.bounds import JOBS as MOST_JOBS
from benchmark.core.errors import BenchError, UsageError
from benchmark.sweep.executors.cluster import Cluster, minutes_of
from benchmark.sweep.executors.errand import Ended, Errand, run_errand
from benchmark.sweep.executors.ground import JOBS, Ground
from benchmark.sweep.executors.nodes import FullError, Lost, Sent
from benchmark.sweep.machine import Machine

ASK_EACH_S = 5.0
"""How often SLURM is asked for the states of jobs."""

SETTLED_S = 20.0
"""How long after a job's end its answer may take to be seen on a shared file system."""

HEADROOM_GIB = 1
"""What a job gets beyond --cell-memory, so that the cell's own limit speaks first."""

HEADROOM_MINUTES = 3
LONGEST_MINUTES = 365 * 24 * 60
NEVER = ("PartitionConfig", "PartitionNodeLimit", "PartitionTimeLimit", "BadConstraints")
"""Why SLURM keeps a job waiting that cannot begin on any node."""

FULL = re.compile(r"(QOS|Assoc)\w*Submit|MaxSubmit|MaxJobCount|job submit limit")
"""Refusals that end when other jobs do. Other limits (QOSMaxCpuPerJobLimit) refuse this job alone,
however long it waits."""

TOO_LONG = re.compile(r"[Tt]ime limit is invalid|MaxWall")
GOING = {
    *("PENDING", "RUNNING", "SUSPENDED", "COMPLETING", "CONFIGURING", "STAGE_OUT", "SIGNALING"),
    *("RESV_DEL_HOLD", "REQUEUE_FED", "REQUEUE_HOLD", "REQUEUED", "RESIZING", "SPECIAL_EXIT"),
    "STOPPED",
}


class SlurmJobs:
    """Sends errands to SLURM, each as a job of one node.

    Args:
        cluster: The partition and what a cell gets.
        machine: For the time and memory that a cell may take.
        ground: Where jobs and their answers lie.
    """

    def __init__(self, cluster: Cluster, machine: Machine, ground: Ground) -> None:
        import submitit

        self._folder = ground.folder(JOBS)
        self._executor = submitit.SlurmExecutor(self._folder, max_num_timeout=0)
        asked = _parameters(cluster, machine)
        self._minutes: int = asked["time"]
        self._executor.update_parameters(**asked)
        self._states = States()

    def room(self) -> int:
        """Return how many jobs may wait or run; SLURM has a queue of its own."""
        return MOST_JOBS[1]

    def send(self, errand: Errand) -> Sent:
        """Submit a job: see ``Launcher.send``."""
        try:
            job = self._executor.submit(begin_job, errand)
        except Exception as error:
            raise refusal_of(str(error), self._minutes) from error
        return SlurmJob(job.job_id, job.paths.result_pickle, job.paths.stdout, self._states)

    def wait(self, sent: Sequence[Sent], timeout_s: float) -> None:
        """Wait: see ``Launcher.wait``."""
        time.sleep(timeout_s)
        self._states.look([one.id for one in sent if isinstance(one, SlurmJob)])

    def close(self) -> None:
        """Do nothing: there is no connection."""


@dataclass
class States:
    """The states of jobs, asked for in one call every few seconds.

    Attributes:
        ended: When each job was first seen to have ended, or not seen at all.
    """

    ended: dict[str, float] = field(default_factory=dict)
    _asked: float = field(default=-math.inf)

    def look(self, jobs: Sequence[str]) -> None:
        """Ask for the states of these jobs, if it is time.

        Raises:
            UsageError: For a job that can never begin.
        """
        if not jobs or time.monotonic() - self._asked < ASK_EACH_S:
            return
        self._asked = time.monotonic()
        ask = ["squeue", "--noheader", "--states=all", "--format=%A %T %r"]
        ask += [f"--jobs={','.join(jobs)}"]
        found = subprocess.run(ask, capture_output=True, text=True, check=False)
        if found.returncode and "Invalid job id" not in found.stderr:
            return  # the controller is busy, or away for a moment
        lines = (line.split(maxsplit=2) for line in found.stdout.splitlines() if line.strip())
        states = {job: (state, why) for job, state, why in lines}
        for job in jobs:
            state, why = states.get(job, ("GONE", ""))
            if state == "PENDING" and why.strip() in NEVER:
                raise UsageError(
                    f"SLURM has no node in the partition for the job ({why.strip()}); ask for "
                    "fewer cores or GPUs, or for less memory or time."
                )
            if state in GOING:
                self.ended.pop(job, None)  # the controller had forgotten it for a moment
            else:
                self.ended.setdefault(job, time.monotonic())


@dataclass
class SlurmJob:
    """An errand as a job of SLURM.

    Attributes:
        id: The job's number.
        result: The file with its answer.
        log: What it printed.
        states: Knows which jobs have ended.
    """

    id: str
    result: Path
    log: Path
    states: States

    def answer(self) -> Ended | Lost | None:
        """Return how it ended: see ``Sent.answer``."""
        os.listdir(self.result.parent)  # noqa: PTH208  (makes clients of a file server look anew)
        if self.result.exists():
            kind, said = pickle.loads(self.result.read_bytes())  # noqa: S301  (our own job's)
            return said if kind == "success" else Ended("failed", f"A node failed: {said}")
        ended = self.states.ended.get(self.id)
        if ended is None or time.monotonic() - ended < SETTLED_S:
            return None
        return Lost(
            f"The cell's job {self.id} ended twice without an answer{self._last_words()}; do all "
            "nodes see the store? The same command tries it again."
        )

    def cancel(self) -> None:
        """End it, wherever it is."""
        subprocess.run(["scancel", self.id], capture_output=True, check=False)

    def _last_words(self) -> str:
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        except OSError:
            return ""
        return f" ({lines[-1]})" if lines else ""


def refusal_of(said: str, minutes: int) -> BenchError:
    """Return the error for a job that SLURM did not take.

    Args:
        said: What ``sbatch`` said.
        minutes: The time that the job asked for.

    Returns:
        A ``FullError`` if SLURM takes the job later, else a ``UsageError`` with the remedy.

    Examples:
        >>> type(refusal_of("sbatch: error: QOSMaxSubmitJobPerUserLimit", 60)).__name__
        'FullError'
    """
    said = said.strip()
    why = next((line for line in said.splitlines() if "sbatch: error:" in line), said)
    if TOO_LONG.search(why):
        return UsageError(
            f"SLURM refuses a job of {minutes} minutes, more than the partition or the account "
            f"allows ({why}); ask for less by --slurm partition=NAME,time=MINUTES, as `sinfo` "
            "lists each partition's TIMELIMIT."
        )
    if FULL.search(why):
        return FullError(
            f"SLURM takes no job now ({why}); wait until other jobs of yours have ended, and give "
            "the command again."
        )
    return UsageError(f"SLURM refuses the job ({why}); see --slurm.")


def begin_job(errand: Errand) -> Ended:
    """Run an errand in a job. SLURM's signals end it, and nothing is requeued.

    Args:
        errand: The cell.
    """
    for one in (signal.SIGTERM, signal.SIGUSR2):  # submitit would ignore one, and requeue at two
        signal.signal(one, signal.SIG_DFL)
    return run_errand(errand)


def check_slurm(partition: str) -> None:
    """Refuse SLURM without submitit, without an answer, or without the partition.

    Raises:
        UsageError: With the remedy.
    """
    try:
        import submitit  # noqa: F401
    except ImportError as error:
        raise UsageError(
            "--slurm needs submitit, which is not installed; install it by "
            "`pip install 'angiobench[cluster]'`."
        ) from error
    known = sorted({line.split()[0].rstrip("*") for line in _sinfo("--format=%P")})
    if partition not in known:
        raise UsageError(
            f"SLURM has no partition {partition!r}; there are: {', '.join(known) or 'none'}."
        )


def _parameters(cluster: Cluster, machine: Machine) -> dict[str, Any]:
    """What submitit asks SLURM for."""
    asked: dict[str, Any] = {name: cluster.slurm.get(name) for name in ("qos", "account")}
    if cluster.gpus_per_cell:
        asked["gpus_per_node"] = int(cluster.gpus_per_cell)
    if machine.cell_memory_gib is not None:
        asked["mem"] = f"{math.ceil(1024 * (machine.cell_memory_gib + HEADROOM_GIB))}M"
    return {
        **{name: value for name, value in asked.items() if value is not None},
        "job_name": "angiobench",
        "partition": cluster.slurm["partition"],
        "time": _minutes(cluster, machine),
        "cpus_per_task": cluster.cpus_per_cell,
        "stderr_to_stdout": True,
        "additional_parameters": {"no-requeue": True},
    }


def _minutes(cluster: Cluster, machine: Machine) -> int:
    """A job's time: as it was asked for, or by --cell-timeout, or the partition's own."""
    if "time" in cluster.slurm:
        return minutes_of(cluster.slurm["time"])
    if machine.cell_timeout_s is not None:
        return math.ceil(machine.cell_timeout_s / 60) + HEADROOM_MINUTES
    for said in _sinfo(f"--partition={cluster.slurm['partition']}", "--format=%L %l")[:1]:
        for time_limit in said.split():
            if time_limit not in ("n/a", "infinite"):
                return minutes_of(time_limit)
    return LONGEST_MINUTES


def _sinfo(*options: str) -> list[str]:
    found = subprocess.run(
        ["sinfo", "--noheader", *options], capture_output=True, text=True, check=False
    )
    if found.returncode:
        why = (found.stderr.strip().splitlines() or ["no answer"])[-1]
        raise UsageError(
            f"SLURM does not answer ({why}); run on a login node, or leave --slurm out."
        )
    return [line for line in found.stdout.splitlines() if line.strip()]
