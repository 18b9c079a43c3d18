"""Labelled patches: the training data of generators and segmenters, and what generators return."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Patches:
    """Image patches with their vessel masks.

    Attributes:
        images: float32 ``(n, 1, H, W)`` in [-1, 1].
        masks: uint8 ``(n, 1, H, W)`` in {0, 1}.
        patient: int64 ``(n,)`` in [0, ``patients``), the patient a patch came from; ``None`` for
            synthetic ones.
        patients: How many patients there are; public and declared, not counted from ``patient``.
        patches_per_patient: The most patches that one patient has; public and declared.

    Raises:
        ValueError: At construction, naming the array that breaks its law.

    Examples:
        >>> images, masks = np.zeros((2, 1, 32, 32), np.float32), np.zeros((2, 1, 32, 32), np.uint8)
        >>> drawn = Patches(images=images, masks=masks)
        >>> len(drawn), drawn.size, drawn.patient is None
        (2, 32, True)
    """

    images: NDArray[np.float32]
    masks: NDArray[np.uint8]
    patient: NDArray[np.int64] | None = None
    patients: int = 0
    patches_per_patient: int = 0

    def __post_init__(self) -> None:
        _check_images(self.images)
        _check_masks(self.masks, self.images.shape)
        if self.patient is not None:
            self._check_patient(self.patient)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def size(self) -> int:
        """The side of a patch in pixels."""
        return int(self.images.shape[-1])

    @property
    def centred(self) -> NDArray[np.bool_]:
        """Which patches have a vessel in their middle pixel, ``(n,)``.

        Half of the patients' patches are cut around a vessel voxel. The others are cut around any
        voxel of the brain, and seldom have a vessel there.
        """
        middle = self.size // 2
        return np.asarray(self.masks[:, 0, middle, middle] > 0)

    def _check_patient(self, patient: NDArray[np.int64]) -> None:
        if patient.dtype != np.int64 or patient.shape != (len(self),):
            raise ValueError(
                f"Expected patient int64 of shape ({len(self)},), "
                f"got {patient.dtype} of shape {patient.shape}."
            )
        if len(patient) == 0:
            return
        if patient.min() < 0 or patient.max() >= self.patients:
            raise ValueError(
                f"Expected patient indices in [0, {self.patients}), "
                f"got {patient.min()} to {patient.max()}."
            )
        most = int(np.bincount(patient).max())
        if most > self.patches_per_patient:
            raise ValueError(
                f"A patient has {most} patches, more than the declared {self.patches_per_patient}."
            )


def _check_images(images: NDArray[np.float32]) -> None:
    if images.dtype != np.float32 or images.ndim != 4 or images.shape[1] != 1:
        raise ValueError(
            f"Expected images float32 of shape (n, 1, H, W), got {images.dtype} {images.shape}."
        )
    if images.size and not (images.min() >= -1 and images.max() <= 1):
        raise ValueError(
            f"Expected images in [-1, 1], got values from {images.min()} to {images.max()}."
        )


def _check_masks(masks: NDArray[np.uint8], shape: tuple[int, ...]) -> None:
    if masks.dtype != np.uint8 or masks.shape != shape:
        raise ValueError(
            f"Expected masks uint8 of the images' shape {shape}, got {masks.dtype} {masks.shape}."
        )
    if masks.size and masks.max() > 1:
        raise ValueError(f"Expected masks in {{0, 1}}, got a value of {masks.max()}.")
