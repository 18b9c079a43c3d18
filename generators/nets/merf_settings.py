"""The settings of DP-MERF, apart from the embedding and the network that use them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from benchmark.core.generator import RELEASE
from benchmark.core.settings import Settings, Tuned

EVIDENCE = (RELEASE, "noise", "mean")
"""What the network is trained against. All but the first are controls that use no patient."""


@dataclass(frozen=True, kw_only=True)
class DpMerfParams(Settings):
    """Settings of the embedding, the network and its training.

    Attributes:
        clip_norm: C, the largest norm of a unit's vector.
        frequencies: The number of features at each of the embedding's scales.
        looked_at: How many of these a training step uses.
        populations: How many populations are simulated for the embedding.
        latent: Length of the latent vector.
        levels: How often the side of a patch doubles.
        width: Channels of the last hidden layer.
        fakes: How many patches are drawn in a training step.
        steps: How many training steps there are.
        rate: The learning rate.
        averaging: The decay of the running average of the weights.
        evidence: The ``release``; or a control: its ``noise`` alone, or the simulator's ``mean``.
    """

    clip_norm: Annotated[
        float,
        FloatDistribution(1e-2, 100.0, log=True),
        Tuned(FloatDistribution(0.25, 4.0, log=True)),
    ] = 1.0
    frequencies: Annotated[
        int, IntDistribution(1, 4096, log=True), Tuned(IntDistribution(8, 256, log=True))
    ] = 192
    looked_at: Annotated[int, IntDistribution(1, 4096, log=True)] = 48
    populations: Annotated[int, IntDistribution(4, 10_000, log=True)] = 256
    latent: Annotated[int, IntDistribution(2, 512)] = 64
    levels: Annotated[int, IntDistribution(2, 6)] = 3
    width: Annotated[int, IntDistribution(4, 128)] = 16
    fakes: Annotated[
        int, IntDistribution(2, 4096, log=True), Tuned(IntDistribution(32, 128, log=True))
    ] = 64
    steps: Annotated[
        int, IntDistribution(1, 1_000_000, log=True), Tuned(IntDistribution(100, 400, log=True))
    ] = 200
    rate: Annotated[
        float,
        FloatDistribution(1e-5, 1e-1, log=True),
        Tuned(FloatDistribution(1e-3, 1e-2, log=True)),
    ] = 4e-3
    averaging: Annotated[float, FloatDistribution(0.0, 0.9999)] = 0.98
    evidence: Annotated[str, CategoricalDistribution([*EVIDENCE])] = RELEASE
