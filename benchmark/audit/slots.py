"""The slots that canaries take among the public numbers of a fit."""

from __future__ import annotations

from dataclasses import replace

from benchmark.core.budget import Guarantee, PublicNumbers, Unit
from benchmark.results.spec import FitSpec


def with_canaries(declared: PublicNumbers, unit: Unit, canaries: int) -> PublicNumbers:
    """Return the public numbers of patches with slots for canaries.

    Args:
        declared: The public numbers without canaries.
        unit: What a canary is.
        canaries: m.
    """
    hosts = -(-canaries // to_a_host(declared, unit))
    return replace(declared, patients=declared.patients + hosts)


def to_a_host(declared: PublicNumbers, unit: Unit) -> int:
    """Count the canaries of one made-up patient.

    Args:
        declared: The public numbers without canaries.
        unit: What a canary is.
    """
    return 1 if unit == "patient" else declared.patches_per_patient


def public_with_canaries(spec: FitSpec, public: PublicNumbers) -> PublicNumbers:
    """Return the public numbers of a run's fit, with slots for its canaries if it has any.

    Args:
        spec: The run.
        public: The numbers of its patients.
    """
    return with_canaries(public, spec.unit, spec.planted) if spec.planted else public


def people_in(spec: FitSpec, guarantee: Guarantee) -> int:
    """Count the patients of a fit: the slots of its canaries are nobody's.

    Args:
        spec: The run.
        guarantee: Of the fit, or of one of its sites.
    """
    alone = PublicNumbers(
        patients=0, patches_per_patient=guarantee.patches_per_patient, patch_size=1
    )
    return guarantee.patients - public_with_canaries(spec, alone).patients
