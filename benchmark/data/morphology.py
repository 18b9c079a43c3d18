"""Morphology of masks in millimetres, by distances; voxels may be anisotropic.

A slab is cut out of a body, so what lies beyond its faces is unknown and does not erode.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
Field = NDArray[np.float32]


def depth_mm(mask: Mask, spacing_mm: Sequence[float]) -> Field:
    """Return each voxel's distance to the nearest one outside the mask; ∞ if none is."""
    if mask.all():
        return np.full(mask.shape, np.inf, np.float32)
    found = ndimage.distance_transform_edt(mask, sampling=spacing_mm)
    return np.asarray(found, np.float32)


def eroded(mask: Mask, mm: float, spacing_mm: Sequence[float]) -> Mask:
    """Return the part of the mask that is deeper than ``mm``."""
    return np.asarray(depth_mm(mask, spacing_mm) > mm)


def dilated(mask: Mask, mm: float, spacing_mm: Sequence[float]) -> Mask:
    """Return all voxels within ``mm`` of the mask."""
    return ~eroded(~mask, mm, spacing_mm)


def opened(mask: Mask, mm: float, spacing_mm: Sequence[float]) -> Mask:
    """Return the mask without parts thinner than twice ``mm``."""
    return dilated(eroded(mask, mm, spacing_mm), mm, spacing_mm) & mask


def closed(mask: Mask, mm: float, spacing_mm: Sequence[float]) -> Mask:
    """Return the mask with gaps narrower than twice ``mm`` filled."""
    return eroded(dilated(mask, mm, spacing_mm), mm, spacing_mm) | mask


def largest(mask: Mask) -> Mask:
    """Return the largest connected part; the empty mask if there is none."""
    parts, number = ndimage.label(mask)
    if not number:
        return mask
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return np.asarray(parts == sizes.argmax())


def filled(mask: Mask) -> Mask:
    """Return the mask with the holes of its axial slices filled."""
    slices = [ndimage.binary_fill_holes(mask[:, :, z]) for z in range(mask.shape[2])]
    return np.stack(slices, axis=2)


def on_the_sides(mask: Mask) -> float:
    """Return the share of the slab's four lateral faces that the mask covers."""
    faces = (mask[0], mask[-1], mask[:, 0], mask[:, -1])
    return float(np.concatenate([face.ravel() for face in faces]).mean())


def reaching_the_sides(mask: Mask) -> Mask:
    """Return the connected parts that reach a lateral face."""
    parts, _ = ndimage.label(mask)
    faces = (parts[0], parts[-1], parts[:, 0], parts[:, -1])
    touching = np.unique(np.concatenate([face.ravel() for face in faces]))
    return np.isin(parts, touching[touching > 0])


def smooth(field: Field, weight: Field, mm: float, spacing_mm: Sequence[float]) -> Field:
    """Compute the weighted Gaussian mean of a field around each voxel.

    Far from any weight, the nearest mean is used.

    Args:
        field: ``(X, Y, Z)``.
        weight: ``(X, Y, Z)``, at least 0.
        mm: The Gaussian's standard deviation.
        spacing_mm: A voxel's sides.
    """
    sigma = [mm / side for side in spacing_mm]
    around = ndimage.gaussian_filter(weight, sigma, mode="nearest", truncate=2.5)
    total = ndimage.gaussian_filter(weight * field, sigma, mode="nearest", truncate=2.5)
    known = around > 1e-3
    if not known.any():
        return np.ones_like(field)
    mean = np.where(known, total / np.maximum(around, 1e-3), 0)
    nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    return np.asarray(mean[tuple(nearest)], np.float32)
