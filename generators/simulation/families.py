"""Families of simulated populations: what a parameter in [0, 1] means, and patches of each.

``tubes`` are the first edition's, for which a pixel has no millimetres. ``trees`` are those of the
data-free simulator: arteries in millimetres, and its traits narrowed to a population's.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from generators.simulation import planes, traits, tubes
from generators.simulation.appearance import photographed
from generators.simulation.trees import Array

DESIGNS = ("tubes", "trees")
CHUNK = 512


class Prior(Protocol):
    """Draws parameters of populations ``(n, p)`` in [0, 1], uniform."""

    def __call__(self, n: int, rng: np.random.Generator) -> Array:
        """Parameters of ``n`` populations."""


class Family(NamedTuple):
    """Populations that differ by parameters.

    Attributes:
        names: Of the p parameters.
        prior: Draws them.
        draw: A labelled patch for each row of parameters, from its side and random draws: images
            float32 ``(n, 1, H, W)`` in [-1, 1] and masks uint8.
    """

    names: tuple[str, ...]
    prior: Prior
    draw: Callable[[Array, int, np.random.Generator], tuple[Array, NDArray[np.uint8]]]


TUBES = Family(tubes.NAMES, tubes.prior, tubes.draw)


def family(design: str, pixel_mm: float) -> Family:
    """The family of a design.

    Args:
        design: One of ``DESIGNS``.
        pixel_mm: A pixel's nominal side; ``tubes`` have none.
    """
    return TUBES if design == "tubes" else trees(pixel_mm)


@cache
def trees(pixel_mm: float) -> Family:
    """Populations of the data-free simulator."""

    def draw(theta: Array, size: int, rng: np.random.Generator) -> tuple[Array, NDArray[np.uint8]]:
        images = np.empty((len(theta), 1, size, size), np.float32)
        masks = np.empty(images.shape, np.uint8)
        for start in range(0, len(theta), CHUNK):
            now = slice(start, start + CHUNK)
            given = traits.within(theta[now], rng)
            drawn = planes.pool(size, pixel_mm).chosen(given, rng)
            images[now], masks[now] = photographed(drawn, rng, traits.Traits(given))
        return images, masks

    return Family(traits.NAMES, traits.prior, draw)
