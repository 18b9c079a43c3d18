"""The cost of private choices: ε at δ = 0, in exact fractions, with bounds for the other unit.

One unit raises the sums by at most Δ, each by an amount of its own, and lowers none.
Permute-and-flip then chooses as the largest sum does after exponential noise of scale σ Δ is added
to each (``choice`` has the proof). It is (1/σ)-DP. T such choices, each of which may depend on the
earlier ones, are (T/σ)-DP, because probabilities multiply. σ is also the standard deviation of that
noise, over Δ.

**A patient of k patches, each a unit,** raises every sum by at most k Δ and lowers none, so choices
that are ε-DP for a patch are kε-DP for the patient.

**A patch of a patient who is the unit** decides what its patient adds. Zeroing out or changing it
changes the patient's scores, up for one candidate and down for another. The difference of two sums
moves by at most 2 Δ, so the choices are 2ε-DP for the patch. That is the cost of removing the
patient and adding another one.
"""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from benchmark.core.budget import PERMUTE_AND_FLIP, Guarantee
from benchmark.core.errors import UsageError
from benchmark.core.rounding import least_float
from benchmark.privacy.accounting.units import Steps

if TYPE_CHECKING:
    from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution

FINENESS = 1 << 20
"""Δ / γ: the number of grid steps in a full score, the most that a unit gives a candidate."""

FULL_SCORE = 1.0
_COMPOSED_POINTS = 1_000_000
_INTERVAL = 1e-4


def noise_of_choices(epsilon: float, choices: int) -> float:
    """Return the least σ with which some choices together are ε-DP.

    Args:
        epsilon: The target ε; finite and above 0.
        choices: T, the number of choices.

    Returns:
        The least float σ with T/σ ≤ ε.

    Raises:
        UsageError: If there is none, as for ε = 0.
    """
    if not 0 < epsilon < math.inf or math.isinf(sigma := choices / epsilon):
        raise UsageError(f"Expected epsilon above 0 for a choice, got {epsilon:g}.")
    while Fraction(choices) / Fraction(sigma) > Fraction(epsilon):
        sigma = math.nextafter(sigma, math.inf)
    return sigma


def epsilon_of_choices(noise_multiplier: float, choices: int) -> float:
    """Return the ε of some choices together, T/σ, rounded up.

    Args:
        noise_multiplier: σ, at least 0.
        choices: T, at least 0.

    Returns:
        The least float that is not below T/σ; 0 for no choices, infinity without noise.
    """
    if choices == 0:
        return 0.0
    if noise_multiplier == 0:
        return math.inf
    return least_float(Fraction(choices) / Fraction(noise_multiplier))


def with_noise(plain: Guarantee, epsilon: float) -> Guarantee:
    """Add the least noise for a finite ε to a plan of choices without privacy.

    Args:
        plain: The plan; its ``steps`` are the choices.
        epsilon: The target ε for ``plain.unit``.

    Returns:
        The guarantee, recomputed from its noise.

    Raises:
        UsageError: If no noise reaches the target.
    """
    sigma = noise_of_choices(epsilon, plain.steps)
    made = replace(
        plain,
        target_epsilon=epsilon,
        noise_multiplier=sigma,
        accountant=PERMUTE_AND_FLIP,
        clip_norm=FULL_SCORE,
        sensitivity=FULL_SCORE,
        grid=FULL_SCORE / FINENESS,
    )
    return recomputed_choices(made)


def recomputed_choices(claimed: Guarantee) -> Guarantee:
    """Recompute what choices with a guarantee's numbers cost, whatever ε it claims.

    Args:
        claimed: The guarantee.

    Returns:
        The same numbers with the recomputed ε of both units. ε is infinite if sensitivity, clip
        norm, grid or distance are not those of such choices.

    Raises:
        UsageError: For a σ or T that no choice can have.
    """
    sigma, choices = claimed.noise_multiplier, claimed.steps
    if not (0 <= sigma < math.inf and choices >= 0 and choices == int(choices)):
        raise UsageError(f"Expected σ >= 0 and T a whole number, got {sigma} and {choices}.")
    sound = (claimed.sensitivity, claimed.clip_norm, claimed.grid, claimed.distance) == (
        FULL_SCORE,
        FULL_SCORE,
        FULL_SCORE / FINENESS,
        0.0,
    )
    epsilon = epsilon_of_choices(sigma, choices) if sound else math.inf
    if claimed.unit == "patient":
        patch = times(epsilon, 2)
        return replace(claimed, epsilon=epsilon, epsilon_patient=epsilon, epsilon_patch=patch)
    patient = times(epsilon, claimed.patches_per_patient)
    return replace(claimed, epsilon=epsilon, epsilon_patch=epsilon, epsilon_patient=patient)


def pure_steps(epsilon: float, count: int) -> Steps:
    """Describe ε-DP steps so that they can be composed with others.

    Randomised response that tells the truth with probability e^ε / (1 + e^ε) dominates every ε-DP
    mechanism (Kairouz, Oh and Viswanath 2015, arXiv:1311.0776, theorem 3.4).

    Args:
        epsilon: ε of one step.
        count: How many steps.
    """
    from dp_accounting.pld.common import DifferentialPrivacyParameters
    from dp_accounting.pld.privacy_loss_distribution import from_privacy_parameters

    def pair(interval: float) -> PrivacyLossDistribution:
        response = DifferentialPrivacyParameters(epsilon, 0.0)
        return from_privacy_parameters(response, value_discretization_interval=interval)

    interval = max(_INTERVAL, 2 * count * epsilon / _COMPOSED_POINTS)
    return Steps(pair, count, 0, 1.0, interval, pure=epsilon)


def times(epsilon: float, count: int) -> float:
    """Multiply an ε by a whole number, rounded up.

    Args:
        epsilon: At least 0; ``inf`` stays ``inf``.
        count: The factor.
    """
    return epsilon if math.isinf(epsilon) else least_float(Fraction(epsilon) * count)
