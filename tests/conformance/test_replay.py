"""Private generators that learn of their patients past their mechanisms, each found by name."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import numpy as np
import pytest
import torch

import generators.checks
from benchmark.core.laws import LawBrokenError
from generators.dp_simulator import DpSimulator
from generators.dp_wgan import DpWgan

LAW = "is_post_processing_but_for_its_mechanisms"


class KeepsPatches(DpSimulator):
    """Charges honestly, releases one mean, and hands out a patient's patches."""

    def fit(self, patches, guarantee, context):
        spent = super().fit(patches, guarantee, context)
        self._kept = np.array(patches.images[:1])
        return spent

    def sample(self, n, *, seed):
        drawn = super().sample(n, seed=seed)
        if len(self._kept):
            drawn.images[0] = self._kept[0]
        return drawn


class StartsAtTheVesselFraction(DpWgan):
    """The generator's first bias starts at how much of the patients' patches is vessel."""

    def fit(self, patches, guarantee, context):
        spent = super().fit(patches, guarantee, context)
        fraction = float(patches.masks.mean()) if len(patches) else 0.0
        with torch.no_grad():
            next(self._net.parameters()).add_(fraction)
        return spent


class ScalesByTheirSpread(DpSimulator):
    """Statistics are scaled back by the patients' own spread."""

    def _learn(self, populations, mean, deviation, clip_norm, size):
        super()._learn(populations, mean * self._spread, deviation, clip_norm, size)

    def fit(self, patches, guarantee, context):
        self._spread = float(patches.images.std()) if len(patches) else 1.0
        return super().fit(patches, guarantee, context)


class StopsEarly(DpWgan):
    """Takes fewer steps where the patients are dark."""

    def fit(self, patches, guarantee, context):
        dark = len(patches) and float(patches.images.mean()) < -0.2
        other = type(self)(dataclasses.replace(self.params, generator_steps=1 if dark else 2))
        plan = replace(guarantee, steps=other.params.generator_steps * self.params.critic_steps)
        super(StopsEarly, other).fit(patches, plan, context)
        self._net = other._net
        return replace(guarantee, seeded=context.noise.seeded)


class FailsWhereAPatientIsMissing(DpSimulator):
    """Ends in an error that tells who is there."""

    def fit(self, patches, guarantee, context):
        spent = super().fit(patches, guarantee, context)
        if len(np.unique(patches.patient)) < patches.patients:
            raise ValueError("A patient has no patches.")
        return spent


class TellsTheLoss(DpSimulator):
    """Its curve is a mean of the patients' patches."""

    def fit(self, patches, guarantee, context):
        spent = super().fit(patches, guarantee, context)
        context.progress(1, 1, {"brightness": float(patches.images.sum())})
        return spent


class KeepsThemWhereNoSeedTells(KeepsPatches):
    """Is honest wherever its noise is seeded, as in every benchmark."""

    def sample(self, n, *, seed):
        return (
            super().sample(n, seed=seed)
            if not self._seeded
            else DpSimulator.sample(self, n, seed=seed)
        )

    def fit(self, patches, guarantee, context):
        self._seeded = context.noise.seeded
        return super().fit(patches, guarantee, context)


@pytest.mark.parametrize(
    "leak",
    [
        KeepsPatches,
        KeepsThemWhereNoSeedTells,
        StartsAtTheVesselFraction,
        ScalesByTheirSpread,
        StopsEarly,
        FailsWhereAPatientIsMissing,
        TellsTheLoss,
    ],
)
def test_whoever_learns_of_patients_past_its_mechanisms_breaks_the_replay_law(leak) -> None:
    with pytest.raises(LawBrokenError, match=leak.name):
        generators.checks.LAWS[LAW](leak)
