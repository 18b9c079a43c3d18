"""What a fit runs on: one record, passed whole, that decides no result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A machine with its folders and devices.

    Attributes:
        cache: What can be computed again.
        state: What must stay: the ledger, and this machine's secret.
        fid_weights: The Inception weights; ``None`` to look in the usual places, and later where
            there are none.
        device: A torch device's name.
        backend: Where the sites of federated cells run: ``in-process`` or ``ray``.
        site_timeout_s: How long a site may take for an answer.
    """

    cache: Path
    state: Path
    fid_weights: Path | None = None
    device: str = "cpu"
    backend: str = "in-process"
    site_timeout_s: float = 600.0


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Where one cell works.

    Attributes:
        folder: The cell's own folder.
        machine: What it runs on.
    """

    folder: Path
    machine: Machine
