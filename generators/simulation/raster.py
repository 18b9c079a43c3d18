"""From vessels to patches: what an axial slice shows of pieces of tubes, and what is marked.

For a pixel at distance d from the axis of a vessel of radius r, the share inside is p = clip((r -
d) / side + ½), averaged over planes through the thickness of the slice. Blood is slower, and so
darker, in thin vessels and along walls: signal = (1 - rim d²/r²) / (1 + (slow/r)²). The signal is
lower where a vessel is thinner than a pixel.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from generators.simulation.trees import Array, Index

Mask = NDArray[np.bool_]

AT_ONCE = 4096
PLANES = 3  # of which a slice is the mean


class Blocks(NamedTuple):
    """Values of each block, all ``(b,)``.

    Attributes:
        pixel_mm: A pixel's side.
        slice_mm: A slice's thickness.
        slow_mm: The radius at which half of the signal is lost.
        rim: Share of the signal that is lost at the wall.
        labelled: Share of a pixel from which an annotator marks it.
        seen: Signal below which no vessel is marked.
    """

    pixel_mm: Array
    slice_mm: Array
    slow_mm: Array
    rim: Array
    labelled: Array
    seen: Array


class Vessels(NamedTuple):
    """Pieces of vessels ``(k,)`` in the order of their blocks.

    Attributes:
        block: The block of each.
        start: ``(k, 3)`` in mm of the block, like ``along`` and ``radius``.
        along: ``(k, 3)``.
        radius: ``(k,)``.
        signal: The signal of a pixel in its middle, in [0, 1].
        is_labelled: Whether an annotator would mark it.
    """

    block: Index
    start: Array
    along: Array
    radius: Array
    signal: Array
    is_labelled: Mask


class Views(NamedTuple):
    """Patches of blocks: the block of each ``(n,)``, and its middle in mm ``(n, 3)``."""

    block: Index
    middle: Array


class Drawn(NamedTuple):
    """Patches ``(n, H, W)``.

    Attributes:
        blood: The signal of blood, in [0, 1].
        mask: What an annotator marks.
        covered: The share of each pixel that is covered by vessels that are marked at all.
    """

    blood: Array
    mask: Mask
    covered: Array


def rasterised(vessels: Vessels, blocks: Blocks, views: Views, size: int) -> Drawn:
    """Draw the patches of some views, pixel by pixel.

    Args:
        vessels: The pieces of vessels.
        blocks: Their blocks.
        views: The patches.
        size: The side of a patch.
    """
    shape = (len(views.block), PLANES, size, size)
    inside, blood = np.zeros((2, *shape), np.float32)
    seen = _near(vessels, blocks, views, size)
    across = np.sqrt((seen.along[:, :2] ** 2).sum(1)) / 2
    reach = np.ceil((seen.radius + across) / seen.pixel + 1).astype(np.int64)
    for half in np.unique(reach):
        alike = np.flatnonzero(reach == half)
        for start in range(0, len(alike), AT_ONCE):
            _paint(inside, blood, seen.at(alike[start : start + AT_ONCE]), int(half))
    covered = inside.mean(1)
    mask = covered >= blocks.labelled[views.block][:, None, None]
    return Drawn(blood.mean(1), mask, covered)


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
        parts: list[Any] = [values[chosen] for values in self]
        return _Seen(*parts)


def _near(vessels: Vessels, blocks: Blocks, views: Views, size: int) -> _Seen:
    """What each view sees, from its middle."""
    view, piece = _pairs(vessels, blocks, views, size)
    block = vessels.block[piece]
    return _Seen(
        start=vessels.start[piece] - views.middle[view],
        along=vessels.along[piece],
        view=view,
        radius=vessels.radius[piece],
        signal=vessels.signal[piece],
        is_labelled=vessels.is_labelled[piece],
        pixel=blocks.pixel_mm[block],
        thickness=blocks.slice_mm[block],
        rim=blocks.rim[block],
    )


def _pairs(vessels: Vessels, blocks: Blocks, views: Views, size: int) -> tuple[Index, Index]:
    """Which views see which pieces."""
    place = vessels.start + vessels.along / 2
    reach = vessels.radius[:, None] + np.abs(vessels.along) / 2
    reach += blocks.pixel_mm[vessels.block][:, None]
    ends = np.searchsorted(vessels.block, np.arange(len(blocks.pixel_mm) + 1))
    half = np.stack([*2 * [blocks.pixel_mm * size], blocks.slice_mm], axis=1) / 2
    found = []
    for block, middle in zip(views.block, views.middle, strict=True):
        now = slice(ends[block], ends[block + 1])
        far = np.abs(place[now] - middle) > reach[now] + half[block]
        found.append(np.flatnonzero(~far.any(1)) + ends[block])
    view = np.repeat(np.arange(len(found)), [len(pieces) for pieces in found])
    return view, np.concatenate(found)


def _paint(inside: Array, blood: Array, seen: _Seen, half: int) -> None:
    """Raises pixels to what pieces cover of them, in windows of ``half`` pixels around each."""
    size, pixel = inside.shape[-1], seen.pixel[:, None]
    nearest = np.rint((seen.start + seen.along / 2)[:, :2] / pixel)
    pixels = nearest[:, :, None] + np.arange(-half, half + 1, dtype=np.float32)
    planes = np.asarray((np.arange(PLANES) + 0.5) / PLANES - 0.5, np.float32)
    z = planes * seen.thickness[:, None] - seen.start[:, 2:]
    x, y = (pixels[:, i] * pixel - seen.start[:, i : i + 1] for i in (0, 1))
    wide = np.maximum(seen.radius, seen.pixel / 2)
    squared = _squared_distance(x, y, z, seen.along)
    near = squared < ((wide + seen.pixel / 2) ** 2)[:, None, None, None]
    places = pixels.astype(np.int64) + size // 2
    who, plane, row, column = np.nonzero(near & _on_patch(places, size))
    distance = np.sqrt(squared[who, plane, row, column])
    share = np.minimum((wide[who] - distance) / seen.pixel[who] + 0.5, 1)
    slowed = 1 - seen.rim[who] * np.minimum(distance / seen.radius[who], 1) ** 2
    rows, columns = places[who, 0, row], places[who, 1, column]
    flat = ((seen.view[who] * PLANES + plane) * size + rows) * size + columns
    np.maximum.at(blood.reshape(-1), flat, share * seen.signal[who] * slowed)
    marked = seen.is_labelled[who]
    np.maximum.at(inside.reshape(-1), flat[marked], share[marked])


def _on_patch(pixels: Index, size: int) -> Mask:
    """Which pixels ``(m, 1, H, W)`` of windows lie on the patch."""
    on = (pixels >= 0) & (pixels < size)
    return np.asarray(on[:, None, 0, :, None] & on[:, None, 1, None, :])


def _squared_distance(x: Array, y: Array, z: Array, along: Array) -> Array:
    """Of the pixels of windows ``(m, planes, H, W)`` to pieces that begin at 0."""
    dx, dy, dz = (along[:, i, None, None, None] for i in range(3))
    length = (along**2).sum(1)[:, None, None, None]
    x, y, z = x[:, None, :, None], y[:, None, None, :], z[:, :, None, None]
    dot = (x * dx + z * dz) + y * dy
    t = np.clip(dot / length, 0, 1)
    return np.asarray(np.maximum((x**2 + z**2) + y**2 + t * (t * length - 2 * dot), 0))
