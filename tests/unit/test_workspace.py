"""A sweep's folders, machine and jobs."""

import os
from pathlib import Path

import pytest

from benchmark.core.errors import UsageError
from benchmark.sweep.executors.cluster import Cluster
from benchmark.sweep.machine import Machine
from benchmark.sweep.workspace import Workspace

HERE = Path("nowhere")
CORES = os.cpu_count() or 1


@pytest.mark.parametrize("cluster", [None, Cluster(slurm={"partition": "cells"}, jobs=1024)])
@pytest.mark.parametrize(("jobs", "readers"), [(0, 1), (1, 1), (CORES, CORES), (1024, CORES)])
def test_no_more_volumes_are_read_at_once_than_there_are_cores(
    cluster: Cluster | None, jobs: int, readers: int
) -> None:
    machine = Machine(cache=HERE, state=HERE)
    assert Workspace(out=HERE, machine=machine, jobs=jobs, cluster=cluster).readers == readers


@pytest.mark.parametrize(
    ("field", "option"),
    [
        ("site_timeout_s", "--site-timeout"),
        ("cell_timeout_s", "--cell-timeout"),
        ("cell_memory_gib", "--cell-memory"),
    ],
)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0, -1.0, 2e9])
def test_a_limit_that_no_clock_counts_is_refused_from_python_too(
    field: str, option: str, value: float
) -> None:
    with pytest.raises(UsageError, match=f"Expected {option} above 0 and at most 1000000000, got"):
        Machine(cache=HERE, state=HERE, **{field: value})
    assert Machine(cache=HERE, state=HERE, **{field: 1e9})
