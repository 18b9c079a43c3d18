"""What a release says of an attack measured on patients: nothing that counts their pairs."""

import pytest

from benchmark.audit.own_fit import Attempted, FitAudit, FitTest
from benchmark.core.budget import Budget, PublicNumbers, Unit
from benchmark.privacy.mechanisms.release import plan_releases
from benchmark.release.checks.evidence import MARGIN, claim_of, largest_provable
from benchmark.release.findings import audit_record
from benchmark.release.records import AuditRecord

PUBLIC = PublicNumbers(patients=40, patches_per_patient=50, patch_size=32)
GUARANTEES = {
    unit: plan_releases(PUBLIC, Budget(epsilon=1.0, delta=1e-5, unit=unit), clip_norm=1.0)
    for unit in ("patch", "patient")
}


def said(unit: Unit, patients: int, patches: int, *, disclose: bool = False) -> AuditRecord:
    """What is said of so many pairs: of patients, if they are the unit, and of patches."""
    counts = [("patient", patients), ("patch", patches)] if unit == "patient" else [(unit, patches)]
    tests = tuple(
        FitTest(
            unit=of,
            candidates=pairs,
            attempts=tuple(Attempted(guesses=k, right=k // 2) for k in (pairs // 2, pairs)),
        )
        for of, pairs in counts
    )
    found = FitAudit(format=1, run="0" * 12, method="membership", samples=8192, tests=tests)
    return audit_record([found], GUARANTEES[unit], disclose=disclose)


@pytest.mark.parametrize("unit", ["patch", "patient"])
def test_pairs_of_patients_patches_are_counted_by_no_field_that_leaves(unit: Unit) -> None:
    """One patient's vessels make a pair more or less; also the last digit of ε must not tell."""
    whole = said(unit, 8, 256)
    assert {said(unit, 9, pairs).model_dump_json() for pairs in (257, 300, 511)} == {
        whole.model_dump_json()
    }
    assert [one.candidates for one in (whole, *whole.further)][-1] == 256
    assert said(unit, 8, 512) != whole


def test_their_owner_may_disclose_them() -> None:
    assert said("patch", 0, 300, disclose=True).candidates == 300


@pytest.mark.parametrize("unit", ["patch", "patient"])
@pytest.mark.parametrize("pairs", [1, 2, 8, 100, 1000, 2000])
def test_what_is_said_is_no_more_than_a_receiver_computes(unit: Unit, pairs: int) -> None:
    audit = said(unit, max(1, pairs // 50), max(2, pairs))
    for one in (audit, *audit.further):
        claim = claim_of(GUARANTEES[unit], audit, one)
        most = largest_provable(one.candidates, claim, 1 - one.confidence)
        assert one.provable <= most * (1 + MARGIN)
