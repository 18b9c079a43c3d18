"""A Ray cluster of nodes on this machine, each with processes of its own.

It lives in a process apart, ``python ray_nodes.py NODES CPUS``, which prints its address, kills its
last node for each line that it reads, and ends with its input.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, cast


@dataclass(frozen=True)
class Nodes:
    """A running cluster.

    Attributes:
        address: As ``--ray`` takes it.
    """

    address: str
    _told: IO[str]

    def kill_last(self) -> None:
        """Kills the last node, with all that runs on it."""
        self._told.write("kill\n")
        self._told.flush()


@contextmanager
def ray_cluster(nodes: int, cpus: int = 1) -> Iterator[Nodes]:
    """Starts a cluster; its first node is the head."""
    command = [sys.executable, __file__, str(nodes), str(cpus)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, **pipes) as process:
        told, said = cast("IO[str]", process.stdin), cast("IO[str]", process.stdout)
        try:
            yield Nodes(said.readline().strip(), told)
        finally:
            told.close()
            process.wait(60)


def main(nodes: int, cpus: int) -> None:
    """Runs the cluster until the input ends."""
    from federation.backend import quiet

    quiet()
    from ray.cluster_utils import Cluster

    head = {"num_cpus": cpus, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(nodes - 1):
            cluster.add_node(num_cpus=cpus)
        cluster.wait_for_nodes()
        sys.stdout.write(f"{cluster.address}\n")
        sys.stdout.flush()
        for _ in sys.stdin:
            cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
