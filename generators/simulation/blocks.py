"""Blocks of simulated brain, and the axial patches that are cut through their vessels.

A block is a box with arterial trees, some veins, and a scanner's pixel and slice. A patch is a plane
through it: half are centred on a vessel, half anywhere (Kossen et al. 2022). Of a pixel at distance
d from a vessel of radius r, p = clip((r - d) / side + ½) lies inside, averaged over the thickness of
the slice. Blood slows down in thin vessels and along walls: flow = (1 - rim d²/r²) / (1 + (slow/r)²).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from generators.simulation import trees
from generators.simulation.trees import Array, Index, Pieces, Trees, uniform

Mask = NDArray[np.bool_]

CUT = 8
"""Patches that are cut from a block."""

ARTERIES, VEINS = 36, 6
GROWN = ARTERIES + VEINS
SIDE, DEPTH = 1.6, 0.7  # of a block, in sides of a patch: room for its planes
STEP_PIXELS = 2.0  # of a piece of a vessel
AT_ONCE = 4096
PLANES = 3  # of which a slice is the mean
CENTRED, OFF_AXIS = 0.5, 0.7  # of patches; how far from a vessel's axis, in radii

PIXEL = (0.75, 1.25)  # of the nominal side: a guess, wide on purpose
SLICE_MM = (0.5, 1.2)  # 0.6 to 1 in public data (IXI 0.8, TopCoW, PEGASUS 0.7)
SHARE, SHARE_SPREAD = 0.009, 0.6
"""Median share of a block that is vessel, and the spread of its logarithm: their mean is 1.1 %, as in
public whole-brain masks; the spread is a guess, wide on purpose."""

SLOW_MM = (0.0, 0.5)  # radius at which half of the signal is lost: a guess, wide on purpose
RIM = (0.0, 0.5)  # share of the signal that is lost at the wall: a guess, wide on purpose
LABELLED = (0.35, 0.65)  # share of a pixel that an annotator marks: a guess, wide on purpose
SEEN = (0.05, 0.35)  # signal below which nobody marks a vessel: a guess, wide on purpose
VEINED = 0.5  # share of blocks with veins: a guess
VEIN_RADIUS_MM = (0.4, 3.0)  # from cortical veins to sinuses: a guess, wide on purpose
VEIN_FLOW = (0.05, 0.4)  # of an artery's signal: saturation bands leave some (a guess)


class Blocks(NamedTuple):
    """What belongs to each block, all ``(b,)``; see the constants of these names."""

    pixel_mm: Array
    slice_mm: Array
    slow_mm: Array
    rim: Array
    labelled: Array
    seen: Array


class Vessels(NamedTuple):
    """Pieces of vessels ``(k,)`` in their blocks' order.

    Attributes:
        block: Whose each is.
        start: ``(k, 3)`` in mm of the block, like ``along`` and ``radius``.
        along: ``(k, 3)``.
        radius: ``(k,)``.
        flow: Signal of the blood in it, in [0, 1].
        cover: How much of a pixel it can cover, less than 1 if it is thinner.
        is_labelled: Whether an annotator would mark it.
    """

    block: Index
    start: Array
    along: Array
    radius: Array
    flow: Array
    cover: Array
    is_labelled: Mask


class Views(NamedTuple):
    """Patches of blocks: whose each is ``(n,)``, and the mm of its middle ``(n, 3)``."""

    block: Index
    middle: Array


class Drawn(NamedTuple):
    """Patches ``(n, H, W)``: signal of the blood in [0, 1], and what an annotator marks."""

    blood: Array
    mask: Mask


def draw(count: int, size: int, pixel_mm: float, rng: np.random.Generator) -> Drawn:
    """``CUT`` patches of each of some blocks.

    Args:
        count: How many blocks.
        size: The side of a patch in pixels.
        pixel_mm: The side of a pixel, from which each block's departs by ``PIXEL``.
        rng: The draws.
    """
    blocks = _blocks(count, pixel_mm, rng)
    box = blocks.pixel_mm[:, None] * size * np.array([SIDE, SIDE, DEPTH], np.float32)
    vessels = _vessels(blocks, box, pixel_mm, rng)
    views = _views(blocks, vessels, box, size, rng)
    return rasterised(vessels, blocks, views, size)


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
    kept = np.flatnonzero(stays[pieces.tree])
    kept = kept[np.argsort(pieces.tree[kept] // GROWN, kind="stable")]
    tree, radius = pieces.tree[kept], pieces.radius[kept]
    block = tree // GROWN
    flow = 1 / (1 + (blocks.slow_mm[block] / radius) ** 2)
    dim = np.where(is_vein, uniform(VEIN_FLOW, len(is_vein), rng), np.float32(1))
    cover = np.minimum(1, 2 * radius / blocks.pixel_mm[block])
    seen = ~is_vein[tree] & (flow * cover >= blocks.seen[block])
    start, along = pieces.start[kept], pieces.along[kept]
    return Vessels(block, start, along, radius, flow * dim[tree], cover, seen)


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
    room = (blocks.pixel_mm * size / 2)[:, None] * np.array([1, 1, 0.2], np.float32)
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


def rasterised(vessels: Vessels, blocks: Blocks, views: Views, size: int) -> Drawn:
    """The patches of some views, pixel by pixel."""
    shape = (len(views.block), PLANES, size, size)
    inside, blood = np.zeros((2, *shape), np.float32)
    seen = _near(vessels, blocks, views, size)
    across = np.sqrt((seen.along[:, :2] ** 2).sum(1)) / 2
    reach = np.ceil((seen.radius + across) / seen.pixel + 1).astype(np.int64)
    for half in np.unique(reach):
        alike = np.flatnonzero(reach == half)
        for start in range(0, len(alike), AT_ONCE):
            _paint(inside, blood, seen.at(alike[start : start + AT_ONCE]), int(half))
    mask = inside.mean(1) >= blocks.labelled[views.block][:, None, None]
    return Drawn(blood.mean(1), mask)


class _Seen(NamedTuple):
    """Pieces of vessels as a patch sees them, all ``(m,)`` but the first two ``(m, 3)``."""

    start: Array
    along: Array
    view: Index
    radius: Array
    signal: Array
    is_labelled: Mask
    pixel: Array
    thickness: Array
    rim: Array

    def at(self, chosen: Index) -> _Seen:
        return _Seen(*(values[chosen] for values in self))


def _near(vessels: Vessels, blocks: Blocks, views: Views, size: int) -> _Seen:
    """What each view sees, from its middle."""
    place = vessels.start + vessels.along / 2
    reach = vessels.radius[:, None] + np.abs(vessels.along) / 2
    reach += blocks.pixel_mm[vessels.block][:, None]
    ends = np.searchsorted(vessels.block, np.arange(len(blocks.pixel_mm) + 1))
    half = blocks.pixel_mm[:, None] * np.array([size / 2, size / 2, 0], np.float32)
    half[:, 2] = blocks.slice_mm / 2
    found = []
    for block, middle in zip(views.block, views.middle, strict=True):
        now = slice(ends[block], ends[block + 1])
        far = np.abs(place[now] - middle) > reach[now] + half[block]
        found.append(np.flatnonzero(~far.any(1)) + ends[block])
    view = np.repeat(np.arange(len(found)), [len(pieces) for pieces in found])
    piece = np.concatenate(found)
    block = vessels.block[piece]
    return _Seen(
        start=vessels.start[piece] - views.middle[view],
        along=vessels.along[piece],
        view=view,
        radius=vessels.radius[piece],
        signal=vessels.cover[piece] * vessels.flow[piece],
        is_labelled=vessels.is_labelled[piece],
        pixel=blocks.pixel_mm[block],
        thickness=blocks.slice_mm[block],
        rim=blocks.rim[block],
    )


def _paint(inside: Array, blood: Array, seen: _Seen, half: int) -> None:
    """Raises pixels to what pieces cover of them, in windows of ``half`` pixels around each."""
    size, pixel = inside.shape[-1], seen.pixel[:, None]
    nearest = np.rint((seen.start + seen.along / 2)[:, :2] / pixel).astype(np.int64)
    pixels = nearest[:, :, None] + np.arange(-half, half + 1)
    planes = (np.arange(PLANES, dtype=np.float32) + 0.5) / PLANES - 0.5
    z = planes * seen.thickness[:, None] - seen.start[:, 2:]
    x, y = (pixels[:, i] * pixel - seen.start[:, i : i + 1] for i in (0, 1))
    wide = np.maximum(seen.radius, seen.pixel / 2)
    squared = _squared_distance(x, y, z, seen.along)
    near = squared < ((wide + seen.pixel / 2) ** 2)[:, None, None, None]
    who, plane, row, column = np.nonzero(near & _on_patch(pixels + size // 2, size))
    distance = np.sqrt(squared[who, plane, row, column])
    share = np.minimum((wide[who] - distance) / seen.pixel[who] + 0.5, 1)
    slowed = 1 - seen.rim[who] * np.minimum(distance / seen.radius[who], 1) ** 2
    rows, columns = pixels[who, 0, row] + size // 2, pixels[who, 1, column] + size // 2
    flat = ((seen.view[who] * PLANES + plane) * size + rows) * size + columns
    np.maximum.at(blood.reshape(-1), flat, share * seen.signal[who] * slowed)
    marked = seen.is_labelled[who]
    np.maximum.at(inside.reshape(-1), flat[marked], share[marked])


def _on_patch(pixels: Index, size: int) -> Mask:
    """Which pixels ``(m, 1, H, W)`` of windows lie on the patch."""
    on = (pixels >= 0) & (pixels < size)
    return np.asarray(on[:, None, 0, :, None] & on[:, None, 1, None, :])


def _squared_distance(x: Array, y: Array, z: Array, along: Array) -> Array:
    """Of pixels ``(m, planes, H, W)`` to pieces that begin at 0; x and y ``(m, side)``, z planes."""
    dx, dy, dz = (along[:, i, None, None, None] for i in range(3))
    length = (along**2).sum(1)[:, None, None, None]
    x, y, z = x[:, None, :, None], y[:, None, None, :], z[:, :, None, None]
    dot = (x * dx + z * dz) + y * dy
    t = np.clip(dot / length, 0, 1)
    return np.maximum((x**2 + z**2) + y**2 + t * (t * length - 2 * dot), 0)
