"""Cells as tasks of a Ray cluster."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.core.errors import UsageError
from benchmark.sweep.executors.cluster import Cluster
from benchmark.sweep.executors.errand import Ended, Errand, run_errand
from benchmark.sweep.executors.nodes import Lost, Sent
from benchmark.sweep.machine import Machine

GIB = 1 << 30
ALIVE_EACH_S = 5.0
"""How often it is looked whether the cluster answers. Ray itself would wait for minutes."""


class RayTasks:
    """Sends errands to a Ray cluster, each as one task that Ray itself never repeats.

    Args:
        cluster: The cluster, and what a cell gets of it.
        machine: For the memory that a cell may hold.

    Raises:
        UsageError: At construction, if the cluster cannot be joined.
    """

    def __init__(self, cluster: Cluster, machine: Machine) -> None:
        from federation.backend import cluster_at, quiet

        quiet()
        import ray

        self._ray: Any = ray
        self._address = cluster_at(cluster.ray or "")
        try:
            self._ray.init(
                address=self._address,
                log_to_driver=False,
                logging_level=logging.ERROR,
                include_dashboard=False,
            )
        except Exception as error:  # another version of Ray or Python, say
            raise UsageError(
                f"Ray's cluster {self._address} cannot be joined "
                f"({str(error).strip().splitlines()[0]}); its nodes need this suite's own "
                "environment."
            ) from error
        self._needs = _needs(cluster, machine)
        self._seen = time.monotonic()
        self._task = self._ray.remote(run_errand).options(
            num_cpus=cluster.cpus_per_cell,
            num_gpus=cluster.gpus_per_cell,
            memory=self._needs.get("memory"),
            max_retries=0,
            name="angiobench cell",
        )
        if cluster.jobs is None and not self._fitting():
            self.close()
            raise UsageError(
                f"No node of Ray's cluster {self._address} has {_said(self._needs)} for a cell; "
                "ask for less, or say --jobs where the cluster grows by itself."
            )

    def room(self) -> int:
        """Return how many cells the nodes that are alive have resources for; at least 1."""
        return max(1, self._fitting())

    def send(self, errand: Errand) -> Sent:
        """Send an errand: see ``Launcher.send``."""
        return RayTask(self._ray, self._task.remote(errand))

    def wait(self, sent: Sequence[Sent], timeout_s: float) -> None:
        """Wait for one of them: see ``Launcher.wait``."""
        refs = [one.ref for one in sent if isinstance(one, RayTask)]
        if refs:
            self._ray.wait(refs, num_returns=1, timeout=timeout_s)
        if time.monotonic() - self._seen > ALIVE_EACH_S:
            from federation.backend import cluster_at

            cluster_at(self._address)
            self._seen = time.monotonic()

    def close(self) -> None:
        """Leave the cluster."""
        self._ray.shutdown()

    def _fitting(self) -> int:
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        return sum(_times(node, self._needs) for node in nodes)


@dataclass
class RayTask:
    """An errand as a task of Ray.

    Attributes:
        ray: The library.
        ref: The task's answer to be.
    """

    ray: Any
    ref: Any

    def answer(self) -> Ended | Lost | None:
        """Return how it ended: see ``Sent.answer``."""
        if not self.ray.wait([self.ref], timeout=0)[0]:
            return None
        errors = self.ray.exceptions
        try:
            ended: Ended = self.ray.get(self.ref)
        except errors.RayTaskError as error:  # this suite's own code could not run there
            return Ended("failed", f"A node could not begin the cell: {error}")
        except errors.RayError as error:
            return Lost(
                "The cell's node or worker was lost twice "
                f"({type(error).__name__}); the same command tries it again."
            )
        return ended

    def cancel(self) -> None:
        """End it at once."""
        self.ray.cancel(self.ref, force=True)


def _needs(cluster: Cluster, machine: Machine) -> dict[str, float]:
    """What a cell needs of a node, in Ray's own terms."""
    memory = machine.cell_memory_gib
    needs = {"CPU": float(cluster.cpus_per_cell), "GPU": float(cluster.gpus_per_cell)}
    if memory is not None:
        needs["memory"] = float(int(memory * GIB))
    return {name: much for name, much in needs.items() if much}


def _times(node: Mapping[str, float], needs: Mapping[str, float]) -> int:
    """How many cells a node has resources for."""
    return min(int(node.get(name, 0.0) // much) for name, much in needs.items())


def _said(needs: Mapping[str, float]) -> str:
    units = {"CPU": "CPUs", "GPU": "GPUs", "memory": "bytes of memory"}
    return ", ".join(f"{much:g} {units[name]}" for name, much in needs.items())
