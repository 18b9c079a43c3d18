"""A request for an audit, and the plug-in that it is of. None of this needs data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from benchmark.audit.canaries import Fitted, unreadable
from benchmark.audit.measuring import measured
from benchmark.audit.watching import blamed
from benchmark.core.budget import Budget, PublicNumbers, Unit
from benchmark.core.editions import DEFAULT, PROTOCOL, preset_in
from benchmark.core.errors import UsageError
from benchmark.core.names import unknown
from benchmark.core.protocol import PROTOCOLS
from benchmark.core.registry import registry_of
from benchmark.core.segmenter import PrivateSegmenter
from benchmark.core.settings import Settings
from benchmark.privacy.accounting.units import default_delta


@dataclass(frozen=True, kw_only=True)
class Audit:
    """The request for an audit.

    Attributes:
        generator: The name of a private generator, or segmenter.
        epsilon: The claim.
        unit: What it is said to protect.
        preset: Settings to start from.
        protocol: The edition of the protocol.
        settings: Texts that override the preset's.
        canaries: m.
        seed: Draws canaries, coins and, on phantoms, noise.
    """

    generator: str
    epsilon: float
    unit: Unit
    preset: str = "quick"
    protocol: str = DEFAULT
    settings: dict[str, str]
    canaries: int = 200
    seed: int = 0


class Subject(NamedTuple):
    """The plug-in that is attacked.

    Attributes:
        fitted: The plug-in, before its fit.
        unseen: Why it can have no canaries, as words that follow its name; empty if it can.
    """

    fitted: Fitted
    unseen: str


def made(asked: Audit) -> Subject:
    """Make the plug-in that is fitted and attacked. This needs no data.

    Args:
        asked: The request.

    Raises:
        UsageError: For what is not private, or for a segmenter that shows no private step.
    """
    kind = registry_of(asked.generator).get(asked.generator)
    if not (kind.is_private and kind.needs_data and math.isfinite(asked.epsilon)):
        raise UsageError(
            f"{asked.generator} at ε = {asked.epsilon:g} claims nothing that could be refuted; "
            "audit a private generator or segmenter that reads data, at a finite ε."
        )
    if asked.preset not in kind.presets:
        raise UsageError(unknown(f"preset of {asked.generator}", asked.preset, kind.presets))
    settings = settings_of(asked)
    with blamed(asked.generator, "constructor"):
        fitted: Fitted = kind(settings)
    unseen = unreadable(fitted, asked.unit, measured)
    if unseen and isinstance(fitted, PrivateSegmenter):
        raise UsageError(nothing_to_audit(fitted, unseen))
    return Subject(fitted, unseen)


def settings_of(asked: Audit) -> Settings:
    """Return the plug-in's settings: its preset's, and what overrides them."""
    presets = registry_of(asked.generator).get(asked.generator).presets
    start = preset_in(asked.protocol, presets, asked.generator, asked.preset)
    return start.with_texts(asked.settings)


def rules_of(edition: str, preset: str) -> dict[str, Any]:
    """Return the values of the protocol by which an audit's patches are taken."""
    return preset_in(edition, PROTOCOLS, PROTOCOL, preset).as_dict()


def budget_for(epsilon: float, unit: Unit, public: PublicNumbers) -> Budget:
    """Return the claim as a budget, with the unit's default δ.

    Args:
        epsilon: The claimed ε.
        unit: The protected unit.
        public: The public numbers, which decide δ.
    """
    return Budget(epsilon=epsilon, delta=default_delta(public.units(unit)), unit=unit)


def nothing_to_audit(segmenter: PrivateSegmenter, unseen: str) -> str:
    """Say why a segmenter cannot be audited.

    Args:
        segmenter: The segmenter.
        unseen: Why it can have no canaries, as words that follow its name.
    """
    return (
        f"{segmenter.name} {unseen}, and a segmenter draws no synthetic patches, so there is "
        "nothing to audit; docs/plugins.md says what to show."
    )
