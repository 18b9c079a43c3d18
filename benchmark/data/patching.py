"""Patches from volumes: the recipe of Kossen et al. (2022).

Half of a patient's patches are centred on random vessel voxels, half on random brain voxels,
without duplicates, in axial slices, half a patch away from the border.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.core.budget import PublicNumbers
from benchmark.core.errors import DataError
from benchmark.core.patches import Patches
from benchmark.data.cohort import Patient, PatientVolume


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How patches are taken: their side in pixels and the most per patient."""

    size: int
    per_patient: int


def public_numbers(patients: Sequence[Patient], recipe: Recipe) -> PublicNumbers:
    """What may be declared about a cohort's patches before a volume is read."""
    return PublicNumbers(
        patients=len(patients),
        patches_per_patient=recipe.per_patient,
        patch_size=recipe.size,
    )


def extract(patients: Sequence[Patient], recipe: Recipe, *, seed: int) -> Patches:
    """Takes every patient's patches; one volume is in memory at a time.

    Raises:
        DataError: Naming the patient whose volume is unusable or smaller than a patch.
    """
    shape = (len(patients) * recipe.per_patient, 1, recipe.size, recipe.size)
    images, masks = np.empty(shape, np.float32), np.empty(shape, np.uint8)
    owner = np.empty(len(images), np.int64)
    filled = 0
    for index, patient in enumerate(patients):
        rng = np.random.default_rng((seed, index))
        volume = patient.read()
        corners = _corners(patient, volume, recipe, rng)
        end = filled + len(corners)
        _cut(volume.image, corners, images[filled:end])
        _cut(volume.vessels, corners, masks[filled:end])
        owner[filled:end] = index
        filled = end
    return Patches(
        images=images[:filled],
        masks=masks[:filled],
        patient=owner[:filled],
        patients=len(patients),
        patches_per_patient=recipe.per_patient,
    )


def _corners(
    patient: Patient, volume: PatientVolume, recipe: Recipe, rng: np.random.Generator
) -> NDArray[np.int64]:
    vessels = _allowed(volume.vessels, recipe.size)
    brain = _allowed(volume.brain, recipe.size)
    if not brain.any():
        shape = "x".join(map(str, volume.image.shape))
        raise DataError(
            f"{patient.id}: no {recipe.size}x{recipe.size} patch fits around the brain of this "
            f"{shape} volume; ask for smaller patches."
        )
    centred = _choose(np.flatnonzero(vessels), recipe.per_patient // 2, rng)
    brain.flat[centred] = False
    rest = _choose(np.flatnonzero(brain), recipe.per_patient - len(centred), rng)
    centres = np.unravel_index(np.concatenate([centred, rest]), vessels.shape)
    half = recipe.size // 2
    corners: NDArray[np.int64] = np.stack(centres, axis=1) - np.array([half, half, 0])
    return corners


def _allowed(mask: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    """The centres around which a patch lies wholly inside the volume."""
    low, high = size // 2, size - size // 2
    inside = np.zeros_like(mask)
    window = np.s_[
        low : max(low, mask.shape[0] - high + 1), low : max(low, mask.shape[1] - high + 1)
    ]
    inside[window] = mask[window]
    return inside


def _choose(
    candidates: NDArray[np.int64], count: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    return rng.choice(candidates, min(count, len(candidates)), replace=False)


def _cut(volume: NDArray[np.generic], corners: NDArray[np.int64], out: NDArray[np.generic]) -> None:
    size = out.shape[-1]
    for patch, (x, y, z) in zip(out, corners, strict=True):
        patch[0] = volume[x : x + size, y : y + size, z]
