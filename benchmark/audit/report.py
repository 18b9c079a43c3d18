"""One audit from a request to its report: laws, canaries, membership."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmark.audit.canaries import (
    Fitted,
    Verdict,
    audit,
    refuse_without_a_game,
    trial,
    with_canaries,
)
from benchmark.audit.laws import broken, laws_of
from benchmark.audit.membership import Curve, membership
from benchmark.core.budget import Budget, Guarantee, Unit
from benchmark.core.errors import UsageError
from benchmark.core.generator import FitContext, Noise, Progress
from benchmark.core.patches import Patches
from benchmark.core.seeds import stream
from benchmark.core.segmenter import PrivateSegmenter
from benchmark.data.patching import cached, extract, public_numbers
from benchmark.privacy.ledger import Spending
from benchmark.privacy.randomness import SeededNoise, SystemNoise
from benchmark.privacy.units import default_delta
from benchmark.sweep.cell import protocol_recipe
from benchmark.sweep.inputs import MAIN_TEST, Inputs
from benchmark.sweep.payment import ledger_in
from benchmark.sweep.presets import PROTOCOLS
from benchmark.sweep.request import registry_of

RECORDS = 500
"""Members, and others, that the black-box attack is tried on."""


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What is to be audited.

    Attributes:
        generator: The name of a private generator, or segmenter.
        epsilon: The claim.
        unit: What it is said to protect.
        preset: Settings to start from.
        settings: Texts that override the preset's.
        canaries: m.
        seed: Draws canaries, coins and, on phantoms, noise.
    """

    generator: str
    epsilon: float
    unit: Unit
    preset: str = "quick"
    settings: dict[str, str]
    canaries: int = 200
    seed: int = 0


class Report(NamedTuple):
    """What an audit found.

    Attributes:
        verdict: Of the canaries.
        laws: The laws that were measured, each with a sentence where the step breaks it, else none.
        curves: Of membership inference, by images and by masks; none without synthetic patches.
    """

    verdict: Verdict
    laws: dict[str, str]
    curves: dict[str, Curve]

    @property
    def broken(self) -> dict[str, str]:
        """The laws that do not hold, and why; none for an honest fit."""
        return {law: why for law, why in self.laws.items() if why}


def made(asked: Audit) -> Fitted:
    """What is to be fitted and attacked; needs no data.

    Raises:
        UsageError: For what is not private, or shows no private step to an audit.
    """
    kind = registry_of(asked.generator).get(asked.generator)
    if not (kind.is_private and kind.needs_data and math.isfinite(asked.epsilon)):
        raise UsageError(
            f"{asked.generator} at ε = {asked.epsilon:g} claims nothing that could be refuted; "
            "audit a private generator or segmenter that reads data, at a finite ε."
        )
    if asked.preset not in kind.presets:
        raise UsageError(f"{asked.generator} has no preset {asked.preset!r}.")
    fitted: Fitted = kind(kind.presets[asked.preset].with_texts(asked.settings))
    refuse_without_a_game(fitted)
    return fitted


def run_audit(
    asked: Audit, fitted: Fitted, inputs: Inputs, *, cache: Path, state: Path, progress: Progress
) -> Report:
    """Fits once with canaries, and attacks what comes out.

    Args:
        asked: What is audited.
        fitted: As ``made`` of it.
        inputs: Whose patients are fitted on.
        cache: The cache folder.
        state: The state folder, with the ledger.
        progress: Hears of every step.

    Raises:
        OverCapError: If the data are private and the fit would go over the ledger's cap.
    """
    recipe = protocol_recipe(PROTOCOLS[asked.preset].as_dict())
    seed = stream(asked.seed, "patches")
    public = with_canaries(public_numbers(inputs.train, recipe), asked.unit, asked.canaries)
    delta = default_delta(public.units(asked.unit))
    budget = Budget(epsilon=asked.epsilon, delta=delta, unit=asked.unit)
    ledger_in(state).check([_spending(asked, inputs, fitted.plan(public, budget))])
    known = cached(inputs.train, recipe, seed=seed, cache=cache, data=inputs.data)
    among = trial(known, asked.unit, canaries=asked.canaries, seed=asked.seed)
    laws: dict[str, str] = {}

    def charge(guarantee: Guarantee) -> None:
        ledger_in(state).charge(_spending(asked, inputs, guarantee))

    noise: Noise = SystemNoise() if inputs.private else SeededNoise(asked.seed, "audit")
    context = FitContext(seed=asked.seed, noise=noise, charge=charge, progress=progress)
    verdict = audit(
        fitted,
        budget,
        among,
        context,
        plant=lambda shown: laws.update(
            dict.fromkeys(laws_of(shown), "") | broken(shown, shown.guarantee)
        ),
    )
    if isinstance(fitted, PrivateSegmenter):
        return Report(verdict, laws, {})
    others = extract(inputs.tests[MAIN_TEST], recipe, seed=seed)
    synthetic = fitted.sample(4 * RECORDS, seed=asked.seed)
    picked = np.random.default_rng(stream(asked.seed, "records"))
    curves = membership(synthetic, _some(known, picked), _some(others, picked))
    return Report(verdict, laws, curves)


def _spending(asked: Audit, inputs: Inputs, guarantee: Guarantee) -> Spending:
    return Spending(
        kind="fit",
        run=f"audit of {asked.generator}",
        generator=asked.generator,
        guarantee=guarantee,
        patients=inputs.patients,
        private=inputs.private,
    )


def _some(patches: Patches, rng: np.random.Generator) -> Patches:
    chosen = rng.choice(len(patches), min(RECORDS, len(patches)), replace=False)
    return replace(
        patches, images=patches.images[chosen], masks=patches.masks[chosen], patient=None
    )
