"""Laws that every release of a noised mean keeps exactly, measured on the release of a fit.

Each law takes the release and its guarantee and returns a sentence if it is broken.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from benchmark.core.budget import Guarantee
from benchmark.core.mechanism import Grid, Integers
from benchmark.core.patches import Patches
from benchmark.privacy.accounting.subsampled_gaussian import account
from benchmark.privacy.mechanisms.release import Release, Vectors
from benchmark.privacy.randomness import SeededNoise

NUMBERS = 4_000
SIDE = 4
EACH = 3
PATCHES = 16
LOUD = 1e6
DEVIATIONS = 5.0
ROUNDING = 1e-6

Law = Callable[[Release, Guarantee], str]


def the_noise_is_that_which_was_accounted(release: Release, claim: Guarantee) -> str:
    """Check that the mean of no units is noise of deviation σ S / N, new each time."""
    drawn = [_mean(release, 0, SeededNoise(i, "law"), scale=0.0) for i in (1, 2)]
    expected = claim.noise_multiplier * claim.sensitivity / claim.units
    found = float(np.std(drawn))
    if abs(found / expected - 1) > DEVIATIONS / math.sqrt(4 * NUMBERS):
        return f"the noise has {found:.3g} for its standard deviation, and {expected:.3g} was paid"
    if abs(float(drawn[0] @ drawn[1])) > DEVIATIONS * math.sqrt(NUMBERS) * expected**2:
        return "two releases have the same noise"
    return ""


def one_unit_moves_the_sum_by_the_clip_norm_at_most(release: Release, claim: Guarantee) -> str:
    """Check without noise that zeroing out a unit moves the sum by C at most."""
    with_it, without = (_mean(release, n, _Silence(), scale=LOUD) for n in (2, 1))
    moved = float(np.linalg.norm(with_it - without)) * claim.units
    if moved > claim.sensitivity * (1 + ROUNDING):
        return f"one {claim.unit} moves the sum by {moved:.3g}, more than {claim.sensitivity:g}"
    return ""


def what_is_put_out_lies_on_the_public_grid(release: Release, claim: Guarantee) -> str:
    """Check that a mean times N is a whole number of grid steps, in every bit."""
    step = claim.grid / claim.units
    found = _mean(release, 2, SeededNoise("law"), scale=LOUD)
    off = float((found != np.round(found / step) * step).mean())
    return f"{100 * off:.0f} % of the numbers lie beside the grid" if off else ""


def the_divisor_is_public(release: Release, claim: Guarantee) -> str:
    """Check that twice the units give twice the mean.

    A divisor that counts who is there would reveal it.
    """
    one, two = (_mean(release, n, _Silence(), scale=1e-3, alike=True) for n in (1, 2))
    if float(np.linalg.norm(two - 2 * one)) > ROUNDING * float(np.linalg.norm(two)):
        return "the mean of twice as many units is not twice the mean"
    return ""


def the_epsilon_follows_from_the_mechanisms_numbers(release: Release, claim: Guarantee) -> str:
    """Check that the claimed ε covers the accountant's for σ, T and δ, and is within the target."""
    said = release.guarantee
    again = account(
        noise_multiplier=said.noise_multiplier,
        sampling_rate=1.0,
        steps=said.steps,
        delta=claim.accounted_delta,
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
        what_is_put_out_lies_on_the_public_grid,
        the_divisor_is_public,
        the_epsilon_follows_from_the_mechanisms_numbers,
    )
}


class _Silence(SeededNoise):
    """No noise, to look at the sum alone."""

    def __init__(self) -> None:
        super().__init__("silence")

    def noised(self, sums: Integers, grid: Grid) -> Integers:
        return sums


def _mean(
    release: Release, units: int, noise: SeededNoise, *, scale: float, alike: bool = False
) -> Vectors:
    """The release's answer to made-up units, whose vectors are random, or one and the same.

    A patch's first pixel says which vector is its own; that of a blank one is zero.
    """
    each = EACH if release.guarantee.unit == "patient" else 1
    images = np.zeros((units * each, 1, SIDE, SIDE), np.float32)
    images[:, 0, 0, 0] = np.arange(1, units * each + 1) / PATCHES
    patches = Patches(
        images=images,
        masks=np.zeros(images.shape, np.uint8),
        patient=np.repeat(np.arange(units), each),
        patients=max(units, 1),
        patches_per_patient=EACH,
    )
    rows = scale * np.random.default_rng(0).standard_normal((PATCHES + 1, NUMBERS))
    rows[1:] = rows[1] if alike else rows[1:]
    rows[0] = 0.0

    def features(some: Patches) -> Vectors:
        return np.asarray(rows[np.round(some.images[:, 0, 0, 0] * PATCHES).astype(np.int64)])

    return release.mean(patches, features, noise)
