"""Marking of the vessels in a patient's brain, by showing a segmenter no more than it needs.

What is outside the brain is never marked. So a segmenter that has a reach is shown the slices that
hold brain, and in them the brain with its surroundings up to the reach. The marks are the same.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from benchmark.core.directory import kept_directory
from benchmark.core.protocol import NATIVE
from benchmark.core.segmenter import Reach, Segmenter
from benchmark.data.cohort import PatientVolume
from benchmark.data.inplane import image_at_spacing, resized
from benchmark.metrics.nearest import Box, around

Mask = NDArray[np.bool_]


def marked(segmenter: Segmenter, volume: PatientVolume, spacing_mm: float) -> Mask:
    """Mark the vessels in a patient's brain, on the volume's own voxels.

    Args:
        segmenter: A fitted one.
        volume: The patient's volume.
        spacing_mm: A pixel's side of what the segmenter is shown; ``NATIVE`` for the volume's own.

    Returns:
        bool ``(X, Y, Z)``.
    """
    box = around(volume.brain)
    slices = slice(None) if segmenter.reach is None else box[2]
    marks = np.zeros_like(volume.brain)
    if not volume.brain[..., slices].any():
        return marks
    part = volume._replace(
        image=volume.image[..., slices], vessels=marks, brain=volume.brain[..., slices]
    )
    mark = _marked if spacing_mm == NATIVE else _marked_at
    marks[..., slices] = mark(segmenter, part, spacing_mm, box[:2])
    return marks


def _marked(segmenter: Segmenter, volume: PatientVolume, _: float, brain: Box) -> Mask:
    """On the pixels that the segmenter is shown."""
    shown = _surroundings(brain, volume.brain.shape[:2], segmenter.reach)
    marks = np.zeros_like(volume.brain)
    with kept_directory():
        found = segmenter.predict(volume.image[shown], volume.spacing_mm)
    np.logical_and(found, volume.brain[shown], out=marks[shown])
    return marks


def _marked_at(segmenter: Segmenter, volume: PatientVolume, spacing_mm: float, brain: Box) -> Mask:
    """On other pixels; how clearly they are marked is resampled to the volume's own."""
    sides = volume.brain.shape[:2]
    image, _, spacing = image_at_spacing(volume.image, volume.brain, volume.spacing_mm, spacing_mm)
    under = tuple(_under(*each) for each in zip(brain, sides, image.shape[:2], strict=True))
    shown = _surroundings(under, image.shape[:2], segmenter.reach)
    margin = np.full(image.shape, -1, np.float32)
    with kept_directory():
        margin[shown] = segmenter.margin(image[shown], spacing)
    return (resized(margin, sides) > 0) & volume.brain


def _under(own: slice, side: int, shown_side: int) -> slice:
    """The shown pixels that decide some of the volume's own, along one side of a slice."""
    pixel = shown_side / side
    beside = max(1.0, pixel) + 1
    return slice(math.floor(own.start * pixel - beside), math.ceil(own.stop * pixel + beside))


def _surroundings(brain: Box, sides: tuple[int, ...], reach: Reach | None) -> Box:
    """What a segmenter must be shown of slices, so that it marks the brain's part of them alike."""
    if reach is None:
        return (slice(None), slice(None))
    starts = [
        max(0, side.start - reach.pixels) // reach.multiple * reach.multiple for side in brain
    ]
    ends = [min(n, side.stop + reach.pixels) for n, side in zip(sides, brain, strict=True)]
    return tuple(map(slice, starts, ends))
