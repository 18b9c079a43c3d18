"""Options of commands whose cells may run on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from benchmark.cli.finite import Finite
from benchmark.cli.option import Option

if TYPE_CHECKING:
    from benchmark.sweep.executors.cluster import Cluster


def options(what: str, ray: str) -> Option:
    """Return ``--ray``, ``--slurm`` and what each cell gets on a cluster.

    Args:
        what: What runs there: a cell or a trial.
        ray: The help of ``--ray``.
    """
    added = (
        click.option("--ray", metavar="ADDRESS", help=ray),
        click.option(
            "--slurm",
            metavar="partition=NAME[,time=T,qos=Q,account=A]",
            help=f"Run each {what} as a job of SLURM. The store and the state folder must be on a "
            "file system that all nodes share.",
        ),
        click.option(
            "--cpus-per-cell",
            type=click.IntRange(1),
            metavar="N",
            help=f"On a cluster: cores of a {what}.  [default: 1]",
        ),
        click.option(
            "--gpus-per-cell",
            type=Finite(0),
            metavar="N",
            help=f"On a cluster: GPUs of a {what}.  [default: 0]",
        ),
        click.option(
            "--ship-data",
            is_flag=True,
            help="On a cluster: copy patients' files into the store while it runs, for nodes that "
            "do not see the cohort.",
        ),
    )

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for add in reversed(added):
            command = add(command)
        return command

    return decorate


def asked(options: Mapping[str, Any]) -> Cluster | None:
    """Return the cluster that the parsed options ask for; ``None`` for none.

    Raises:
        UsageError: For options that cannot be combined.
    """
    from benchmark.sweep.executors.cluster import cluster_of

    return cluster_of(
        ray=options["ray"],
        slurm=options["slurm"],
        jobs=options["jobs"],
        cpus_per_cell=options["cpus_per_cell"],
        gpus_per_cell=options["gpus_per_cell"],
        ships_data=options["ship_data"],
    )
