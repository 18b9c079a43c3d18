"""Statements of all kinds that a dossier has to be written of, and a contact sheet."""

import io
import math
from dataclasses import replace

import numpy as np
from PIL import Image
from statements import guarantee, spec, statement

from benchmark.release.statement import Statement
from benchmark.results.spec import DeployedSpec
from benchmark.results.spec_parts import AcrossSites, TunedBy
from benchmark.results.tuned_settings import NOT_ACCOUNTED
from benchmark.sweep.inputs import COST_OF_SKIPPING

HOSTILE = "<script>alert(1)</script> [/] {n} \x1b[31m"
REASONS = (
    "The noise came from a seed, and whoever knows it can remove it.",
    "Two of the 200 patches are nearer to a fitted patient than strangers come.",
)
LAWS = ["No synthetic patch is nearer than half of the least distance of strangers."]
SEARCH = {"passed": True, "samples": 200, "fitted": 17, "held_out": 8, "laws": LAWS}
FIGURES = {"median_distance_fitted": 3.457, "least_distance_fitted": 1.023}
CANARIES = {
    "method": "canaries",
    "unit": "patch",
    "refuted": False,
    "candidates": 1000,
    "samples": 0,
    "claim": 7.397,
    "provable": 9.8,
    "confidence": 0.95,
    "proven": 0.77892,
}


KEY = " ".join(["0a1b"] * 16)


def sheet() -> bytes:
    pixels = np.arange(96 * 64, dtype=np.uint8).reshape(96, 64)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def row(generator: str, epsilon: float, dice: float, **more: object) -> dict[str, object]:
    return {
        "generator": generator,
        "epsilon": epsilon,
        "test_set": "test",
        "patients": 8,
        "seeds": 3,
        "dice": {"mean": dice, "low": dice - 0.01, "high": dice + 0.01},
        **more,
    }


def by_patch(epsilon_patient: float | None) -> Statement:
    unit = {"unit": "patch", "epsilon": 7.397, "epsilon_patch": 7.397}
    made = guarantee(**unit, epsilon_patient=epsilon_patient, steps=2000, noise_multiplier=0.601)
    return statement(spec=spec(unit="patch", epsilon=7.4), guarantee=made, audit=CANARIES)


def federated(many: int = 3, name: str = "Charité") -> Statement:
    sites = [
        {
            "site": f"{name} {i}",
            "guarantee": guarantee(
                patients=9 + i, epsilon_patch=None, epsilon_patient=1.1 + i / 50
            ),
            "consent": f"{i:02x}" * 32,
        }
        for i in range(many)
    ]
    return statement(sites=sites)


def deployed(*, passed: bool = True, curious: int | None = None) -> Statement:
    """Of three sites with their patients at their own places; the first signed its consent."""
    said, cell = statement(), spec()
    rules = {"patch_size": 32, "patches_per_patient": 1000, "spacing_mm": 0.8}
    across = AcrossSites(
        partition="site", design="averaged", rounds=1, local_steps=1, curious=curious
    )
    evidence = {
        "ledger": said.ledger,
        "audit": said.audit,
        "nearest_real": {**SEARCH, "passed": passed},
    }
    sites = [
        {**one.as_dict(), "evidence": evidence, **({} if i else {"signer": KEY})}
        for i, one in enumerate(federated().sites)
    ]
    if curious is not None:
        for i, one in enumerate(sites):
            one.update(guarantee=guarantee(), patients=5 + i, session="5e" * 32)
    gone = dict.fromkeys(("ledger", "audit", "nearest_real"))
    return statement(
        spec=DeployedSpec(
            generator=cell.generator,
            protocol=rules,
            epsilon=cell.epsilon,
            delta=cell.delta,
            unit=cell.unit,
            noise=cell.noise,
            seed=cell.seed,
            sites=3,
            federation=across,
        ),
        run="0123456789ab",
        sites=sites,
        samples={**said.samples.as_dict(), "voxels": "cd" * 32},
        utility=(),
        **gone,
    )


def summed(curious: int = 1) -> Statement:
    """Of secure sums: every site has the guarantee of the whole fit, and so its N."""
    how = AcrossSites(
        partition="site", design="summed-statistics", rounds=1, local_steps=1, curious=curious
    )
    sites = [
        {"site": f"clinic {i}", "guarantee": guarantee(), "consent": f"{i:02x}" * 32}
        for i in range(3)
    ]
    return statement(spec=replace(spec(), sites=3, federation=how), sites=sites)


def not_private(**changes: object) -> Statement:
    return statement(claim="not private", reasons=REASONS, **changes)


def free() -> Statement:
    nothing = {"epsilon": 0.0, "epsilon_patch": 0.0, "epsilon_patient": 0.0, "steps": 0}
    gone = dict.fromkeys(("ledger", "audit", "nearest_real", "replay"))
    return statement(guarantee=guarantee(**nothing), utility=(), **gone)


def refuted() -> Statement:
    tried = statement().audit
    assert tried is not None
    attack = {**tried.as_dict(), "unit": "patch", "refuted": True, "provable": 5.0}
    replayed = {"held": False, "laws": ["is_post_processing"]}
    search = {**SEARCH, "passed": False, "disclosed": FIGURES}
    rows = [row("dp-simulator", 2.0, 0.70, is_released=True), row("simulator", 0.0, 0.78)]
    return not_private(audit=attack, replay=replayed, nearest_real=search, utility=rows)


def tuned() -> Statement:
    how = TunedBy(epsilon=5.0, study="s", on="private", selection=NOT_ACCOUNTED)
    weak = guarantee(
        epsilon=12.0, epsilon_patient=12.0, seeded=True, interruptions=2, lost_steps=30
    )
    rows = [row("dp-simulator", 2.0, 0.7, is_released=True), row("simulator", 0.0, 0.7)]
    return statement(spec=replace(spec(), tuned=how), guarantee=weak, utility=rows)


CHOICE = {"accountant": "permute-and-flip", "epsilon": 1.5, "epsilon_patient": 1.5}

KINDS = {
    "patient": statement(),
    "patch": by_patch(2.1e5),
    "secure sums": summed(),
    "patch of few": by_patch(8.5),
    "patch alone": by_patch(None),
    "federated": federated(),
    "deployed": deployed(),
    "deployed, secure sums": deployed(curious=1),
    "deployed, with copies": deployed(passed=False),
    "not private": not_private(),
    "no ε": not_private(guarantee=guarantee(epsilon=math.inf)),
    "choice": statement(guarantee=guarantee(**CHOICE), mechanism="permute-and-flip"),
    "phantoms": statement(
        phantoms=True, ledger=None, nearest_real={**SEARCH, "disclosed": FIGURES}
    ),
    "disclosed": statement(nearest_real={**SEARCH, "disclosed": FIGURES}),
    "free": free(),
    "refuted": refuted(),
    "tuned": tuned(),
    "skipped": statement(cost_of_skipping=COST_OF_SKIPPING.format(17)),
    "unscored": statement(
        utility=[row("real", math.inf, 0.8)],
        samples=statement().samples.but(spacing_mm=0.0).as_dict(),
    ),
}
"""One of each kind, by its name; each fits on four pages."""
