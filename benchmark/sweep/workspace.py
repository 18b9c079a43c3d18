"""The workspace of a sweep and its listeners. They affect no result."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.core.bounds import JOBS, within
from benchmark.core.errors import UsageError
from benchmark.data.phantom.cohorts import FIRST
from benchmark.data.reading import AS_FOUND, Reading
from benchmark.results.matrix import Square
from benchmark.results.spec import RunSpec
from benchmark.sweep.executors.cluster import Cluster
from benchmark.sweep.executors.executor import Events
from benchmark.sweep.machine import Machine


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """The folders, the machine and the jobs of a sweep. Only the data's content affects a result.

    Attributes:
        out: The store's folder.
        machine: The machine that its cells run on.
        data: A cohort's folder; ``None`` for an embedded one.
        phantoms: The name of the embedded cohort that is used without a folder.
        test_data: Folders of further test sets.
        reading: How all folders are read.
        jobs: Cells at a time, each in a process of its own; 0 for this process. With a cluster, its
            own ``jobs`` count instead.
        cluster: The cluster on whose nodes the cells run; ``None`` for this machine.
        tracking_uri: MLflow's store; ``None`` for the one in ``out``, ``none`` for none.
    """

    out: Path
    machine: Machine
    data: Path | None = None
    phantoms: str = FIRST
    test_data: Sequence[Path] = ()
    reading: Reading = AS_FOUND
    jobs: int = 1
    cluster: Cluster | None = None
    tracking_uri: str | None = None

    def __post_init__(self) -> None:
        within("--jobs", self.jobs, JOBS)
        if self.data is not None and self.phantoms != FIRST:
            raise UsageError(
                "--phantoms names an embedded cohort; leave it out, or leave --data out."
            )

    def with_weights(self, found: Path | None) -> Workspace:
        """Copy with the Inception weights that were found."""
        return replace(self, machine=replace(self.machine, fid_weights=found))

    @property
    def readers(self) -> int:
        """The number of patients that this machine reads at a time before the cells start.

        On a cluster ``jobs`` counts nodes' cells, and a login node holds so many volumes at once
        for nobody.
        """
        return max(1, min(self.jobs, os.cpu_count() or 1))


@dataclass(frozen=True, kw_only=True)
class Listener:
    """Callbacks for what happens in a sweep.

    Attributes:
        preparing: Called for a stage before the cells, with a count.
        planned: Called with every cell, and those still to run.
        events: Callbacks of the cells.
        warning: Called with a sentence about something that affects no result.
        news: Called with a sentence about something that went well.
        drawn: Draws the cross-site matrix into a folder, and returns its file.
        starting: Called when nothing can refuse the sweep any more, before its first cells start.
    """

    preparing: Callable[[str, int, int], None]
    planned: Callable[[list[RunSpec], list[RunSpec]], None]
    events: Events
    warning: Callable[[str], None]
    news: Callable[[str], None]
    drawn: Callable[[Sequence[Square], Path], Path]
    starting: Callable[[], None] = lambda: None
