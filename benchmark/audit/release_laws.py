"""Laws that every release of a noised mean keeps exactly, measured on the release of a fit."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmark.core.budget import Guarantee
from benchmark.core.patches import Patches
from benchmark.privacy.accounting import account
from benchmark.privacy.randomness import SeededNoise
from benchmark.privacy.release import Release, Vectors

NUMBERS = 20_000
SIDE = 4
EACH = 3
LOUD = 1e6
DEVIATIONS = 5.0
ROUNDING = 1e-6

Law = Callable[[Release, Guarantee], str]


def the_noise_is_that_which_was_accounted(release: Release, claim: Guarantee) -> str:
    """Nobody's mean is σ C / N times standard normal numbers, new ones each time."""
    drawn = [_mean(release, 0, SeededNoise(i, "law"), scale=0.0) for i in (1, 2)]
    expected = claim.noise_multiplier * claim.clip_norm / _units(claim)
    found = float(np.std(drawn))
    if abs(found / expected - 1) > DEVIATIONS / math.sqrt(4 * NUMBERS):
        return f"the noise has {found:.3g} for its standard deviation, and {expected:.3g} was paid"
    if abs(float(drawn[0] @ drawn[1])) > DEVIATIONS * math.sqrt(NUMBERS) * expected**2:
        return "two releases have the same noise"
    return ""


def one_unit_moves_the_sum_by_the_clip_norm_at_most(release: Release, claim: Guarantee) -> str:
    """Without noise, zeroing out a unit moves the sum by C at most, whatever the unit holds."""
    with_it, without = (_mean(release, n, _Silence(), scale=LOUD) for n in (2, 1))
    moved = float(np.linalg.norm(with_it - without)) * _units(claim)
    if moved > claim.clip_norm * (1 + ROUNDING):
        return f"one {claim.unit} moves the sum by {moved:.3g}, more than C = {claim.clip_norm:g}"
    return ""


def the_divisor_is_public(release: Release, claim: Guarantee) -> str:
    """Twice the units, twice the mean: a divisor that counts who is there would betray it."""
    one, two = (_mean(release, n, _Silence(), scale=1e-3, alike=True) for n in (1, 2))
    if float(np.linalg.norm(two - 2 * one)) > ROUNDING * float(np.linalg.norm(two)):
        return "the mean of twice as many units is not twice the mean"
    return ""


def the_epsilon_follows_from_the_mechanisms_numbers(release: Release, claim: Guarantee) -> str:
    """The printed ε is what the accountant answers for the release's σ, T and δ."""
    said = release.guarantee
    again = account(
        noise_multiplier=said.noise_multiplier,
        sampling_rate=1.0,
        steps=said.steps,
        delta=claim.delta,
        accountant="gaussian",
    ).epsilon
    if again > claim.epsilon * (1 + 1e-9) or claim.epsilon > claim.target_epsilon:
        return f"the release's numbers cost ε = {again:g}, and {claim.epsilon:g} is printed"
    return ""


LAWS: dict[str, Law] = {
    law.__name__: law
    for law in (
        the_noise_is_that_which_was_accounted,
        one_unit_moves_the_sum_by_the_clip_norm_at_most,
        the_divisor_is_public,
        the_epsilon_follows_from_the_mechanisms_numbers,
    )
}


class _Silence(SeededNoise):
    """No noise, to look at the sum alone."""

    def __init__(self) -> None:
        super().__init__("silence")

    def normal(self, n: int) -> Any:
        return np.zeros(n, np.float32)


def _mean(
    release: Release, units: int, noise: SeededNoise, *, scale: float, alike: bool = False
) -> Vectors:
    """The release's answer to made-up units, whose vectors are random, or one and the same."""
    each = EACH if release.guarantee.unit == "patient" else 1
    masks = np.zeros((units * each, 1, SIDE, SIDE), np.uint8)
    patches = Patches(
        images=np.zeros(masks.shape, np.float32),
        masks=masks,
        patient=np.repeat(np.arange(units), each),
        patients=max(units, 1),
        patches_per_patient=EACH,
    )
    rows = np.random.default_rng(0).standard_normal((1 if alike else 2 * EACH, NUMBERS))
    served = iter(np.resize(np.arange(len(rows)), 2 * EACH))

    def features(some: Patches) -> Vectors:
        return scale * rows[[next(served) for _ in range(len(some))]]

    return release.mean(patches, features, noise)


def _units(claim: Guarantee) -> int:
    return claim.patients * (1 if claim.unit == "patient" else claim.patches_per_patient)
