"""Editions of the protocol: changes to all presets at once, after which results are not compared.

An edition is a public agreement on what is compared: the embedded cohort's version, how patches are
taken and how the judge is trained. Its name is part of every result (``protocol.edition``), so a
board of one edition holds no row of another. ``--protocol`` runs an earlier edition.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmark.core.errors import UsageError
from benchmark.core.names import unknown
from benchmark.core.published import VESSEL_SHARE

if TYPE_CHECKING:
    from benchmark.core.settings import Settings

PROTOCOL = "protocol"
FIRST = "2026-1"
"""The edition of results that name no edition."""

Values = Mapping[str, Any]


class Edition(NamedTuple):
    """The values in which an edition differs from the plug-ins' own presets.

    Attributes:
        phantoms: The version of the embedded cohort.
        settings: Changed values by preset, then by plug-in (or ``protocol``), then by setting.
    """

    phantoms: int
    settings: Mapping[str, Mapping[str, Values]]


_COMPOSITION = {"batch_share": 0.1, "brain_share": VESSEL_SHARE, "attempts": 2}
_QUICK = {"width": 8, "iterations": 1000, **_COMPOSITION}
_STANDARD = {"iterations": 1500, **_COMPOSITION}
_REFINING = {"begin": "simulator", "edges": "moved", "averaging": 0.97}
_QUICK_GAN = {**_REFINING, "generator_steps": 110}  # of pixels of 0.8 mm, the default
_STANDARD_GAN = {**_REFINING, "pixel_mm": 0.6, "generator_steps": 150}


def _labels(**pixel: float) -> Mapping[str, Values]:
    """Generators that draw what the data-free simulator does, and learn where labels end."""
    design = {"design": "labels", **pixel}
    fit = {"clip_norm": 2.0, "caution": 0.0, "populations": 128, "patches": 24}
    few = {"candidates": 8}  # a choice among few has little noise
    return {
        "dp-simulator": {**design, **fit},
        "private-selection": {**design, **few},
        "private-evolution": design,
    }


EDITIONS: Mapping[str, Edition] = {
    FIRST: Edition(
        phantoms=2,
        settings={
            preset: {"simulator": {"design": "arcs"}} for preset in ("quick", "standard", "paper")
        },
    ),
    "2026-2": Edition(
        phantoms=3,
        settings={
            "quick": {
                PROTOCOL: {"edition": "2026-2", "spacing_mm": 0.8},
                "unet": _QUICK,
                "attention-unet": _QUICK,
                "wgan": _QUICK_GAN,
                "dp-wgan": _QUICK_GAN,
                **_labels(),
            },
            "standard": {
                PROTOCOL: {"edition": "2026-2", "spacing_mm": 0.6},
                "unet": _STANDARD,
                "attention-unet": _STANDARD,
                "wgan": _STANDARD_GAN,
                "dp-wgan": _STANDARD_GAN,
                **_labels(pixel_mm=0.6),
            },
            "paper": {PROTOCOL: {"edition": "2026-2"}, **_labels(pixel_mm=0.4)},
        },
    ),
}
DEFAULT = "2026-2"


def edition_of(protocol: Values) -> str:
    """Return the name of the edition that a result's protocol belongs to.

    Args:
        protocol: The protocol's values by name.
    """
    return str(protocol.get("edition", FIRST))


def found(name: str) -> Edition:
    """Return the edition with a name.

    Args:
        name: Such as ``2026-2``.

    Raises:
        UsageError: If there is no such edition.
    """
    if name not in EDITIONS:
        raise UsageError(unknown(PROTOCOL, name, list(EDITIONS)))
    return EDITIONS[name]


def preset_in(edition: str, presets: Mapping[str, Settings], plug_in: str, preset: str) -> Settings:
    """Return a plug-in's preset with the changes of an edition.

    Args:
        edition: The edition's name.
        presets: The presets of the plug-in (or of the protocol), by name.
        plug_in: The plug-in's name, or ``protocol``.
        preset: The name of the preset.

    Raises:
        UsageError: If there is no such edition.
    """
    changed = found(edition).settings.get(preset, {}).get(plug_in, {})
    return replace(presets[preset], **changed)
