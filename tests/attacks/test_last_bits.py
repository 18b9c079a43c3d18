"""Attackers who know the source, the released bytes and every other patient, against the last bits.

On versions before the grid each of them was right every time: float32 noise on a sum of another
precision lies on another lattice than its neighbour's. Now the best that they can do is to guess by
likelihood, and that is right no more often than ε allows.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import binom, norm

from benchmark.core.budget import Budget, PublicNumbers
from benchmark.core.generator import FitContext
from benchmark.core.patches import Patches
from benchmark.privacy.dpsgd.batch import Batch
from benchmark.privacy.dpsgd.step import Step
from benchmark.privacy.mechanisms.release import Release, grid_of, plan_releases
from benchmark.privacy.randomness import SeededNoise, SystemNoise
from benchmark.privacy.replay import Recorder
from generators.dp_simulator import DpSimulator
from generators.nets.convolutional import PatchCritic, initialise
from generators.nets.players import LOSSES
from generators.simulation import tubes

PATIENTS, EACH, SIZE = 16, 4, 32
GUESSES = 1000
CONFIDENCE = 0.995
"""Of each side: within the 99 % interval."""


def cohort(*, without: int | None = None) -> Patches:
    rng = np.random.default_rng(0)
    images, masks = tubes.draw(tubes.prior(PATIENTS * EACH, rng), SIZE, rng)
    owner = np.repeat(np.arange(PATIENTS), EACH)
    kept = owner != without
    return Patches(
        images=images[kept],
        masks=masks[kept],
        patient=owner[kept],
        patients=PATIENTS,
        patches_per_patient=EACH,
    )


def most_right(guesses: int, chance: float) -> int:
    """So many guesses are right at most, each with a chance, but once in two hundred times."""
    return int(binom.ppf(CONFIDENCE, guesses, chance))


@pytest.mark.parametrize("epsilon", [0.1, 0.5])
def test_a_released_mean_tells_a_patient_no_better_than_epsilon_allows(epsilon: float) -> None:
    public = PublicNumbers(patients=PATIENTS, patches_per_patient=EACH, patch_size=SIZE)
    plan = plan_releases(public, Budget(epsilon=epsilon, delta=1e-5, unit="patient"), clip_norm=3.0)
    generator = DpSimulator(replace(DpSimulator.smoke, populations=50))
    features = generator._features(generator._populations(0, SIZE, "patient"))
    with_it, without = cohort(), cohort(without=3)
    sums = [sums_of(plan, data, features) for data in (with_it, without)]
    scale, step = plan.noise_multiplier * plan.sensitivity / plan.grid, plan.grid / PATIENTS
    grid, source = grid_of(plan.noise_multiplier, 3.0), SeededNoise("guesses")
    rng, right = np.random.default_rng(1), 0
    for _ in range(GUESSES):
        there = bool(rng.random() < 0.5)
        noised = source.noised(sums[not there], grid)
        released = noised * step
        steps = released / step
        assert np.array_equal(np.round(steps) * step, released), "on the grid, for both"
        likelihoods = [-(np.square(np.round(steps) - each) / (2 * scale**2)).sum() for each in sums]
        right += (likelihoods[0] > likelihoods[1]) == there
    allowed = math.exp(epsilon) / (1 + math.exp(epsilon)) + plan.delta
    assert right <= most_right(GUESSES, allowed)


def sums_of(plan, data: Patches, features) -> np.ndarray:
    """What the release hands to its noise."""

    class Silent(SystemNoise):
        def noised(self, sums, grid):
            return sums

    recorder = Recorder(Silent())
    Release(plan).mean(data, features, recorder)
    return recorder.outputs[0].sums


def test_a_sites_reply_lies_on_one_grid_whoever_is_there() -> None:
    public = PublicNumbers(patients=PATIENTS, patches_per_patient=EACH, patch_size=SIZE)
    budget = Budget(epsilon=0.1, delta=1e-5, unit="patient")
    generator = DpSimulator(DpSimulator.smoke)
    plan = generator.plan(public, budget)
    for data in (cohort(), cohort(without=3)):
        context = FitContext(seed=0, noise=SystemNoise(), charge=lambda charged: None)
        side = generator.site_side(data, plan, None)
        reply = side.compute(1, {"seed": np.array([0])}, context)["mean"]
        step = plan.grid / PATIENTS
        assert np.array_equal(np.round(reply / step) * step, reply)


@pytest.mark.parametrize(("units", "sigma"), [(64, 0.78), (8, 11.63)])
def test_a_noised_gradient_tells_a_unit_no_better_than_its_noise_allows(units, sigma) -> None:
    """The attacker has both clipped sums, and knows to a bit what each could have led to."""
    torch.set_num_threads(1)
    critic = PatchCritic(levels=3, width=8, norm="none", padding=1)
    initialise(critic, torch.Generator().manual_seed(0))
    data = cohort()
    real = torch.cat([torch.from_numpy(data.images), torch.from_numpy(data.masks) * 2.0 - 1], 1)
    owner = torch.arange(64) // (64 // units)
    present = owner != 0
    blank = real * present[:, None, None, None]
    step = Step(
        real_loss=LOSSES["hinge"][0],
        fake_loss=LOSSES["hinge"][1],
        expected_units=float(units),
        clip_norm=0.25,
        noise_multiplier=sigma,
    )
    batches = (Batch(real, owner), Batch(blank, owner, None, present))
    seen = []
    for batch in batches:
        recorder = Recorder(SystemNoise())
        step.gradient(critic, batch, recorder)
        seen.append(recorder.outputs[0])
    here, there = (output.sums.astype(np.float64) for output in seen)
    grid, apart = seen[0].grid, here - there
    rng, right, guesses, source = np.random.default_rng(2), 0, 400, SeededNoise("guesses")
    for _ in range(guesses):
        with_it = bool(rng.random() < 0.5)
        sums = seen[0].sums if with_it else seen[1].sums
        noised = source.noised(sums, grid)
        assert noised.dtype == np.int64
        right += (((noised - (here + there) / 2) @ apart) > 0) == with_it
    distance = np.linalg.norm(apart) * grid.spacing
    assert 0 < distance <= grid.sensitivity
    assert right <= most_right(guesses, norm.cdf(1 / (2 * sigma)))


@pytest.mark.parametrize("without", [None, 0])
def test_no_number_of_a_gradient_is_one_that_only_one_data_set_explains(without) -> None:
    critic = PatchCritic(levels=3, width=8, norm="none", padding=1)
    initialise(critic, torch.Generator().manual_seed(0))
    data = cohort(without=without)
    real = torch.cat([torch.from_numpy(data.images), torch.from_numpy(data.masks) * 2.0 - 1], 1)
    step = Step(
        real_loss=LOSSES["hinge"][0], expected_units=64.0, clip_norm=0.25, noise_multiplier=0.78
    )
    recorder = Recorder(SystemNoise())
    found = step.gradient(critic, Batch(real, torch.arange(len(real))), recorder).double()
    spacing = recorder.outputs[0].grid.spacing / 64
    assert torch.equal((torch.round(found / spacing) * spacing).float(), found.float())
