"""Populations of the data-free simulator that differ in where annotators end a label.

The look of arteries and scanners is varied so widely that a segmenter need not know a cohort's. The
end of a label cannot be randomised away: of two conventions a segmenter learns the middle, which is
neither. So this family has one parameter, the share of a pixel from which it is marked. All else is
drawn as the simulator draws it. Below about a fifth, pixels that touch a vessel are marked too, as
a broad brush would.

Two statistics reveal the share, both without a unit. One is how far brightness has fallen just
outside a label, relative to the fall around its edge. The other is how far it has risen just
inside, relative to the rise to the vessel's middle.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from generators.simulation import blocks
from generators.simulation.appearance import blurred, photographed
from generators.simulation.family import Family, in_parts
from generators.simulation.raster import Drawn
from generators.simulation.statistics import eroded, mean_of
from generators.simulation.trees import Array

MARKED = (0.05, 0.95)
"""The share of a pixel that must be vessel: from a broad brush to its very middle."""

WITHIN = 0.05
"""The share's standard deviation between patches of one annotator: a guess."""

TOUCHED = 0.7
"""How far a vessel reaches into its neighbours for a broad brush, in pixels: a guess."""

LEAST_LEVEL = 1e-3
CHUNK = 20 * blocks.CUT
LEAST = 0.05
"""Differences in brightness below this one are noise, and are not divided by."""


@cache
def family(pixel_mm: float) -> Family:
    """Return the family of populations that differ only in where labels end."""

    def draw(theta: Array, size: int, rng: np.random.Generator) -> tuple[Array, NDArray[np.uint8]]:
        return photographed(_marked(theta, size, pixel_mm, rng), rng)

    return Family(("marked",), prior, in_parts(draw, CHUNK), ("outside", "inside"), measure)


def prior(n: int, rng: np.random.Generator) -> Array:
    """Draw parameters ``(n, 1)``, uniform in [0, 1]."""
    return rng.random((n, 1), np.float32)


def measure(images: Array, masks: NDArray[np.uint8]) -> Array:
    """Compute both statistics ``(n, 2)`` of images ``(n, 1, H, W)`` and masks.

    They are in [0, 1]; nan without a vessel.
    """
    shown, marked = images[:, 0], masks[:, 0] > 0
    brain = shown > -1
    core, near = eroded(marked), _dilated(marked)
    wide = _dilated(near)
    rim, middle = mean_of(shown, marked & ~core), mean_of(shown, core)
    halo = mean_of(shown, near & ~marked & brain)
    ground = mean_of(shown, _dilated(wide) & ~wide & brain)
    parts = _share(halo - ground, rim - ground), _share(rim - ground, middle - ground)
    return np.stack(parts, axis=1).astype(np.float32)


def _marked(theta: Array, size: int, pixel_mm: float, rng: np.random.Generator) -> Drawn:
    """Patches whose labels end where their annotators let them."""
    n = len(theta)
    drawn = blocks.draw(-(-n // blocks.CUT), size, pixel_mm, rng)
    low, high = MARKED
    share = low + (high - low) * theta[:, 0] + WITHIN * rng.standard_normal(n, np.float32)
    covered = drawn.covered[:n]
    mask = extent(covered) >= np.clip(share, low, high)[:, None, None]
    return Drawn(drawn.blood[:n], mask, covered)


def extent(covered: Array) -> Array:
    """Return how much of each pixel is vessel, or is touched by one, for shares ``(n, H, W)``."""
    return np.maximum(covered, blurred(covered, np.full((len(covered), 1, 1), TOUCHED)))


def levels(cut: blocks.Cut, masks: NDArray[np.uint8]) -> Array:
    """Compute how far each pixel is from being marked, for annotators who end labels elsewhere.

    Args:
        cut: Simulated patches.
        masks: Their masks ``(n, 1, H, W)``, which lie within the brain.

    Returns:
        ``(n, H, W)``: the share of a pixel that is vessel, or that one touches, less the share from
        which it is marked; above 0 in the mask alone.
    """
    marked, share = masks[:, 0] > 0, cut.labelled[:, None, None]
    inside = np.maximum(cut.drawn.covered - share, LEAST_LEVEL)
    near = np.minimum(extent(cut.drawn.covered) - share, -LEAST_LEVEL)
    return np.asarray(np.where(marked, inside, near), np.float32)


def _dilated(masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return ~eroded(~masks)


def _share(part: Array, whole: Array) -> Array:
    return np.clip(part / np.maximum(whole, LEAST), 0, 1)
