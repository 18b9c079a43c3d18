"""Resampling of axial slices to another pixel size, so that a patch has one scale on every scanner.

Slices stay where they are: a patch lies in one of them. Where pixels become larger, all that one of
them covers is averaged (with a triangle two pixels wide), so that nothing is left out.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.core.protocol import NATIVE
from benchmark.data.cohort import PatientVolume

SLICES_AT_ONCE = 8


class Shown(NamedTuple):
    """A scaled image on other pixels.

    Attributes:
        image: ``(X, Y, Z)`` float32 in [-1, 1]; -1 outside the brain.
        brain: ``(X, Y, Z)`` bool: the pixels that are mostly brain.
        spacing_mm: A voxel's sides.
    """

    image: NDArray[np.float32]
    brain: NDArray[np.bool_]
    spacing_mm: tuple[float, float, float]


def at_spacing(volume: PatientVolume, spacing_mm: float) -> PatientVolume:
    """Resample a volume to pixels of about this side in the axial plane.

    A whole number of pixels covers the width of the volume. So over the whole width, the sides
    differ from the asked one by less than half a pixel. A pixel is vessel, or brain, if most of it
    is.

    Args:
        volume: A patient's.
        spacing_mm: A pixel's side; ``NATIVE`` for the volume as it is.
    """
    if spacing_mm == NATIVE:
        return volume
    shown = image_at_spacing(volume.image, volume.brain, volume.spacing_mm, spacing_mm)
    vessels = _most(volume.vessels, shown.image.shape[:2])
    return volume._replace(**shown._asdict(), vessels=vessels)


def image_at_spacing(
    image: NDArray[np.float32],
    brain: NDArray[np.bool_],
    sides_mm: tuple[float, float, float],
    spacing_mm: float,
) -> Shown:
    """Resample an image as ``at_spacing`` does, without its vessels.

    Args:
        image: ``(X, Y, Z)`` in [-1, 1].
        brain: ``(X, Y, Z)``.
        sides_mm: A voxel's sides.
        spacing_mm: A pixel's side; not ``NATIVE``.
    """
    widths = [n * mm for n, mm in zip(image.shape, sides_mm, strict=True)][:2]
    shape = max(1, round(widths[0] / spacing_mm)), max(1, round(widths[1] / spacing_mm))
    inside = _most(brain, shape)
    shown = resized(image, shape)
    np.clip(shown, -1, 1, out=shown)
    shown[~inside] = -1
    return Shown(shown, inside, (widths[0] / shape[0], widths[1] / shape[1], sides_mm[2]))


def resized(field: NDArray[Any], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Resample a field ``(X, Y, Z)`` to ``shape`` pixels in each slice, over the same width.

    A few slices at a time are turned, so that memory does not grow with a volume's height.
    """
    found = np.empty((field.shape[2], *shape), np.float32)
    for first in range(0, len(found), SLICES_AT_ONCE):
        some = slice(first, first + SLICES_AT_ONCE)
        found[some] = _resized(
            np.ascontiguousarray(field.transpose(2, 0, 1)[some], np.float32), shape
        )
    return found.transpose(1, 2, 0)


def _resized(slices: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """The same of ``(n, X, Y)``."""
    import torch

    found = torch.nn.functional.interpolate(
        torch.from_numpy(slices)[None], size=shape, mode="bilinear", antialias=True
    )
    return np.asarray(found[0].numpy())


def _most(mask: NDArray[np.bool_], shape: tuple[int, int]) -> NDArray[np.bool_]:
    return resized(mask, shape) > 0.5
