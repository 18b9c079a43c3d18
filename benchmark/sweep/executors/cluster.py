"""The cluster that a user asks for: Ray or SLURM, and what each cell gets of it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmark.core.bounds import JOBS, shortened, within
from benchmark.core.errors import UsageError
from benchmark.core.names import unknown

SLURM_OPTIONS = ("partition", "time", "qos", "account")
CPUS, GPUS = (1, 1_024), (0, 64)
NEEDS = "--cpus-per-cell, --gpus-per-cell and --ship-data need --ray or --slurm"
TIME = re.compile(r"(?:(\d{1,4})-)?(\d{1,6})(?::(\d{1,2}))?(?::(\d{1,2}))?")


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A cluster on whose nodes cells run. It affects no result.

    Attributes:
        ray: The address of a Ray cluster, ``HOST:PORT`` or ``auto``; ``None`` for SLURM.
        slurm: The options of SLURM's jobs by name; empty for Ray.
        jobs: The most cells at a time; ``None`` for as many as the cluster takes.
        cpus_per_cell: Cores of each cell.
        gpus_per_cell: GPUs of each cell; with Ray it may be a part of one.
        ships_data: Whether patients' files are copied to where all nodes find them.

    Raises:
        UsageError: At construction, for a value out of range.
    """

    ray: str | None = None
    slurm: Mapping[str, str] = field(default_factory=dict)
    jobs: int | None = None
    cpus_per_cell: int = 1
    gpus_per_cell: float = 0.0
    ships_data: bool = False

    def __post_init__(self) -> None:
        within("--cpus-per-cell", self.cpus_per_cell, CPUS)
        within("--gpus-per-cell", self.gpus_per_cell, GPUS)
        if self.jobs is not None:
            within("--jobs", self.jobs, JOBS)
        if self.jobs == 0:
            raise UsageError(
                "--jobs 0 runs cells in this process, and --ray or --slurm on a cluster; leave one "
                "of them out."
            )
        if self.slurm and not float(self.gpus_per_cell).is_integer():
            raise UsageError(
                f"--slurm gives a cell whole GPUs, got --gpus-per-cell {self.gpus_per_cell:g}."
            )
        minutes_of(self.slurm.get("time", "0"))


def cluster_of(
    *,
    ray: str | None,
    slurm: str | None,
    jobs: int | None,
    cpus_per_cell: int | None,
    gpus_per_cell: float | None,
    ships_data: bool,
) -> Cluster | None:
    """Return the cluster that the options ask for; ``None`` for none.

    Args:
        ray: The address of a Ray cluster for cells.
        slurm: The text of ``--slurm``.
        jobs: The most cells at a time; ``None`` for as many as the cluster takes.
        cpus_per_cell: Cores of a cell; ``None`` for one.
        gpus_per_cell: GPUs of a cell; ``None`` for none.
        ships_data: Whether patients' files are copied to where all nodes find them.

    Raises:
        UsageError: For options that cannot be combined, or are wrong.
    """
    if ray is None and slurm is None:
        if cpus_per_cell is not None or gpus_per_cell is not None or ships_data:
            raise UsageError(f"{NEEDS}; leave them out, or name the cluster.")
        return None
    if ray is not None and slurm is not None:
        raise UsageError(
            "--ray and --slurm name two clusters for the cells; leave one of them out."
        )
    return Cluster(
        ray=ray,
        slurm=slurm_options(slurm) if slurm is not None else {},
        jobs=jobs,
        cpus_per_cell=1 if cpus_per_cell is None else cpus_per_cell,
        gpus_per_cell=gpus_per_cell or 0.0,
        ships_data=ships_data,
    )


def slurm_options(text: str) -> dict[str, str]:
    """Read the text of ``--slurm``.

    Raises:
        UsageError: For an unknown option, one without a value, or no partition.

    Examples:
        >>> slurm_options("partition=cpu,time=2:00:00")
        {'partition': 'cpu', 'time': '2:00:00'}
    """
    found: dict[str, str] = {}
    for part in text.split(","):
        name, _, value = (one.strip() for one in part.partition("="))
        if name not in SLURM_OPTIONS:
            raise UsageError(unknown("option of --slurm", name, list(SLURM_OPTIONS)))
        if not re.fullmatch(r"[\w.:@+-]+", value):
            raise UsageError(f"Expected --slurm {name}=VALUE, got {shortened(repr(part))}.")
        found[name] = value
    if "partition" not in found:
        raise UsageError(
            "--slurm needs a partition, as --slurm partition=NAME; `sinfo` lists them."
        )
    return found


def minutes_of(time: str) -> int:
    """Return a time as SLURM writes it in minutes, rounded up.

    Args:
        time: ``M``, ``M:S``, ``H:M:S``, ``D-H``, ``D-H:M`` or ``D-H:M:S``.

    Raises:
        UsageError: For anything else.

    Examples:
        >>> [minutes_of(time) for time in ("90", "1:30", "2:00:00", "1-12")]
        [90, 2, 120, 2160]
    """
    found = TIME.fullmatch(time)
    if found is None:
        raise UsageError(
            "Expected --slurm time=MINUTES, HOURS:MINUTES:SECONDS or DAYS-HOURS, got "
            f"{shortened(repr(time))}."
        )
    days, *rest = found.groups()
    first, second, third = (int(one or 0) for one in rest)
    with_hours = days is not None or rest[2] is not None
    hours, minutes, seconds = (first, second, third) if with_hours else (0, first, second)
    return (int(days or 0) * 24 + hours) * 60 + minutes + math.ceil(seconds / 60)
