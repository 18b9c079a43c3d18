"""Attacks by pairs on fits that were made before: honest ones stand, those that copy fall."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmark.audit.exchange import judged_pairs, pairs_of_patches, pairs_of_patients
from benchmark.audit.judgement import Claim
from benchmark.audit.own_fit import Attempted, FitAudit, FitTest, sampled_audit
from benchmark.audit.own_samples import Known, audit_by_samples
from benchmark.core.budget import Budget, Guarantee, PublicNumbers
from benchmark.core.errors import DataError
from benchmark.core.files import write_json
from benchmark.core.generator import FitContext
from benchmark.core.patches import Patches
from benchmark.privacy.randomness import SeededNoise
from benchmark.results.store import AUDIT
from generators.dp_simulator import DpSimulator

PATIENTS, EACH, SIZE = 16, 60, 16
RUN = "0123456789ab"


def cut(seed: int, patients: int = PATIENTS) -> Patches:
    """Smooth textures with vessels, no two alike."""
    rng, n = np.random.default_rng(seed), patients * EACH
    coarse = rng.uniform(-1, 1, (n, 1, SIZE // 2, SIZE // 2)).repeat(2, 2).repeat(2, 3)
    return Patches(
        images=coarse.astype(np.float32),
        masks=(rng.random((n, 1, SIZE, SIZE)) < 0.2).astype(np.uint8),
        patient=np.repeat(np.arange(patients), EACH),
        patients=patients,
        patches_per_patient=EACH,
    )


class Keeper(DpSimulator):
    """Claims a noised mean, and draws the patches that it was fitted on."""

    name = "keeper"

    def fit(self, patches: Patches, guarantee: Guarantee, context: FitContext) -> Guarantee:
        self._kept = patches
        return super().fit(patches, guarantee, context)

    def sample(self, n: int, *, seed: int) -> Patches:
        rows = np.random.default_rng(seed).integers(0, len(self._kept), n)
        return Patches(images=self._kept.images[rows], masks=self._kept.masks[rows])


def attacked(kind: type[DpSimulator], unit: str, epsilon: float, seed: int = 0) -> FitAudit:
    made, fitted = kind(kind.smoke), cut(seed)
    public = PublicNumbers(patients=PATIENTS, patches_per_patient=EACH, patch_size=SIZE)
    planned = made.plan(public, Budget(epsilon=epsilon, delta=1e-5, unit=unit))
    made.fit(
        fitted,
        planned,
        FitContext(seed=seed, noise=SeededNoise(seed, "x"), charge=lambda _: None),
    )
    known = Known(fitted=fitted, unfitted=cut(100 + seed), held_out=cut(200 + seed))
    found = audit_by_samples(made, known, planned, run=RUN, seed=seed)
    assert found is not None
    return found


def planned(unit: str, epsilon: float) -> Guarantee:
    public = PublicNumbers(patients=PATIENTS, patches_per_patient=EACH, patch_size=SIZE)
    made = DpSimulator(DpSimulator.smoke)
    return made.plan(public, Budget(epsilon=epsilon, delta=1e-5, unit=unit))


@pytest.mark.parametrize("unit", ["patch", "patient"])
def test_a_generator_that_keeps_what_it_saw_is_refuted(unit: str) -> None:
    found = attacked(Keeper, unit, 0.5)
    verdict, *others = found.verdicts(planned(unit, 0.5))
    assert verdict.claim.unit == unit
    assert len(others) == (unit == "patient")
    assert verdict.refuted
    assert verdict.proven > verdict.claim.epsilon
    assert found.refutes(planned(unit, 0.5))


@pytest.mark.parametrize("unit", ["patch", "patient"])
def test_an_honest_generator_is_not(unit: str) -> None:
    for seed in range(2):
        assert not attacked(DpSimulator, unit, 0.5, seed).refutes(planned(unit, 0.5))


def test_of_each_pair_one_unit_was_fitted_and_which_is_a_fair_coin() -> None:
    fitted, others = cut(0), cut(1)
    known = {image.tobytes() for image in fitted.images}
    firsts = []
    for seed in range(20):
        for paired in (pairs_of_patches, pairs_of_patients):
            pairs = paired(fitted, others, seed=seed)
            inside = [image.tobytes() in known for image in pairs.records.images]
            first, second = np.reshape(inside, (2, -1, pairs.each))
            assert (first == pairs.first_in[:, None]).all()
            assert (second == ~pairs.first_in[:, None]).all()
            firsts.append(pairs.first_in)
    assert abs(np.concatenate(firsts).mean() - 0.5) < 0.02


def test_patches_are_paired_within_a_patient_and_by_what_is_in_their_middle() -> None:
    fitted, others = cut(0), cut(1)
    pairs = pairs_of_patches(fitted, others, seed=0)
    kind = {
        image.tobytes(): (int(owner), bool(middle))
        for some in (fitted, others)
        for image, owner, middle in zip(some.images, some.patient, some.centred, strict=True)
    }
    first, second = np.split(pairs.records.images, 2)
    assert len(first) > 200
    for one, two in zip(first, second, strict=True):
        assert kind[one.tobytes()] == kind[two.tobytes()]


def test_a_patch_that_was_fitted_is_never_taken_for_another() -> None:
    fitted = cut(0)
    assert not len(pairs_of_patches(fitted, fitted, seed=0).first_in)


def test_guesses_without_knowledge_refute_no_claim() -> None:
    """Scores of noise: 400 attacks at the smallest claim, of which 5 % may be wrong."""
    pairs = pairs_of_patches(cut(0), cut(1), seed=0)
    said = Claim("patch", 0.05, 1e-5)
    rng, wrong = np.random.default_rng(0), 0
    for _ in range(400):
        scores = {kind: rng.random(len(pairs.records)) for kind in ("images", "masks")}
        coins = rng.random(len(pairs.first_in)) < 0.5
        wrong += judged_pairs(
            replace(pairs, first_in=coins), scores, said, mistake=0.05
        ).contradicts
    assert wrong <= 400 * 0.05 + 10


def test_exchanging_a_unit_costs_twice() -> None:
    claim = Claim("patient", 1.0, 1e-5).exchanged
    assert claim == Claim("patient", 2.0, pytest.approx((1 + np.e) * 1e-5))


def test_an_edited_audit_is_refused(tmp_path: Path) -> None:
    folder, mine = tmp_path / RUN, "ab" * 32
    folder.mkdir()
    counts = FitAudit(
        format=1,
        run=RUN,
        method="membership",
        tests=(FitTest(unit="patch", candidates=10, attempts=(Attempted(guesses=4, right=4),)),),
        generator=mine,
    ).as_dict()
    write_json(folder / AUDIT, counts)
    found = sampled_audit(folder, mine)
    assert found
    assert found.as_dict() == counts
    assert sampled_audit(folder, "cd" * 32) is None, "of another generator"
    for change in (
        {"tests": [{**counts["tests"][0], "candidates": 3}]},
        {"run": "ba9876543210"},
        {"tests": [{**counts["tests"][0], "attempts": [{"guesses": 4, "right": 5}]}]},
        {"tests": [{**counts["tests"][0], "attempts": []}]},
        {"tests": []},
        {"more": 1},
    ):
        write_json(folder / AUDIT, {**counts, **change})
        with pytest.raises(DataError, match=r"audit\.json: this is no audit"):
            sampled_audit(folder, mine)
