"""The audit and the laws: an honest fit passes both, and each planted fault is caught by one.

``make audit`` runs this file as a program, on the full scale, and prints the table.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from faults import (
    CAUGHT_BY,
    FAULTS,
    MADE,
    PLANTED,
    half_the_noise,
    no_clipping,
    one_noise_for_all_sites,
    patients_clipped_patch_by_patch,
)
from tiny_sites import job_of, post_at

import generators.checks
from benchmark.audit.canaries import Verdict, audit, trial
from benchmark.audit.laws import LAWS, broken, every_site_draws_noise_of_its_own
from benchmark.core import registry
from benchmark.core.budget import Budget, proven_text
from benchmark.core.generator import FitContext
from benchmark.core.laws import LawBrokenError
from benchmark.core.patches import Patches
from benchmark.privacy.randomness import SeededNoise
from federation.sites import Site
from generators.dp_wgan import DpWgan, DpWganParams

SETTINGS = {"latent": 4, "generator_width": 4, "critic_width": 16, "batch": 48, "fakes": 16}
SETTINGS |= {"critic_steps": 4, "patients_per_step": 6}
EPSILON = 2.0
EACH = [(fault, unit) for fault, units in FAULTS.items() for unit in units]
NAMES = [f"{fault.__name__}-{unit}" for fault, unit in EACH]


def honest(game: Any) -> None:
    """No fault."""


def known(patients: int = 16, each: int = 24) -> Patches:
    """Bright bars on a noisy ground."""
    rng = np.random.default_rng(0)
    masks = np.zeros((patients * each, 1, 32, 32), np.uint8)
    for mask, start in zip(masks, rng.integers(4, 24, len(masks)), strict=True):
        mask[0, :, start : start + 4] = 1
    images = np.clip(rng.normal(-0.4, 0.2, masks.shape) + masks, -1, 1).astype(np.float32)
    return Patches(
        images=images,
        masks=masks,
        patient=np.repeat(np.arange(patients), each),
        patients=patients,
        patches_per_patient=each,
    )


def budget(unit: str) -> Budget:
    return Budget(epsilon=EPSILON, delta=1e-5, unit=unit)


def context(inspect: Callable[[Any], None] = honest, seed: int = 0) -> FitContext:
    return FitContext(
        seed=seed,
        noise=SeededNoise(seed, "audit"),
        charge=lambda guarantee: None,
        inspect=inspect,
    )


class SeenEnoughError(Exception):
    pass


def laws_broken(plant: Callable[[Any], None], unit: str, *, canaries: int = 2) -> dict[str, str]:
    """What the laws say of a game with a fault, before its first step."""
    made = DpWgan(DpWganParams(**SETTINGS, generator_steps=20))
    among = trial(known(), unit, canaries=canaries, seed=0)
    found: dict[str, str] = {}

    def inspect(game: Any) -> None:
        plant(game)
        found.update(broken(game, game.guarantee))
        raise SeenEnoughError

    with pytest.raises(SeenEnoughError):
        made.fit(among.patches, made.plan(among.public, budget(unit)), context(inspect))
    return found


def audited(
    plant: Callable[[Any], None], unit: str, *, canaries: int = 120, rounds: int = 25, seed: int = 0
) -> Verdict:
    torch.set_num_threads(1)
    made = DpWgan(DpWganParams(**SETTINGS, generator_steps=rounds))
    among = trial(known(), unit, canaries=canaries, seed=seed)
    return audit(made, budget(unit), among, context(seed=seed), plant=plant)


@pytest.mark.parametrize("canaries", [2, 100])
@pytest.mark.parametrize("unit", ["patch", "patient"])
def test_an_honest_fit_keeps_every_law_also_where_half_of_the_slots_are_empty(
    unit: str, canaries: int
) -> None:
    assert laws_broken(honest, unit, canaries=canaries) == {}


@pytest.mark.parametrize(("fault", "unit"), EACH, ids=NAMES)
def test_each_planted_fault_breaks_its_law(fault: Callable[[Any], None], unit: str) -> None:
    assert CAUGHT_BY[fault] in laws_broken(fault, unit)


def test_every_law_sees_a_fault() -> None:
    assert set(CAUGHT_BY.values()) == set(LAWS)


@pytest.mark.parametrize("unit", ["patch", "patient"])
def test_an_honest_fit_is_not_refuted_and_the_audit_sees_its_canaries(unit: str) -> None:
    verdict = audited(honest, unit)
    assert verdict.bound <= verdict.claim.epsilon
    assert verdict.right > verdict.guesses / 2, "or else it sees nothing"
    assert verdict.largest > verdict.claim.epsilon, "or else it could refute nothing"


@pytest.mark.parametrize("unit", ["patch", "patient"])
def test_without_clipping_the_claim_is_refuted(unit: str) -> None:
    assert audited(no_clipping, unit).contradicts


def test_patients_clipped_patch_by_patch_are_seen_by_more_right_guesses() -> None:
    apart, together = (audited(f, "patient") for f in (patients_clipped_patch_by_patch, honest))
    assert apart.right > together.right


def test_half_the_noise_is_seen_by_more_right_guesses() -> None:
    assert audited(half_the_noise, "patch").right > audited(honest, "patch").right


def shared_between_sites(unit: str, plant: Callable[[Any], None] = honest) -> str:
    """What the sites' law says of three sites' first two rounds."""
    with pytest.MonkeyPatch.context() as patch:
        plant(patch)
        sites = [Site(post_at(index), job_of(unit=unit), 1 / 3) for index in range(3)]
        return every_site_draws_noise_of_its_own(
            [site.context(number).noise for site in sites for number in (1, 2)]
        )


@pytest.mark.parametrize("unit", ["patch", "patient"])
def test_one_noise_for_all_sites_breaks_the_sites_law(unit: str) -> None:
    assert shared_between_sites(unit) == ""
    assert "have the same noise" in shared_between_sites(unit, one_noise_for_all_sites)


def conformance_broken(law: str, kind: type[Any]) -> str:
    """What a law of conformance says of a generator; empty if it holds."""
    try:
        generators.checks.LAWS[law](kind)
    except LawBrokenError as broken:
        return str(broken)
    return ""


def planted_broken(plant: Callable[[Any], None]) -> str:
    """What the law of conformance that is there for a fault says of the generator that has it."""
    name, law = PLANTED[plant]
    with pytest.MonkeyPatch.context() as patch:
        plant(patch)
        return conformance_broken(law, registry.generators.get(name))


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_each_planted_fault_of_a_mechanism_breaks_its_law_of_conformance(plant) -> None:
    assert planted_broken(plant)


@pytest.mark.parametrize("kind", MADE)
def test_each_generator_with_a_fault_breaks_its_law_of_conformance(kind: type[Any]) -> None:
    assert kind.name in conformance_broken(MADE[kind], kind)


def table() -> None:
    """Every fault: the laws that it breaks, and what the audit proves, on the full scale."""
    print("| fault | unit | laws broken | audit: ε above | claim |\n|---|---|---|---|---|")
    for fault, unit in [(honest, "patch"), (honest, "patient"), *EACH]:
        laws = "; ".join(name.replace("_", " ") for name in laws_broken(fault, unit)) or "none"
        if fault.__name__ == "batch_norm_in_the_critic":
            proved = "refused before the first step"
        else:
            verdict = audited(fault, unit, canaries=400, rounds=100)
            mark = " **refuted**" if verdict.contradicts else ""
            proved = f"{proven_text(verdict.bound)} (at most {proven_text(verdict.largest)}){mark}"
        print(f"| {fault.__name__.replace('_', ' ')} | {unit} | {laws} | {proved} | {EPSILON:g} |")
    name = every_site_draws_noise_of_its_own.__name__.replace("_", " ")
    for unit in ("patch", "patient"):
        law = name if shared_between_sites(unit, one_noise_for_all_sites) else "none"
        print(f"| one noise for all sites | {unit} | {law} | sees one site only | {EPSILON:g} |")
    for plant, (generator, law) in PLANTED.items():
        name = law.replace("_", " ") if planted_broken(plant) else "none"
        fault = plant.__name__.replace("_", " ")
        print(f"| {fault} ({generator}) | both | {name} | sees one fit's own step only | – |")
    for kind, law in MADE.items():
        name = law.replace("_", " ") if conformance_broken(law, kind) else "none"
        fault = "".join(
            f" {one.lower()}" if one.isupper() else one for one in kind.__name__
        ).strip()
        print(f"| {fault} ({kind.name}) | both | {name} | sees one fit's own step only | – |")


if __name__ == "__main__":
    sys.exit(table())
