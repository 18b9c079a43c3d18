"""The place of a site's work: its patients, its folders and what its people agreed on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmark.core.budget import Guarantee
from benchmark.data.cohort import Patient
from federation.secure_site import Agreed


@dataclass(frozen=True, kw_only=True)
class Post:
    """The place of a site's work. Only its patients affect a result.

    Attributes:
        index: The site's number, from 0.
        name: Its name.
        patients: Its training patients as its cohort lists them; their number is public. ``None``
            for one whose files cannot be used.
        voxels: The patients as the ledger knows them: each an ``Identity`` or its text.
        data: Digest of their files.
        private: Whether they are real; false for phantoms.
        folder: What the site keeps of this run.
        cache: The folder of what can be made again.
        state: The folder of its ledger.
        seeded_allowed: Whether noise may come from the server's seed, as in a benchmark.
        planned: The guarantee, if it was planned before.
        device: A torch device's name.
        faults: Why some patients' files cannot be used, for the site alone.
        remote: Whether another party runs the server, as in a deployment.
        agreed: What its people agreed on for secure sums; ``None`` for local noise.
    """

    index: int
    name: str
    patients: tuple[Patient | None, ...]
    voxels: tuple[str, ...]
    data: str
    private: bool
    folder: Path
    cache: Path
    state: Path
    seeded_allowed: bool
    planned: Guarantee | None = None
    device: str = "cpu"
    faults: tuple[str, ...] = ()
    remote: bool = False
    agreed: Agreed | None = None
