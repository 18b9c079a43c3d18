"""Where a sweep runs, and who hears of it: what decides no result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.core.bounds import JOBS, within
from benchmark.data.reading import AS_FOUND, Reading
from benchmark.results.matrix import Square
from benchmark.results.spec import RunSpec
from benchmark.sweep.executors.executor import Events
from benchmark.sweep.machine import Machine


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """Where a sweep runs and what it runs on; decides no result but by the data's content.

    Attributes:
        out: The store's folder.
        machine: What its cells run on.
        data: A cohort's folder; ``None`` for the embedded one.
        test_data: Folders of further test sets.
        reading: How all folders are read.
        jobs: Cells at a time, each in a process of its own; 0 for this very process.
        tracking_uri: MLflow's store; ``None`` for the one in ``out``, ``none`` for none.
    """

    out: Path
    machine: Machine
    data: Path | None = None
    test_data: Sequence[Path] = ()
    reading: Reading = AS_FOUND
    jobs: int = 1
    tracking_uri: str | None = None

    def __post_init__(self) -> None:
        within("--jobs", self.jobs, JOBS)

    def with_weights(self, found: Path | None) -> Workspace:
        """The same with the Inception weights that were found."""
        return replace(self, machine=replace(self.machine, fid_weights=found))

    @property
    def readers(self) -> int:
        """Patients read at a time."""
        return max(1, self.jobs)


@dataclass(frozen=True, kw_only=True)
class Listener:
    """Who hears of a sweep.

    Attributes:
        preparing: A stage before the cells, with a count.
        planned: Every cell, and those still to run.
        events: What the cells do.
        warning: A sentence about something that costs no result.
        news: A sentence about something that went well.
        drawn: Draws the cross-site matrix into a folder, and says where it is.
        starting: Nothing can refuse the sweep any more; its first cells are about to start.
    """

    preparing: Callable[[str, int, int], None]
    planned: Callable[[list[RunSpec], list[RunSpec]], None]
    events: Events
    warning: Callable[[str], None]
    news: Callable[[str], None]
    drawn: Callable[[Sequence[Square], Path], Path]
    starting: Callable[[], None] = lambda: None
