"""Blocks of simulated brain, and the axial patches that are cut through their vessels.

A block is a box with arterial trees and perhaps veins, and a scanner's pixel and slice. A patch is
a plane through it: half are centred on a vessel, half anywhere (Kossen et al. 2022).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from generators.simulation import trees
from generators.simulation.raster import Blocks, Drawn, Mask, Vessels, Views, rasterised
from generators.simulation.trees import Array, Index, Pieces, Trees, uniform

CUT = 6
"""How many patches are cut from a block."""

ARTERIES, VEINS = 36, 6
GROWN = ARTERIES + VEINS
SIDE, DEPTH = 1.6, 0.7  # of a block, in sides of a patch: room for its planes
ROOM = np.array([1, 1, 0.2], np.float32)  # between a middle and the walls, in half sides
STEP_PIXELS = 2.0  # of a piece of a vessel
CENTRED, OFF_AXIS = 0.5, 0.7  # of patches; how far from a vessel's axis, in radii

PIXEL = (0.75, 1.25)  # of the nominal side: a guess, wide on purpose
SLICE_MM = (0.5, 1.2)  # IXI 0.8, PEGASUS about 0.7; wide on purpose
SHARE, SHARE_SPREAD = 0.009, 0.6
"""Median share of a block that is vessel, and the spread of its logarithm: the mean is 1.1 %, as in
public whole-brain masks; the spread is a guess, wide on purpose."""

SLOW_MM = (0.0, 0.5)  # radius at which half of the signal is lost: a guess, wide on purpose
RIM = (0.0, 0.5)  # share of the signal that is lost at the wall: a guess, wide on purpose
LABELLED = (0.35, 0.65)  # share of a pixel that an annotator marks: a guess, wide on purpose
SEEN = (0.05, 0.35)  # signal below which nobody marks a vessel: a guess, wide on purpose
VEINED = 0.5  # share of blocks with veins: a guess
VEIN_RADIUS_MM = (0.4, 3.0)  # from cortical veins to sinuses: a guess, wide on purpose
VEIN_FLOW = (0.05, 0.4)  # of an artery's signal: saturation bands leave some (a guess)


class Cut(NamedTuple):
    """Patches of some blocks, with values of each patch's block ``(n,)``."""

    drawn: Drawn
    slow_mm: Array
    labelled: Array


def draw(count: int, size: int, pixel_mm: float, rng: np.random.Generator) -> Drawn:
    """Draw ``CUT`` patches of each of some blocks; see ``cut``."""
    return cut(count, size, pixel_mm, rng).drawn


def cut(count: int, size: int, pixel_mm: float, rng: np.random.Generator) -> Cut:
    """Cut ``CUT`` patches from each of some blocks.

    Args:
        count: How many blocks.
        size: The side of a patch in pixels.
        pixel_mm: The nominal side of a pixel; each block's is a random factor in ``PIXEL`` times
            that.
        rng: The random generator.
    """
    blocks = _blocks(count, pixel_mm, rng)
    sides = np.array([SIDE, SIDE, DEPTH], np.float32)
    box = np.asarray(blocks.pixel_mm[:, None] * size * sides, np.float32)
    vessels = _vessels(blocks, box, pixel_mm, rng)
    views = _views(blocks, vessels, box, size, rng)
    drawn = rasterised(vessels, blocks, views, size)
    return Cut(drawn, blocks.slow_mm[views.block], blocks.labelled[views.block])


def _blocks(count: int, pixel_mm: float, rng: np.random.Generator) -> Blocks:
    return Blocks(
        pixel_mm=pixel_mm * uniform(PIXEL, count, rng),
        slice_mm=uniform(SLICE_MM, count, rng),
        slow_mm=uniform(SLOW_MM, count, rng),
        rim=uniform(RIM, count, rng),
        labelled=uniform(LABELLED, count, rng),
        seen=uniform(SEEN, count, rng),
    )


def _vessels(blocks: Blocks, box: Array, pixel_mm: float, rng: np.random.Generator) -> Vessels:
    planted = trees.enter(np.repeat(box, GROWN, axis=0), rng)
    is_vein = np.tile(np.arange(GROWN) >= ARTERIES, len(box))
    low, high = np.log(VEIN_RADIUS_MM)
    wide = np.exp(uniform((low, high), len(is_vein), rng))
    planted = planted._replace(radius=np.where(is_vein, wide, planted.radius))
    pieces = trees.grow(planted, STEP_PIXELS * pixel_mm, rng)
    stays = _stays(pieces, planted, blocks, is_vein, rng)
    dim = np.where(is_vein, uniform(VEIN_FLOW, len(is_vein), rng), np.float32(1))
    kept = np.flatnonzero(stays[pieces.tree])
    kept = kept[np.argsort(pieces.tree[kept] // GROWN, kind="stable")]
    return _seen(pieces.at(kept), blocks, dim, is_vein)


def _seen(pieces: Pieces, blocks: Blocks, dim: Array, is_vein: Mask) -> Vessels:
    """How bright each piece is, and whether an annotator would mark it."""
    block, radius = pieces.tree // GROWN, pieces.radius
    flow = dim[pieces.tree] / (1 + (blocks.slow_mm[block] / radius) ** 2)
    signal = np.asarray(flow * np.minimum(1, 2 * radius / blocks.pixel_mm[block]), np.float32)
    marked = ~is_vein[pieces.tree] & (signal >= blocks.seen[block])
    return Vessels(block, pieces.start, pieces.along, radius, signal, marked)


def _stays(
    pieces: Pieces, planted: Trees, blocks: Blocks, is_vein: Mask, rng: np.random.Generator
) -> Mask:
    """Which trees stay: as many as fill a block's share, in the mean, and the veins of some."""
    count = len(blocks.pixel_mm)
    middle = pieces.start + pieces.along / 2
    inside = ((middle > 0) & (middle < planted.box[pieces.tree])).all(1)
    length = np.sqrt((pieces.along**2).sum(1)) * inside
    drawn = np.maximum(pieces.radius, blocks.pixel_mm[pieces.tree // GROWN] / 2)
    volume = np.bincount(pieces.tree, np.pi * drawn**2 * length, len(is_vein))
    up_to = np.cumsum(np.where(is_vein, 0, volume).reshape(count, GROWN), axis=1).ravel()
    share = SHARE * np.exp(SHARE_SPREAD * rng.standard_normal(count))
    lacks = np.repeat(share, GROWN) * planted.box.prod(1) - (up_to - volume)
    veined = np.repeat(rng.random(count) < VEINED, GROWN)
    needed = rng.random(len(volume)) * volume < lacks
    return np.where(is_vein, veined, needed)


def _views(
    blocks: Blocks, vessels: Vessels, box: Array, size: int, rng: np.random.Generator
) -> Views:
    """Middles of patches: in a vessel that is marked, or anywhere."""
    room = np.asarray((blocks.pixel_mm * size / 2)[:, None] * ROOM, np.float32)
    count = len(box) * CUT
    piece = _marked(blocks, vessels, box, room, int(rng.binomial(count, CENTRED)), rng)
    along, away = rng.random((2, len(piece), 1), np.float32)
    aside = trees.unit(rng.standard_normal((len(piece), 3), np.float32))
    aside *= OFF_AXIS * np.cbrt(away) * vessels.radius[piece][:, None]
    on = vessels.start[piece] + along * vessels.along[piece] + aside
    block = rng.integers(len(box), size=count - len(piece))
    low, high = room[block], (box - room)[block]
    anywhere = low + (high - low) * rng.random(low.shape, np.float32)
    mixed = rng.permutation(count)
    middle = np.concatenate([on, anywhere])
    return Views(np.append(vessels.block[piece], block)[mixed], middle[mixed])


def _marked(
    blocks: Blocks, vessels: Vessels, box: Array, room: Array, count: int, rng: np.random.Generator
) -> Index:
    """Marked pieces with room for a patch around them, by the pixels that each covers."""
    place, block = vessels.start + vessels.along / 2, vessels.block
    inside = ((place > room[block]) & (place < (box - room)[block])).all(1)
    pixels = np.maximum(vessels.radius / blocks.pixel_mm[block], 0.5).astype(np.float64) ** 2
    weights = pixels * (inside & vessels.is_labelled)
    if not weights.any():
        return np.zeros(0, np.int64)
    return rng.choice(len(weights), count, p=weights / weights.sum())
