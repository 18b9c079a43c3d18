"""What several fits cost together: composed by the accountant, never added up."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from benchmark.core.budget import Guarantee, Unit
from benchmark.privacy.accounting import checked_run
from benchmark.privacy.units import Steps, composed_epsilon, own_unit, patient_of_patch_run


def total_epsilon(
    guarantees: Sequence[Guarantee], delta: float, *, unit: Unit = "patient"
) -> float:
    """The ε of several fits together for one unit that is in all of them, by the accountant.

    Args:
        guarantees: The fits.
        delta: δ of the whole.
        unit: ``patient``, whatever the fits' own units; or ``patch``, if it is theirs.

    Raises:
        ValueError: For patches of a fit whose unit is the patient.
    """
    if unit == "patch" and any(said.unit == "patient" for said in guarantees):
        raise ValueError("Expected fits whose unit is the patch, got one whose unit is a patient.")
    steps_of: Counter[_Mechanism] = Counter()
    for said in guarantees:
        if said.epsilon > 0:
            patches = 0 if said.unit == unit else said.patches_per_patient
            steps_of[_Mechanism(said.noise_multiplier, said.sampling_rate, patches)] += said.steps
    if any(mechanism.noise_multiplier == 0 for mechanism in steps_of):
        return math.inf
    share = delta / (10 * max(1, len(steps_of)))
    return composed_epsilon([_steps(m, count, share) for m, count in steps_of.items()], delta)


class _Mechanism(NamedTuple):
    """σ, q, and how many of the fit's units a patient has; 0 if the fit's own unit is asked for."""

    noise_multiplier: float
    sampling_rate: float
    patches: int


def _steps(mechanism: _Mechanism, count: int, delta: float) -> Steps:
    run = checked_run(mechanism.noise_multiplier, mechanism.sampling_rate, count, delta)
    return patient_of_patch_run(run, mechanism.patches) if mechanism.patches else own_unit(run)
