"""Pretraining of a WGAN before it sees a patient: a game on simulated patches.

The patches come from the vessel simulator's prior, so from no data, and pretraining costs no
privacy. If the first layers of the critic are frozen afterwards, fewer weights are noised.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from benchmark.core.budget import Budget, Guarantee, PublicNumbers
from benchmark.core.generator import FitContext
from benchmark.core.patches import Patches
from benchmark.core.seeds import stream
from benchmark.privacy.dpsgd.engines import DEFAULT_ENGINE
from benchmark.privacy.randomness import SeededNoise
from generators.nets.adversarial import Game
from generators.nets.players import Players
from generators.nets.wgan_settings import WganParams
from generators.simulation import tubes

PATCHES = 8192
ANY_DELTA = 1e-5


def begin(players: Players, params: WganParams, size: int, context: FitContext) -> None:
    """Give both networks the weights with which they begin: their own, or pretrained ones.

    A fit that continues from a checkpoint keeps its weights, and nothing is simulated.
    """
    goes_on = context.checkpoint is not None and context.checkpoint.state is not None
    if params.pretrain == "none" or goes_on:
        return
    game = _game(params, size, context)
    game.play()
    weights = {n: t for n, t in game.tensors().items() if not n.startswith("of ")}
    players.load(weights)


def _game(params: WganParams, size: int, context: FitContext) -> Game:
    """As many generator steps as are set for it, without privacy, on patches of nobody's."""
    seed = stream(context.seed, "pretraining")
    plain = replace(
        params,
        pretrain="none",
        generator_steps=params.pretrain_steps,
        schedule="constant",
        trained_layers=params.levels + 1,
    )
    patches = _simulated(size, seed)
    public = PublicNumbers(patients=1, patches_per_patient=len(patches), patch_size=size)
    budget = Budget(epsilon=math.inf, delta=ANY_DELTA, unit="patch")
    guarantee = replace(
        Guarantee.of(public, budget, epsilon=math.inf),
        sampling_rate=min(1.0, params.batch / len(patches)),
    )
    mine = FitContext(
        seed=seed,
        noise=SeededNoise(seed, "pretraining"),
        charge=lambda nobody: None,
        device=context.device,
    )
    return Game(plain, patches, guarantee, mine, engine=DEFAULT_ENGINE)


def _simulated(size: int, seed: int) -> Patches:
    rng = np.random.default_rng(seed)
    images, masks = tubes.draw(tubes.prior(PATCHES, rng), size, rng)
    return Patches(
        images=images,
        masks=masks,
        patient=np.zeros(PATCHES, np.int64),
        patients=1,
        patches_per_patient=PATCHES,
    )
