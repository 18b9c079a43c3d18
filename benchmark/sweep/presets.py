"""What a benchmark needs beyond its plug-ins: how many patches of what size, and FID's numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from optuna.distributions import CategoricalDistribution, IntDistribution

from benchmark.core.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Protocol(Settings):
    """How patches are taken, how many a segmenter learns from, and on how many FID rests."""

    patch_size: Annotated[int, IntDistribution(32, 256)] = 32
    patches_per_patient: Annotated[int, IntDistribution(2, 100_000, log=True)] = 1000
    samples: Annotated[int, IntDistribution(2, 1_000_000, log=True)] = 4096
    fid_n: Annotated[int, IntDistribution(2, 100_000, log=True)] = 512
    fid_dims: Annotated[int, CategoricalDistribution([64, 192, 768, 2048])] = 64


PROTOCOLS = {
    "quick": Protocol(),
    "standard": Protocol(patch_size=64, samples=8192, fid_n=1024, fid_dims=192),
    "paper": Protocol(patch_size=96, samples=41_000, fid_n=2048, fid_dims=2048),
}
