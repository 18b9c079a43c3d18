"""From a target ε to the guarantee of a DP-SGD fit, for both units."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from benchmark.core.budget import Guarantee
from benchmark.privacy.accounting import account
from benchmark.privacy.calibration import calibrate
from benchmark.privacy.units import patch_epsilon_of_patient_run, patient_epsilon_of_patch_run


def plan_poisson_gaussian(
    plain: Guarantee, *, epsilon: float, clip_norm: float, accountant: str
) -> Guarantee:
    """Calibrates the noise of a fit whose sampling rate, steps, δ and unit are given.

    What is spent is recomputed from the calibrated noise, so it never exceeds the target.

    Args:
        plain: The same fit without privacy.
        epsilon: The finite target, for ``plain.unit``.
        clip_norm: C.
        accountant: ``prv``, ``rdp`` or ``pld``.

    Raises:
        UsageError: If no noise reaches the target.
    """
    sigma = calibrate(
        epsilon=epsilon,
        sampling_rate=plain.sampling_rate,
        steps=plain.steps,
        delta=plain.delta,
        accountant=accountant,
    )
    spent = account(
        noise_multiplier=sigma,
        sampling_rate=plain.sampling_rate,
        steps=plain.steps,
        delta=plain.delta,
        accountant=accountant,
    )
    planned = replace(
        plain,
        target_epsilon=epsilon,
        epsilon=spent.epsilon,
        noise_multiplier=sigma,
        clip_norm=clip_norm,
        accountant=spent.accountant,
    )
    return _with_other_unit(planned)


def recomputed(claimed: Guarantee) -> Guarantee:
    """The guarantee that the mechanism's numbers in another one give, whatever that one claims.

    Raises:
        ValueError: If the accountant is not known, or the numbers are outside its domain.
    """
    if claimed.accountant == "none":
        nothing = claimed.steps == 0
        epsilon = 0.0 if nothing else math.inf
        return replace(claimed, epsilon=epsilon, epsilon_patch=epsilon, epsilon_patient=epsilon)
    spent = account(
        noise_multiplier=claimed.noise_multiplier,
        sampling_rate=claimed.sampling_rate,
        steps=claimed.steps,
        delta=claimed.delta,
        accountant=claimed.accountant,
    )
    return _with_other_unit(replace(claimed, epsilon=spent.epsilon))


def _with_other_unit(planned: Guarantee) -> Guarantee:
    mechanism: dict[str, Any] = {
        "noise_multiplier": planned.noise_multiplier,
        "sampling_rate": planned.sampling_rate,
        "steps": planned.steps,
        "delta": planned.delta,
    }
    if planned.unit == "patient":
        patch = patch_epsilon_of_patient_run(**mechanism)
        return replace(planned, epsilon_patient=planned.epsilon, epsilon_patch=patch)
    patient = patient_epsilon_of_patch_run(
        patches_per_patient=planned.patches_per_patient, **mechanism
    )
    return replace(planned, epsilon_patch=planned.epsilon, epsilon_patient=patient)
