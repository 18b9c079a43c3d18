"""The settings that a few words give: an edition, a preset and texts that override it.

Sweeps and deployments take their settings from here, so the same words give the same fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from benchmark.core.editions import PROTOCOL, preset_in
from benchmark.core.errors import UsageError
from benchmark.core.names import unknown
from benchmark.core.protocol import NATIVE, PROTOCOLS
from benchmark.core.settings import Settings

PIXEL = "pixel_mm"
"""The setting of plug-ins that draw vessels in millimetres: the side of a patch's pixels."""


class Words(NamedTuple):
    """What settings start from.

    Attributes:
        edition: The edition of the protocol, as ``--protocol`` takes it.
        preset: The name of the preset.
    """

    edition: str
    preset: str


def protocol_from(words: Words, texts: Mapping[str, str]) -> Settings:
    """Return the protocol: the preset's values, with what texts override.

    Args:
        words: The edition and the preset.
        texts: By setting's name, as ``--set protocol.NAME=VALUE`` gives them.

    Raises:
        UsageError: For an unknown edition, preset or setting.
    """
    check_preset(words.preset)
    return preset_in(words.edition, PROTOCOLS, PROTOCOL, words.preset).with_texts(texts)


def check_preset(preset: str) -> None:
    """Refuse the name of a preset that does not exist.

    Raises:
        UsageError: With those that do.
    """
    if preset not in PROTOCOLS:
        raise UsageError(unknown("preset", preset, list(PROTOCOLS)))


def settings_from(
    words: Words,
    name: str,
    presets: Mapping[str, Settings],
    *,
    spacing_mm: float,
    texts: Mapping[str, str],
) -> Settings:
    """Return a plug-in's settings: its preset in the edition, with what texts override.

    A plug-in whose vessels have millimetres gets those of the patches' own pixels.

    Args:
        words: The edition and the preset.
        name: The plug-in's name.
        presets: Its presets.
        spacing_mm: A pixel's side of the patches; ``NATIVE`` for each volume's own.
        texts: By setting's name, as ``--set NAME.SETTING=VALUE`` gives them.

    Raises:
        UsageError: For an unknown edition, preset or setting; all but the first name the plug-in.
    """
    if words.preset not in presets:
        raise UsageError(unknown(f"preset of {name}", words.preset, presets))
    try:
        start = preset_in(words.edition, presets, name, words.preset)
        return _at(spacing_mm, start).with_texts(texts)
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from None


def _at(spacing_mm: float, params: Settings) -> Settings:
    """The settings of a plug-in whose vessels have millimetres, for the patches' own pixels."""
    if spacing_mm == NATIVE or PIXEL not in params.ranges():
        return params
    return params.with_texts({PIXEL: str(spacing_mm)})
