"""Families of simulated populations: the meaning of their parameters, and patches of each.

``tubes`` are the first edition's, for which a pixel has no millimetres. ``trees`` are those of the
data-free simulator: arteries in millimetres, with its traits narrowed to a population's. ``labels``
draw all of its patches and differ only in where a label ends.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from generators.simulation import labels, planes, traits, tubes
from generators.simulation.appearance import photographed
from generators.simulation.family import Family, in_parts
from generators.simulation.trees import Array

DESIGNS = ("tubes", "trees", "labels")
CHUNK = 512

TUBES = Family(tubes.NAMES, tubes.prior, tubes.draw)


def family(design: str, pixel_mm: float) -> Family:
    """Return the family of a design.

    Args:
        design: One of ``DESIGNS``.
        pixel_mm: A pixel's nominal side; not used by ``tubes``.
    """
    if design == "tubes":
        return TUBES
    return trees(pixel_mm) if design == "trees" else labels.family(pixel_mm)


@cache
def trees(pixel_mm: float) -> Family:
    """Return the family of the data-free simulator's populations."""

    def draw(theta: Array, size: int, rng: np.random.Generator) -> tuple[Array, NDArray[np.uint8]]:
        given = traits.within(theta, rng)
        drawn = planes.pool(size, pixel_mm).chosen(given, rng)
        return photographed(drawn, rng, traits.Traits(given))

    return Family(traits.NAMES, traits.prior, in_parts(draw, CHUNK))
