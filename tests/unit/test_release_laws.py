"""An honest release keeps every law, and passes the audit; each planted fault is caught by one."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

import benchmark.privacy.mechanisms.release as release_module
from benchmark.audit.canaries import audit, trial
from benchmark.audit.laws import broken
from benchmark.audit.release_laws import LAWS
from benchmark.core.budget import Budget
from benchmark.core.generator import FitContext
from benchmark.privacy.mechanisms.release import FINENESS, Release, plan_releases
from benchmark.privacy.randomness import SeededNoise
from generators.checks import PUBLIC, patches
from generators.dp_simulator import DpSimulator

UNITS = pytest.mark.parametrize("unit", ["patch", "patient"])


def planned(unit: str):
    return plan_releases(PUBLIC, Budget(epsilon=2.0, delta=1e-4, unit=unit), clip_norm=0.7)


def no_clipping(release: Release, monkeypatch) -> None:
    def unclipped(vectors, clip_norm):
        return np.trunc(vectors / clip_norm * FINENESS).astype(np.int64)

    monkeypatch.setattr(release_module, "on_grid", unclipped)


def half_the_noise(release: Release, monkeypatch) -> None:
    honest = release_module.grid_of
    monkeypatch.setattr(release_module, "grid_of", lambda sigma, *more: honest(sigma / 2, *more))


def noise_in_floating_point(release: Release, monkeypatch) -> None:
    mean = release.mean

    def faulty(patches, features, noise):
        found = mean(patches, features, noise)
        return found * (1 + 2.0**-40)

    release.mean = faulty  # type: ignore[method-assign]


def one_noise_for_all(release: Release, monkeypatch) -> None:
    mean = release.mean

    def faulty(patches, features, noise):
        same = SeededNoise("law") if type(noise) is SeededNoise else noise
        return mean(patches, features, same)

    release.mean = faulty  # type: ignore[method-assign]


def divided_by_who_is_there(release: Release, monkeypatch) -> None:
    mean = release.mean

    def faulty(patches, features, noise):
        there = len(np.unique(patches.patient))
        return mean(patches, features, noise) * release.units / max(1, there)

    release.mean = faulty  # type: ignore[method-assign]


def more_releases_than_planned(release: Release, monkeypatch) -> None:
    release.guarantee = replace(release.guarantee, steps=4)


def unclipped_groups(release: Release, monkeypatch) -> None:
    """Every patch of a patient is clipped by itself, and the patient is their sum."""
    release.guarantee = replace(release.guarantee, unit="patch")


FAULTS: dict[Callable[..., None], str] = {
    no_clipping: "one_unit_moves_the_sum_by_the_clip_norm_at_most",
    half_the_noise: "the_noise_is_that_which_was_accounted",
    noise_in_floating_point: "what_is_put_out_lies_on_the_public_grid",
    one_noise_for_all: "the_noise_is_that_which_was_accounted",
    divided_by_who_is_there: "the_divisor_is_public",
    more_releases_than_planned: "the_epsilon_follows_from_the_mechanisms_numbers",
}


@UNITS
def test_an_honest_release_keeps_every_law(unit: str) -> None:
    claim = planned(unit)
    assert broken(Release(claim), claim) == {}


@UNITS
@pytest.mark.parametrize("plant", FAULTS, ids=lambda fault: fault.__name__)
def test_every_fault_is_caught_by_its_law(unit: str, plant, monkeypatch) -> None:
    claim = planned(unit)
    release = Release(claim)
    plant(release, monkeypatch)
    assert FAULTS[plant] in broken(release, claim)


def test_patients_that_are_not_clipped_as_wholes_are_caught() -> None:
    claim = planned("patient")
    release = Release(claim)
    unclipped_groups(release, None)
    assert broken(release, claim)


def test_every_law_catches_a_fault() -> None:
    assert set(FAULTS.values()) == set(LAWS)


def _audited(unit: str, plant: Callable[[Release], None] = lambda release: None):
    among = trial(patches(), unit, canaries=64, seed=0)
    generator = DpSimulator(replace(DpSimulator.smoke, clip_norm=1.0))
    context = FitContext(seed=0, noise=SeededNoise("audit"), charge=lambda claim: None)
    budget = Budget(epsilon=1.0, delta=1e-4, unit=unit)
    return audit(generator, budget, among, context, plant=plant)


@UNITS
def test_the_audit_refutes_no_honest_release_and_one_without_enough_noise(unit: str) -> None:
    honest = _audited(unit)
    assert not honest.contradicts
    assert honest.bound <= honest.claim.epsilon

    def quiet(release: Release) -> None:
        release.guarantee = replace(release.guarantee, noise_multiplier=1e-3)

    assert _audited(unit, quiet).contradicts
