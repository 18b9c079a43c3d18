"""The colour and marker of each generator, in pages, pictures and MLflow.

Colours differ in lightness as well as in hue. Markers repeat the distinction for readers who cannot
tell the colours apart. Each colour has a contrast of 3 to 1 or more with its background (WCAG 2.2,
1.4.11).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import NamedTuple


class Look(NamedTuple):
    """The colours and the marker of a generator.

    Attributes:
        light: The colour on a white background.
        dark: The colour on a dark background.
        marker: Vega's name of the shape.
    """

    light: str
    dark: str
    marker: str


GREY = "#57606a", "#b8c0c8"
KNOWN = {
    "real": Look(*GREY, "diamond"),
    "simulator": Look(*GREY, "circle"),
    "threshold": Look(*GREY, "square"),
    "frangi": Look(*GREY, "triangle-up"),
    "dp-simulator": Look("#0b62b0", "#7cc4ff", "circle"),
    "dp-wgan": Look("#b35900", "#ffb454", "square"),
    "private-selection": Look("#1a7f4b", "#7ee2a8", "triangle-up"),
    "private-evolution": Look("#8a2be2", "#d2a8ff", "diamond"),
    "dp-merf": Look("#b3264a", "#ff9db0", "triangle-down"),
    "wgan": Look("#5c4400", "#e8d96b", "cross"),
    "dp-segmenter": Look("#0b7a7a", "#5fd4d4", "triangle-right"),
}
"""The looks of the suite's own generators."""

OTHERS = (
    Look("#a8401f", "#ff8f6b", "triangle-left"),
    Look("#567a0b", "#c5e07a", "cross"),
    Look("#3d3d9e", "#aab4ff", "triangle-right"),
    Look("#7a0b5e", "#ff9ee6", "square"),
)


MARKERS = (
    "circle",
    "square",
    "triangle-up",
    "diamond",
    "cross",
    "triangle-down",
    "triangle-right",
    "triangle-left",
)


def looks_of(generators: Mapping[str, str]) -> dict[str, Look]:
    """Assign a look to each row: its generator's colours, with different markers for several rows.

    Args:
        generators: Each row's generator, by the row's name.
    """
    found: dict[str, Look] = {}
    seen: dict[str, int] = {}
    for name, generator in generators.items():
        look, before = look_of(generator), seen.get(generator, 0)
        others = [marker for marker in MARKERS if marker != look.marker]
        marker = others[(before - 1) % len(others)] if before else look.marker
        found[name], seen[generator] = look._replace(marker=marker), before + 1
    return found


def look_of(generator: str) -> Look:
    """Return the look of a generator. An unknown generator always gets the same one.

    Args:
        generator: Its name.

    Examples:
        >>> look_of("dp-wgan").marker
        'square'
    """
    digest = hashlib.sha256(generator.encode()).digest()
    return KNOWN.get(generator) or OTHERS[digest[0] % len(OTHERS)]
