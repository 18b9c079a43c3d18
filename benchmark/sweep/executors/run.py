"""The choice of an executor: this process, processes, or a cluster's nodes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmark.core.errors import UsageError
from benchmark.sweep.executors.cluster import Cluster
from benchmark.sweep.executors.executor import Executor
from benchmark.sweep.executors.here import Here
from benchmark.sweep.executors.processes import Processes
from benchmark.sweep.machine import Machine


@contextmanager
def executor_for(
    jobs: int, cluster: Cluster | None, out: Path, machine: Machine
) -> Iterator[Executor]:
    """Open the executor of a sweep's cells.

    Args:
        jobs: Without a cluster: the most processes at a time; 0 for this process.
        cluster: Where cells run; ``None`` for this machine.
        out: The store's folder.
        machine: The machine with its folders.

    Yields:
        The executor; what it shares with nodes is removed at the end.

    Raises:
        UsageError: For a cluster that cannot be used.
    """
    if cluster is None:
        yield Processes(jobs) if jobs else Here()
        return
    with on_nodes(cluster, out, machine) as executor:
        yield executor


@contextmanager
def on_nodes(cluster: Cluster, out: Path, machine: Machine) -> Iterator[Executor]:
    """Open the executor on a cluster's nodes: see ``executor_for``."""
    from benchmark.sweep.executors.data_files import DataOnNodes
    from benchmark.sweep.executors.ground import Shared
    from benchmark.sweep.executors.nodes import Launcher, OnNodes
    from benchmark.sweep.executors.ray_tasks import RayTasks
    from benchmark.sweep.executors.slurm_jobs import SlurmJobs

    shared = Shared(out, machine.state)
    try:
        launcher: Launcher = (
            SlurmJobs(cluster, machine, shared.ground)
            if cluster.ray is None
            else RayTasks(cluster, machine)
        )
        try:
            data = DataOnNodes(shared.ground, ships=cluster.ships_data)
            yield OnNodes(launcher, shared, data, cluster.jobs)
        finally:
            launcher.close()
    finally:
        shared.close()


def check_cluster(cluster: Cluster) -> None:
    """Refuse a cluster that is not there, before anything is read or computed.

    Args:
        cluster: The cluster.

    Raises:
        UsageError: With the remedy.
    """
    if cluster.ray is not None:
        from federation.backend import cluster_at  # loads Flower

        cluster_at(cluster.ray)
        return
    from benchmark.sweep.executors.slurm_jobs import check_slurm

    if shutil.which("sbatch") is None:
        raise UsageError(
            "--slurm needs SLURM's commands, and sbatch is not on this machine; run on a login "
            "node of the cluster, or leave --slurm out."
        )
    check_slurm(cluster.slurm["partition"])
