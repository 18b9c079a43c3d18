"""The settings of the WGANs, apart from the players and sites that use them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from benchmark.core.settings import Later, Settings, Tuned

BEGINNINGS = ("noise", "simulator")
EDGES = ("fixed", "moved")
ALL_LAYERS = 7
"""The most layers that a critic has."""


@dataclass(frozen=True, kw_only=True)
class WganParams(Settings):
    """Settings of the WGAN; the preset ``paper`` has the paper's.

    ``begin`` is what the generator makes a patch from: ``noise``, as the paper's does, or a patch
    of the data-free ``simulator``, which it refines (``nets.refining``). With ``simulator``,
    ``pixel_mm`` is the side of the patches' pixels, ``generator_width`` is the refiner's, and
    ``upsampling`` and ``head`` are not used. Its masks are the simulator's, unless ``edges`` is
    ``moved``: then training decides where a vessel's label ends.
    """

    latent: Annotated[int, IntDistribution(2, 512)] = 64
    levels: Annotated[int, IntDistribution(2, 6)] = 3
    generator_width: Annotated[int, IntDistribution(4, 128)] = 16
    critic_width: Annotated[int, IntDistribution(4, 128)] = 16
    upsampling: Annotated[str, CategoricalDistribution(["nearest", "transposed"])] = "nearest"
    head: Annotated[str, CategoricalDistribution(["compositional", "plain"])] = "compositional"
    critic_norm: Annotated[str, CategoricalDistribution(["none", "instance"])] = "none"
    critic_padding: Annotated[int, IntDistribution(1, 2)] = 1
    loss: Annotated[str, CategoricalDistribution(["hinge", "wasserstein"])] = "hinge"
    constraint: Annotated[str, CategoricalDistribution(["spectral", "weights"])] = "spectral"
    bound: Annotated[
        float, FloatDistribution(1e-3, 10.0, log=True), Tuned(FloatDistribution(0.5, 8.0, log=True))
    ] = 2.0
    optimiser: Annotated[str, CategoricalDistribution(["adam", "rmsprop"])] = "adam"
    generator_rate: Annotated[
        float,
        FloatDistribution(1e-5, 1e-1, log=True),
        Tuned(FloatDistribution(3e-4, 1e-2, log=True)),
    ] = 2e-3
    critic_rate: Annotated[
        float,
        FloatDistribution(1e-5, 1e-1, log=True),
        Tuned(FloatDistribution(1e-3, 2e-2, log=True)),
    ] = 5e-3
    schedule: Annotated[str, CategoricalDistribution(["constant", "cosine"])] = "cosine"
    batch: Annotated[
        int, IntDistribution(1, 4096, log=True), Tuned(IntDistribution(64, 384, log=True), "patch")
    ] = 256
    fakes: Annotated[int, IntDistribution(1, 4096, log=True)] = 64
    patients_per_step: Annotated[
        int, IntDistribution(1, 4096, log=True), Tuned(IntDistribution(2, 16, log=True), "patient")
    ] = 8
    critic_steps: Annotated[int, IntDistribution(1, 20), Tuned(IntDistribution(2, 6))] = 4
    generator_steps: Annotated[
        int, IntDistribution(1, 1_000_000, log=True), Tuned(IntDistribution(150, 400, log=True))
    ] = 220
    averaging: Annotated[
        float, FloatDistribution(0.0, 0.9999), Tuned(FloatDistribution(0.95, 0.998))
    ] = 0.99
    pretrain: Annotated[
        str,
        CategoricalDistribution(["none", "simulator"]),
        Tuned(CategoricalDistribution(["none", "simulator"])),
    ] = "none"
    pretrain_steps: Annotated[int, IntDistribution(1, 100_000, log=True)] = 100
    trained_layers: Annotated[int, IntDistribution(1, ALL_LAYERS)] = ALL_LAYERS
    begin: Annotated[str, CategoricalDistribution([*BEGINNINGS]), Later()] = "noise"
    pixel_mm: Annotated[float, FloatDistribution(0.2, 5.0), Later()] = 0.8
    edges: Annotated[str, CategoricalDistribution([*EDGES]), Later()] = "fixed"

    @property
    def patches_per_draw(self) -> int:
        """The most patches that a drawn patient brings."""
        return max(1, self.batch // self.patients_per_step)


PAPER = WganParams(
    latent=128,
    levels=5,
    generator_width=96,
    critic_width=96,
    upsampling="transposed",
    head="plain",
    critic_norm="instance",
    critic_padding=2,
    loss="wasserstein",
    constraint="weights",
    bound=0.01,
    optimiser="rmsprop",
    generator_rate=5e-5,
    critic_rate=5e-5,
    schedule="constant",
    batch=32,
    fakes=32,
    critic_steps=5,
    generator_steps=12_812,  # 50 epochs of 41,000 patches in batches of 32, five to a step
    averaging=0.0,
)
"""The settings of Kossen et al. (2022) and their released code."""

STANDARD = WganParams(levels=4, generator_steps=400)
