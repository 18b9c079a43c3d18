"""A brain mask for a TOF-MRA slab that comes without one.

A slab is not a whole head, so methods that fit a sphere (BET) or need a face and a neck do not
apply. But a slab shows the order of tissues from the air inwards: bright scalp, dark skull, brain.
The method works on blocks of about 1.3 mm. All lengths are k × millimetres of an adult, where k is
the head's radius in its widest slice over 85 mm:

1. Background: one constant value, or the dark class of Otsu's threshold where it reaches the
   lateral faces. If there is none, or if the rest is too thin for a head, the slab was cut inside
   the brain, and all of it is brain.
2. Head: the largest part that is not background, with its slices filled.
3. Skull: a dark band between 4k and 12k mm of depth, darker than what covers it. If there is none,
   the skull was removed before, and the whole head is brain. If all but the vessels was made
   constant, what is left is brain.
4. Intensities relative to air (0) and to brain of the same neighbourhood (1; Gaussian, 15k mm).
5. Tissue: above 0.38, not within 8k mm of air, and no fat (wide, above 1.22 and near the skin, or
   above 1.55; vessels are narrow). It is split at its necks by a watershed of the depth within it.
   A part is brain unless it reaches the skin (orbits, muscles), where a brain would be covered by a
   skull.
6. Brain: the largest part of these. Narrow gaps are closed where they are not bone, slices are
   filled, and spikes thinner than 12k mm are cut off.

Lengths and levels were chosen on phantoms of the seeds 101, 102, 7 and 13, never on the embedded
cohort's seed. No open TOF-MRA with a head around the brain was available.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmark.core.errors import DataError
from benchmark.data import morphology as mm
from benchmark.data.intensities import canonical
from benchmark.data.morphology import Field, Mask
from benchmark.data.resampling import Coarse

GRID_MM = 1.3
ADULT_RADIUS_MM = 85.0
FAR_MM = 1000.0
LEAST_SCALE, MOST_SCALE = 0.4, 1.2

LEAST_BACKGROUND = 0.1
"""The least share of the lateral faces that is background. With less, the slab was cut inside the
brain."""
LEAST_CONTRAST = 6.0
"""The least contrast of tissue over air, in quartile ranges of the air. A smooth shading inside a
brain has less."""
LEAST_DEPTH_MM = 5.0
"""The least depth of a head. Vessels alone, or noise, are nowhere as deep."""

TISSUE, BONE, FAT = 0.38, 0.28, 1.22
"""Intensities relative to the brain's: tissue is above the first, bone below the second, and fat
above the third."""
PURE_FAT = 1.55
"""Intensities relative to the brain's above this are fat. No shading of a brain leaves it as
bright."""
SKULL_SHARE = 0.22
"""The least dark share of the band in which a skull lies, if there is one."""
SKIN_SHARE = 0.05
"""The largest share of a part's voxels near the skin. A part with more is outside the skull."""

NO_BRAIN = "no brain was found; is it a TOF-MRA? Give a brain mask"


class _Head(NamedTuple):
    """A head on the coarse grid.

    Attributes:
        inside: All that is no background, filled.
        depth: Distance to the background in mm.
        signal: Intensities relative to air (0) and to the deep tissue's median (1).
        scale: Its size over an adult's.
        spacing_mm: A block's sides.
    """

    inside: Mask
    depth: Field
    signal: Field
    scale: float
    spacing_mm: tuple[float, ...]

    def mm(self, adult_mm: float) -> float:
        """An adult's length in this head."""
        return self.scale * adult_mm


def brain_mask(
    image: NDArray[np.float32], spacing_mm: tuple[float, float, float]
) -> NDArray[np.bool_]:
    """Find the brain in a TOF-MRA slab.

    Guarantees:
        Every increasing linear rescaling that keeps the stored values apart gives the same mask, if
        the values lie on a lattice, as scanners store them. Of resampled volumes, voxels at the
        very border may differ.

    Args:
        image: ``(X, Y, Z)`` in RAS, finite.
        spacing_mm: A voxel's sides.

    Returns:
        ``(X, Y, Z)`` bool.

    Raises:
        DataError: If the image is constant, or holds no region that could be a brain.
    """
    steps = canonical(image)
    if not steps.any():
        raise DataError(f"the image is constant ({image.flat[0]:g}), so no brain can be found.")
    coarse = Coarse.of(image.shape, spacing_mm, GRID_MM)
    sides = coarse.spacing_mm(spacing_mm)
    blank = _constant_background(steps)
    means = coarse.means(steps)
    outside = _background(means, sides) if blank is None else coarse.means(blank) > 0.5
    if outside is None:
        return np.ones(image.shape, np.bool_)
    box = _box(~outside)
    head = _head(means[box], outside[box], sides) if box else None
    if blank is not None and not (head and _has_skull(head)):
        return mm.filled(~blank)
    if not (box and head):  # what is bright is no head, but vessels
        return np.ones(image.shape, np.bool_)
    surface = np.full(means.shape, -FAR_MM, np.float32)
    surface[box] = _signed(_brain(head) if _has_skull(head) else head.inside, sides)
    return coarse.positive(surface)


def _box(mask: Mask) -> tuple[slice, ...] | None:
    """Bounds of the largest part and two voxels around it, so that nothing else is computed."""
    found = ndimage.find_objects(mm.largest(mask).astype(np.int8))
    return tuple(slice(max(s.start - 2, 0), s.stop + 2) for s in found[0]) if found else None


def _constant_background(steps: Field) -> Mask | None:
    """The voxels of the one value that fills most of the lateral faces, if one does."""
    faces = (steps[0], steps[-1], steps[:, 0], steps[:, -1])
    values, counts = np.unique(np.concatenate([f.ravel() for f in faces]), return_counts=True)
    if counts.max() < 0.5 * counts.sum():
        return None
    return np.asarray(steps == values[counts.argmax()])


def _background(means: Field, sides: tuple[float, ...]) -> Mask | None:
    """The air beside the head; ``None`` where the slab was cut inside the brain."""
    from skimage.filters import threshold_otsu

    tissue = np.minimum(means, np.percentile(means, 98))
    parting = threshold_otsu(tissue.ravel())  # type: ignore[no-untyped-call]
    low, high = tissue[tissue < parting].mean(), tissue[tissue >= parting].mean()
    dark = means < low + 0.25 * (high - low)
    air = mm.reaching_the_sides(mm.opened(dark, 3.0, sides))
    if mm.on_the_sides(air) < LEAST_BACKGROUND:
        return None
    quarters = np.percentile(means[air], (25, 50, 75))
    is_even = (high - quarters[1]) > LEAST_CONTRAST * (quarters[2] - quarters[0])
    return air if is_even else None


def _head(means: Field, outside: Mask, sides: tuple[float, ...]) -> _Head | None:
    """The largest part that is no background; ``None`` if it is too thin."""
    inside = mm.filled(mm.largest(mm.opened(~outside, 2.0, sides)))
    area = float(inside.sum((0, 1)).max() * sides[0] * sides[1])
    radius = np.sqrt(area / np.pi)
    scale = float(np.clip(radius / ADULT_RADIUS_MM, LEAST_SCALE, MOST_SCALE))
    depth = mm.depth_mm(inside, sides)
    if not (inside & (depth > LEAST_DEPTH_MM)).any():
        return None
    deep = means[inside & (depth > min(18 * scale, 0.5 * float(depth.max())))]
    zero = float(np.percentile(means[inside], 1))
    zero = zero if inside.all() else min(float(np.median(means[~inside])), zero)
    signal = (means - zero) / (float(np.median(deep)) - zero)
    return _Head(inside, depth, signal.astype(np.float32), scale, sides)


def _has_skull(head: _Head) -> bool:
    """Whether a dark band lies beneath a brighter cover."""
    band = head.inside & (head.depth > head.mm(4)) & (head.depth < head.mm(12))
    cover = head.inside & (head.depth <= head.mm(6))
    dark = float((head.signal[band] < TISSUE).mean()) if band.any() else 0.0
    return dark > SKULL_SHARE and bool(np.percentile(head.signal[cover], 75) > TISSUE)


def _brain(head: _Head) -> Mask:
    """The brain in a head with a skull."""
    sides, inside = head.spacing_mm, head.inside
    core = inside & (head.signal > 0.5) & (head.signal < 1.8) & (head.depth > head.mm(18))
    for _ in range(2):
        signal = head.signal / mm.smooth(head.signal, core.astype(np.float32), head.mm(15), sides)
        cover = head.depth < head.mm(8)
        fat = _fat(head, signal)
        tissue = inside & (signal > TISSUE) & ~cover & ~fat
        depth = mm.depth_mm(tissue, sides)
        heart = mm.largest(depth > min(head.mm(12), 0.75 * float(depth.max())))
        core = mm.dilated(heart, head.mm(6), sides) & (signal > 0.6) & (signal < 1.6)
    if not heart.any():
        raise DataError(f"{NO_BRAIN}.")
    brain = mm.largest(mm.opened(_parts(head, depth, heart), head.mm(3), sides))
    gaps = (signal > BONE) & ~fat & (head.depth > head.mm(10))
    brain |= mm.closed(brain, head.mm(8), sides) & gaps
    brain = mm.filled(brain) & ~mm.dilated(fat, head.mm(2), sides)
    return mm.filled(mm.largest(mm.opened(brain, head.mm(6), sides)))


def _fat(head: _Head, signal: Field) -> Mask:
    """Wide bright regions beneath the skin; those of a shaded brain begin or end deeper."""
    regions, number = ndimage.label(mm.opened(signal > FAT, head.mm(4), head.spacing_mm))
    numbers = np.arange(1, number + 1)
    start = np.asarray(ndimage.minimum(head.depth, regions, numbers)) / head.scale
    end = np.asarray(ndimage.maximum(head.depth, regions, numbers)) / head.scale
    level = np.asarray(ndimage.median(signal, regions, numbers))
    is_fat = (start < 8) | ((end < 55) & ((start < 13) | ((start < 40) & (level > PURE_FAT))))
    return np.isin(regions, numbers[is_fat])


def _parts(head: _Head, depth: Field, heart: Mask) -> Mask:
    """Tissue, split at its necks, without the parts that reach the skin."""
    from skimage.morphology import h_maxima
    from skimage.segmentation import watershed

    peaks = h_maxima(depth, head.mm(1.0))  # type: ignore[no-untyped-call]
    marks, number = ndimage.label(peaks.astype(bool) | heart)
    parts = watershed(-depth, marks, mask=depth > 0)  # type: ignore[no-untyped-call]
    near = head.depth < head.mm(11)
    count = np.bincount(parts.ravel(), minlength=number + 1)
    skin = np.bincount(parts[near].ravel(), minlength=number + 1)
    keep = skin <= SKIN_SHARE * count
    keep[0] = False
    keep[np.unique(marks[heart])] = True
    return np.asarray(keep[parts])


def _signed(mask: Mask, sides: tuple[float, ...]) -> Field:
    """Depth inside, minus distance outside: its zero is the surface."""
    inside, outside = (np.minimum(mm.depth_mm(m, sides), FAR_MM) for m in (mask, ~mask))
    return inside - outside
