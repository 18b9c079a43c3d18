"""Plans of DP-SGD fits: from a target ε to a guarantee, with bounds for both units."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from benchmark.core.budget import ROUNDING_SHARE, Guarantee
from benchmark.core.errors import UsageError
from benchmark.core.mechanism import Grid
from benchmark.privacy.accounting.calibration import calibrate
from benchmark.privacy.accounting.choices import recomputed_choices
from benchmark.privacy.accounting.subsampled_gaussian import account
from benchmark.privacy.accounting.units import (
    patch_epsilon_of_patient_run,
    patient_epsilon_of_patch_run,
)
from benchmark.privacy.mechanisms.discrete import distance

LEAST_SCALE, MOST_ENLARGED = 1 << 17, 1.005
"""In any plan: the least scale of the noise in grid steps, and the largest sensitivity over C."""

GridOf = Callable[[float, float, int], Grid]
"""A function that makes the grid from σ, C and the number of noised numbers."""


def plan_poisson_gaussian(
    plain: Guarantee,
    *,
    epsilon: float,
    clip_norm: float,
    accountant: str,
    numbers: int,
    grid_of: GridOf,
) -> Guarantee:
    """Calibrate the noise of a fit whose sampling rate, steps, δ and unit are given.

    What is spent is recomputed from the calibrated noise, so it never exceeds the target. A large ε
    cannot be proven if (1 + e^ε) times the noise's distance from its law is not within its share of
    δ. The fit then gets the noise of the largest ε that can be proven (about 17), and its guarantee
    says so.

    Args:
        plain: The same fit without privacy.
        epsilon: The finite target, for ``plain.unit``.
        clip_norm: C.
        accountant: ``prv``, ``rdp`` or ``pld``.
        numbers: d: how many numbers get noise in a step.
        grid_of: Makes the grid of the mechanism that will run.

    Returns:
        The guarantee.

    Raises:
        UsageError: If no noise reaches the target.
    """
    clipped = replace(plain, clip_norm=clip_norm, accountant=accountant)
    made = _with_noise(clipped, epsilon, numbers, grid_of)
    if epsilon > provable_epsilon(made):
        made = _with_noise(clipped, provable_epsilon(made), numbers, grid_of)
    return _with_other_unit(replace(made, target_epsilon=epsilon))


def provable_epsilon(planned: Guarantee) -> float:
    """Return the largest ε at which the noise's distance from its law is within its share of δ.

    Args:
        planned: The guarantee whose δ and distance count.

    Returns:
        The ε; infinity for a distance of 0.
    """
    if planned.distance == 0:
        return math.inf
    return math.log(max(1.0, ROUNDING_SHARE * planned.delta / planned.distance - 1))


def _is_proven(claimed: Guarantee, spent: float) -> bool:
    """Whether rounding and the noise's distance from its law are within what is claimed of them.

    A result from before there was a grid claims nothing of either.
    """
    if claimed.grid == 0:
        return True
    scale = claimed.noise_multiplier * claimed.sensitivity / claimed.grid
    least = distance(claimed.steps, scale) if scale >= LEAST_SCALE else math.inf
    return (
        claimed.clip_norm <= claimed.sensitivity <= MOST_ENLARGED * claimed.clip_norm
        and claimed.distance >= least * (1 - ROUNDING_SHARE)
        and spent <= provable_epsilon(claimed)
    )


def _with_noise(plain: Guarantee, epsilon: float, numbers: int, grid_of: GridOf) -> Guarantee:
    if epsilon <= 0:
        raise UsageError(
            f"At δ = {plain.delta:g}, noise of whole numbers over {plain.steps} steps of {numbers} "
            "numbers cannot be proven to be within any epsilon; ask for a larger δ."
        )
    mechanism: dict[str, Any] = {
        "sampling_rate": plain.sampling_rate,
        "steps": plain.steps,
        "delta": plain.delta * (1 - ROUNDING_SHARE),
        "accountant": plain.accountant,
    }
    sigma = calibrate(epsilon=epsilon, **mechanism)
    spent = account(noise_multiplier=sigma, **mechanism)
    grid = grid_of(sigma, plain.clip_norm, numbers)
    return replace(
        plain,
        target_epsilon=epsilon,
        epsilon=spent.epsilon,
        noise_multiplier=sigma,
        accountant=spent.accountant,
        sensitivity=grid.sensitivity,
        grid=grid.spacing,
        distance=distance(numbers * plain.steps, grid.law.scale),
    )


def recomputed(claimed: Guarantee) -> Guarantee:
    """Recompute the guarantee that a mechanism's numbers give, whatever ε is claimed.

    Args:
        claimed: The guarantee with the numbers.

    Returns:
        The same numbers with the recomputed ε of both units.

    Raises:
        ValueError: If the accountant is not known, or the numbers are outside its domain.
    """
    if claimed.accountant == "none":
        nothing = claimed.steps == 0
        epsilon = 0.0 if nothing else math.inf
        return replace(claimed, epsilon=epsilon, epsilon_patch=epsilon, epsilon_patient=epsilon)
    if claimed.is_pure:
        return recomputed_choices(claimed)
    spent = account(
        noise_multiplier=claimed.noise_multiplier,
        sampling_rate=claimed.sampling_rate,
        steps=claimed.steps,
        delta=claimed.accounted_delta,
        accountant=claimed.accountant,
    ).epsilon
    proven = spent if _is_proven(claimed, spent) else math.inf
    return _with_other_unit(replace(claimed, epsilon=proven))


def _with_other_unit(planned: Guarantee) -> Guarantee:
    mechanism: dict[str, Any] = {
        "noise_multiplier": planned.noise_multiplier,
        "sampling_rate": planned.sampling_rate,
        "steps": planned.steps,
        "delta": planned.accounted_delta,
    }
    if planned.unit == "patient":
        patch = patch_epsilon_of_patient_run(**mechanism)
        return replace(planned, epsilon_patient=planned.epsilon, epsilon_patch=patch)
    patient = patient_epsilon_of_patch_run(
        patches_per_patient=planned.patches_per_patient, **mechanism
    )
    return replace(planned, epsilon_patch=planned.epsilon, epsilon_patient=patient)
