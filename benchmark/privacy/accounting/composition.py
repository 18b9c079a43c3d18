"""The privacy cost of several fits together, composed by the accountant instead of added up."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from benchmark.core.budget import Guarantee, Unit
from benchmark.privacy.accounting.choices import epsilon_of_choices, pure_steps, times
from benchmark.privacy.accounting.subsampled_gaussian import checked_run
from benchmark.privacy.accounting.units import (
    Steps,
    composed_epsilon,
    own_unit,
    patient_of_patch_run,
    pure_epsilon,
)


def total_epsilon(
    guarantees: Sequence[Guarantee], delta: float, *, unit: Unit = "patient"
) -> float:
    """Compose the ε of several fits for one unit that took part in all of them.

    Args:
        guarantees: The fits.
        delta: δ of the whole.
        unit: ``patient``, whatever the fits' own units; or ``patch``, if it is theirs.

    Returns:
        An upper bound on ε.

    Raises:
        ValueError: If ``unit`` is ``patch`` and a fit's unit is the patient.
    """
    if unit == "patch" and any(said.unit == "patient" for said in guarantees):
        raise ValueError("Expected fits whose unit is the patch, got one whose unit is a patient.")
    steps_of: Counter[_Mechanism] = Counter()
    for said in guarantees:
        if said.epsilon > 0:
            patches = 0 if said.unit == unit else said.patches_per_patient
            mechanism = _Mechanism(said.noise_multiplier, said.sampling_rate, patches, said.is_pure)
            steps_of[mechanism] += said.steps
    if any(mechanism.noise_multiplier == 0 for mechanism in steps_of):
        return math.inf
    share = delta / (10 * max(1, len(steps_of)))
    return _together({m: _steps(m, count, share) for m, count in steps_of.items()}, delta)


class _Mechanism(NamedTuple):
    """What decides the cost of a step.

    Attributes:
        noise_multiplier: σ.
        sampling_rate: q.
        patches: How many of the fit's units a patient has; 0 if its own unit is asked for.
        is_pure: Whether it chooses, at δ = 0, or adds Gaussian noise.
    """

    noise_multiplier: float
    sampling_rate: float
    patches: int
    is_pure: bool


def _together(steps_of: Mapping[_Mechanism, Steps], delta: float) -> float:
    """The ε of all: the choices' own added to that of the others, or all in one composition.

    Adding holds, as a pure step's loss never exceeds its ε: δ(a + b) of the whole is at most δ(b)
    of the others, where a is the sum of pure ε.
    """
    choices = [steps for mechanism, steps in steps_of.items() if mechanism.is_pure]
    others = [steps for mechanism, steps in steps_of.items() if not mechanism.is_pure]
    added = composed_epsilon(others, delta)
    if not choices:
        return added
    added += pure_epsilon(choices)
    return min(added, composed_epsilon([*others, *choices], delta))


def _steps(mechanism: _Mechanism, count: int, delta: float) -> Steps:
    if mechanism.is_pure:
        each = epsilon_of_choices(mechanism.noise_multiplier, 1)
        return pure_steps(times(each, max(1, mechanism.patches)), count)
    run = checked_run(mechanism.noise_multiplier, mechanism.sampling_rate, count, delta)
    return patient_of_patch_run(run, mechanism.patches) if mechanism.patches else own_unit(run)
