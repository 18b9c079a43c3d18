"""What an owner asks of ``bench release``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmark.core.bounds import FIRST_SEED, RELEASED, STACKED, within
from benchmark.data.reading import AS_FOUND, Reading

PER_VOLUME, PATCHES = 100, 2000


@dataclass(frozen=True, kw_only=True)
class ReleaseRequest:
    """What an owner asks for.

    Attributes:
        run: The folder of a run or of a deployment's run, or a run's key.
        out: Where the release is put; nothing may be there.
        store: The folder of results.
        patches: How many synthetic patches.
        seed: Seeds their latent draws.
        licence: An SPDX identifier.
        data: The cohort's folder; ``None`` for phantoms.
        reading: How it is read.
        consents: The folder with the consents of a federated run's sites.
        weights: Whether the generator's weights leave too.
        not_private: Whether it may leave without a guarantee, as phantoms may.
        disclose: Whether figures measured on patients are said, which no ε covers.
        sign: The owner's private Ed25519 key in PEM; ``None`` for no signature.
        per_volume: How many patches are the slices of one volume.
        jobs: How many phantoms are made at a time.

    Raises:
        UsageError: At construction, for a number out of its range.
    """

    run: str
    out: Path
    store: Path
    licence: str
    patches: int = PATCHES
    seed: int = 0
    data: Path | None = None
    reading: Reading = AS_FOUND
    consents: Path | None = None
    weights: bool = False
    not_private: bool = False
    disclose: bool = False
    sign: Path | None = None
    per_volume: int = PER_VOLUME
    jobs: int = 1

    def __post_init__(self) -> None:
        within("--n", self.patches, RELEASED)
        within("--seed", self.seed, FIRST_SEED)
        within("--per-volume", self.per_volume, STACKED)
