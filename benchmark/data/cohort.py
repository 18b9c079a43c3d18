"""A cohort: patients with their files, sites and splits; volumes are read one patient at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.core.errors import DataError
from benchmark.data.volume import read_volume

SPLITS = ("train", "val", "test")
SPLIT_SHARES = (0.60, 0.15, 0.25)
SPLIT_SEED = 20220211

LOW_PERCENTILE, HIGH_PERCENTILE = 1.0, 99.8


class PatientVolume(NamedTuple):
    """One patient in memory.

    Attributes:
        image: ``(X, Y, Z)`` float32 in [-1, 1], scaled by the volume's own values; -1 outside the
            brain.
        vessels: ``(X, Y, Z)`` bool.
        brain: ``(X, Y, Z)`` bool.
        spacing_mm: A voxel's sides.
    """

    image: NDArray[np.float32]
    vessels: NDArray[np.bool_]
    brain: NDArray[np.bool_]
    spacing_mm: tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Patient:
    """Where one patient's files lie. ``brain`` is ``None`` where no brain mask exists."""

    id: str
    image: Path
    vessels: Path
    brain: Path | None = None
    site: str = "-"
    split: str = ""

    @property
    def files(self) -> list[Path]:
        """Every file that decides a result."""
        return [f for f in (self.image, self.vessels, self.brain) if f is not None]

    def read(self) -> PatientVolume:
        """Reads, checks and scales the patient's volumes.

        Raises:
            DataError: Naming the file that cannot be used, and why.
        """
        image, spacing_mm = read_volume(self.image)
        vessels = self._read_mask(self.vessels, image.shape)
        brain = (
            foreground(image) if self.brain is None else self._read_mask(self.brain, image.shape)
        )
        if not (vessels & brain).any():
            raise DataError(f"{self.vessels}: the vessel mask has no voxel in the brain.")
        return PatientVolume(self._scale(image, brain), vessels & brain, brain, spacing_mm)

    def _read_mask(self, path: Path, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        mask = read_volume(path).data
        if mask.shape != shape:
            ours, image = ("x".join(map(str, s)) for s in (mask.shape, shape))
            raise DataError(
                f"{path}: the mask is {ours} and the image {image}; they must have one shape."
            )
        return np.asarray(mask > 0)

    def _scale(self, image: NDArray[np.float32], brain: NDArray[np.bool_]) -> NDArray[np.float32]:
        ends = np.percentile(image[brain], (LOW_PERCENTILE, HIGH_PERCENTILE))
        low, high = (float(end) for end in ends)  # as Python's, they leave float32 alone
        if not high > low:
            raise DataError(
                f"{self.image}: the brain is constant ({low:g}); nothing can be scaled."
            )
        scaled: NDArray[np.float32] = np.clip((image - low) * (2 / (high - low)) - 1, -1, 1)
        scaled[~brain] = -1
        return scaled


def foreground(image: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where no brain mask exists: the voxels above a tenth of the volume's 99th percentile."""
    return np.asarray(image > 0.1 * np.percentile(image, 99))


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """Patients of one folder; every one has a split."""

    name: str
    root: Path
    patients: tuple[Patient, ...]

    def split(self, name: str) -> tuple[Patient, ...]:
        """The patients of ``train``, ``val`` or ``test``.

        Raises:
            DataError: If there are none.
        """
        found = tuple(p for p in self.patients if p.split == name)
        if not found:
            raise DataError(f"{self.root}: no patient is in the split {name!r}.")
        return found


def with_splits(root: Path, patients: list[Patient]) -> list[Patient]:
    """Keeps the splits that are given; where none is, deals 60/15/25 % by a fixed seed.

    Raises:
        DataError: If some patients have a split and others have none, or a split is unknown.
    """
    given = [p for p in patients if p.split]
    if given and len(given) < len(patients):
        bare = next(p.id for p in patients if not p.split)
        raise DataError(f"{root}: {bare} has no split and others have; give all of them one.")
    wrong = next((p for p in given if p.split not in SPLITS), None)
    if wrong:
        raise DataError(f"{root}: {wrong.id} has the split {wrong.split!r}; use {SPLITS}.")
    return given or _dealt(patients)


def _dealt(patients: list[Patient]) -> list[Patient]:
    order = np.random.default_rng(SPLIT_SEED).permutation(len(patients))
    ends = np.cumsum(np.round(np.array(SPLIT_SHARES[:2]) * len(patients)))
    names = {
        int(i): SPLITS[int(np.searchsorted(ends, rank, "right"))] for rank, i in enumerate(order)
    }
    return [replace(p, split=names[i]) for i, p in enumerate(patients)]
