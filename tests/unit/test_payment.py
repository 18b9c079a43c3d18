"""What the ledger is told of a cell's fit."""

from dataclasses import replace
from pathlib import Path

import pytest
from cells import SPEC

from benchmark.core.budget import Budget, Guarantee, PublicNumbers
from benchmark.privacy.ledger.ledger import Spending
from benchmark.results.spec import VALIDATION
from benchmark.sweep.inputs import Inputs
from benchmark.sweep.payment import spendings_of

PUBLIC = PublicNumbers(patients=2, patches_per_patient=10, patch_size=32)
PLANNED = Guarantee.of(PUBLIC, Budget(epsilon=2.0, delta=1e-5, unit="patch"), epsilon=2.0)
OWN = Inputs(
    train=(), tests={}, data="d", test_data={"test": "t"}, private=True, patients=("p1", "p2")
)


def spending(inputs: Inputs = OWN, **changes) -> Spending:
    (only,) = spendings_of(replace(SPEC, **changes), PLANNED, inputs, Path())
    return only


@pytest.mark.parametrize(("noise", "seeded"), [("seeded", True), ("system", False)])
def test_whether_a_seed_would_undo_the_noise_is_entered(noise: str, seeded: bool) -> None:
    assert spending(noise=noise).guarantee == replace(PLANNED, seeded=seeded)


@pytest.mark.parametrize("private", [True, False])
def test_own_patients_are_told_from_phantoms(private: bool) -> None:
    asked = spending(replace(OWN, private=private))
    assert (asked.private, asked.patients) == (private, OWN.patients)


@pytest.mark.parametrize(("test_data", "kind"), [("test", "fit"), (VALIDATION, "tuning")])
def test_a_fit_that_validation_patients_judge_is_tuning(test_data: str, kind: str) -> None:
    assert spending(test_data={test_data: "t"}).kind == kind
