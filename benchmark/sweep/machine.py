"""The machine that a fit runs on, as one record. It affects no result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmark.core.bounds import limit


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A machine with its folders and devices.

    Attributes:
        cache: The folder of what can be computed again.
        state: The folder of what must stay: the ledger, and this machine's secret.
        fid_weights: The Inception weights. Before the sweep looks for them, ``None`` means the
            usual places; afterwards it means that there are none.
        device: A torch device's name.
        backend: Where the sites of federated cells run: ``in-process`` or ``ray``.
        ray: With the backend ``ray``: the address of the Ray cluster that such sites join, or
            ``auto``; ``None`` for one of their own.
        site_timeout_s: How long a site may take for an answer.
        cell_timeout_s: How long a cell's process may take; ``None`` for as long as it likes.
        cell_memory_gib: How much memory it may hold; ``None`` for as much as there is.

    Raises:
        UsageError: At construction, for a limit that is not above 0, or too large for a clock.
    """

    cache: Path
    state: Path
    fid_weights: Path | None = None
    device: str = "cpu"
    backend: str = "in-process"
    ray: str | None = None
    site_timeout_s: float = 600.0
    cell_timeout_s: float | None = None
    cell_memory_gib: float | None = None

    def __post_init__(self) -> None:
        """A plug-in that changes the directory, or another node, moves no folder of ours."""
        for name, value in (
            ("--site-timeout", self.site_timeout_s),
            ("--cell-timeout", self.cell_timeout_s),
            ("--cell-memory", self.cell_memory_gib),
        ):
            if value is not None:
                limit(name, value)
        for name in ("cache", "state"):
            object.__setattr__(self, name, getattr(self, name).absolute())
        if self.fid_weights is not None:
            object.__setattr__(self, "fid_weights", self.fid_weights.absolute())


@dataclass(frozen=True, kw_only=True)
class Bench:
    """The place where one cell works.

    Attributes:
        folder: The cell's own folder.
        machine: The machine that it runs on.
    """

    folder: Path
    machine: Machine
