"""Resampling of axial slices to another pixel size, so that a patch has one scale on every scanner.

Slices stay where they are: a patch lies in one of them. Where pixels become larger, all that one of
them covers is averaged (with a triangle two pixels wide), so that nothing is left out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.core.protocol import NATIVE
from benchmark.data.cohort import PatientVolume


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
    sides = [n * mm for n, mm in zip(volume.image.shape, volume.spacing_mm, strict=True)][:2]
    shape = max(1, round(sides[0] / spacing_mm)), max(1, round(sides[1] / spacing_mm))
    brain = _most(volume.brain, shape)
    image = np.clip(resized(volume.image, shape), -1, 1)
    image[~brain] = -1
    spacing = (sides[0] / shape[0], sides[1] / shape[1], volume.spacing_mm[2])
    vessels = _most(volume.vessels, shape)
    return volume._replace(image=image, vessels=vessels, brain=brain, spacing_mm=spacing)


def resized(field: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Resample a field ``(X, Y, Z)`` to ``shape`` pixels in each slice, over the same width."""
    import torch

    slices = torch.from_numpy(np.ascontiguousarray(field.transpose(2, 0, 1)))
    found = torch.nn.functional.interpolate(
        slices[None], size=shape, mode="bilinear", antialias=True
    )
    return np.asarray(found[0].numpy().transpose(1, 2, 0))


def _most(mask: NDArray[np.bool_], shape: tuple[int, int]) -> NDArray[np.bool_]:
    return resized(mask.astype(np.float32), shape) > 0.5
