"""A pool of planes through simulated vessels, from which populations choose theirs.

Growing and cutting trees costs twice as much as making images of them. So it is done once for a
size of patch, by a public seed, and kept for the process. The ranks of a plane in the pool describe
how long and thick its vessels are, and what ``RANKED`` names besides. Of some randomly offered
planes, a population takes those whose ranks are nearest to its own quantiles. Uniform quantiles
give about the whole pool. Planes are taken in any of the eight positions of a square, as none is
preferred.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.core.seeds import stream
from generators.simulation import blocks
from generators.simulation.raster import Drawn
from generators.simulation.statistics import eroded
from generators.simulation.trees import Array, Index

COUNT = 6000
"""The number of planes of a pool."""

SCALES = (1.0, 1.0, 1.0, 1.0, 0.6)
"""Factors of the nominal pixel, so that wide brains and thick arteries are in the pool too."""

RANKED = ("length", "calibre", "unmarked", "slow", "labelled")
BLOCKS = 20
OFFERED = 48
"""How many planes are offered to a patch, which takes the nearest."""


class Pool(NamedTuple):
    """Planes through vessels.

    Attributes:
        drawn: ``(n, H, W)``.
        ranks: The rank of each trait of ``RANKED`` among planes of its kind ``(n, t)``, in (0, 1).
        kinds: The planes without a vessel in the middle, and those with one.
    """

    drawn: Drawn
    ranks: Array
    kinds: tuple[Index, Index]

    def chosen(self, traits: Mapping[str, Array], rng: np.random.Generator) -> Drawn:
        """Choose a plane for each patch by its traits ``(n,)``; half are centred on a vessel."""
        n = len(traits["length"])
        centred = rng.random(n) < blocks.CENTRED
        length = np.where(centred, traits["length"], traits["crowded"])
        wanted = np.stack([length, *(traits[name] for name in RANKED[1:])], axis=1)
        chosen = np.empty(n, np.int64)
        for kind, mine in zip(self.kinds, (~centred, centred), strict=True):
            offered = kind[rng.integers(len(kind), size=(int(mine.sum()), OFFERED))]
            far = np.square(self.ranks[offered] - wanted[mine][:, None]).sum(2)
            chosen[mine] = np.take_along_axis(offered, far.argmin(1)[:, None], 1)[:, 0]
        position = rng.integers(8, size=len(chosen))
        return Drawn(*(_turned(planes[chosen], position) for planes in self.drawn))


@lru_cache(maxsize=2)
def pool(size: int, pixel_mm: float) -> Pool:
    """Return the pool of a size of patch.

    Args:
        size: The side of a patch in pixels.
        pixel_mm: The nominal side of a pixel.
    """
    rng = np.random.default_rng(stream(0, "pool of planes"))
    cuts = [
        blocks.cut(BLOCKS, size, pixel_mm * SCALES[i % len(SCALES)], rng)
        for i in range(COUNT // BLOCKS // blocks.CUT)
    ]
    drawn = Drawn(*(np.concatenate(parts) for parts in zip(*(c.drawn for c in cuts), strict=True)))
    seen = _seen(drawn)
    seen["slow"] = np.concatenate([c.slow_mm for c in cuts])
    seen["labelled"] = np.concatenate([c.labelled for c in cuts])
    middle = drawn.mask[:, size // 2, size // 2]
    kinds = np.flatnonzero(~middle), np.flatnonzero(middle)
    ranks = np.empty((len(middle), len(RANKED)), np.float32)
    for column, name in enumerate(RANKED):
        for kind in kinds:
            ranks[kind, column] = _ranks(seen[name][kind], rng)
    return Pool(drawn, ranks, kinds)


def _seen(drawn: Drawn) -> dict[str, Array]:
    """What a plane shows: pixels along vessels' walls, pixels for each of these, blood besides."""
    wall = (drawn.mask & ~eroded(drawn.mask)).sum((1, 2))
    around = ~eroded(~drawn.mask)
    return {
        "length": wall.astype(np.float32),
        "calibre": (drawn.mask.sum((1, 2)) / np.maximum(wall, 1)).astype(np.float32),
        "unmarked": np.where(around, 0, drawn.blood).sum((1, 2)),
    }


def _ranks(values: Array, rng: np.random.Generator) -> Array:
    """From 0 to 1; equal values in any order."""
    order = np.lexsort((rng.random(len(values)), values))
    ranks = np.empty(len(values), np.float32)
    ranks[order] = (np.arange(len(values)) + 0.5) / len(values)
    return ranks


def _turned(planes: NDArray[Any], position: Index) -> NDArray[Any]:
    """Each plane mirrored or not along both axes and its diagonal."""
    turned = planes.copy()
    for bit, axes in ((1, 1), (2, 2)):
        mine = (position & bit) > 0
        turned[mine] = np.flip(turned[mine], axes)
    mine = (position & 4) > 0
    turned[mine] = turned[mine].swapaxes(1, 2)
    return turned
