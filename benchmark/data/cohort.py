"""A cohort: patients with their files, sites and splits; volumes are read one patient at a time."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmark.core.errors import DataError
from benchmark.data.labels import MaskLabels
from benchmark.data.volume import Volume, read_mask, read_volume

T = TypeVar("T")

SPLITS = ("train", "val", "test")
SPLIT_SHARES = (0.60, 0.15, 0.25)
SPLIT_SEED = 20220211

LOW_PERCENTILE, HIGH_PERCENTILE = 1.0, 99.8
FLOAT32_MAX = float(np.finfo(np.float32).max)


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
    """Where one patient's files lie, and how its vessel mask is read.

    ``brain`` is ``None`` where no brain mask exists.
    """

    id: str
    image: Path
    vessels: Path
    brain: Path | None = None
    site: str = "-"
    split: str = ""
    labels: MaskLabels = field(default_factory=MaskLabels)

    @property
    def files(self) -> list[Path]:
        """Every file that decides a result."""
        return [f for f in (self.image, self.vessels, self.brain) if f is not None]

    def read(self) -> PatientVolume:
        """Reads, checks and scales the patient's volumes.

        Raises:
            DataError: Naming the first file that cannot be used, and why.
        """
        found = self.examine()
        if found.volume is None:
            raise found.faults[0]
        return found.volume

    def examine(self) -> Examined:
        """Reads all of the patient's files and collects everything that is wrong with them."""
        faults: list[DataError] = []
        image = _tried(lambda: read_volume(self.image), faults)
        vessels = self._mask(self.vessels, image, faults)
        brain = self._mask(self.brain, image, faults) if self.brain else None
        if faults or image is None or vessels is None:
            return Examined(None, image, faults)
        inside = foreground(image.data) if brain is None else brain
        volume = _tried(lambda: self._volume(image, vessels, inside), faults)
        return Examined(volume, image, faults)

    def _mask(
        self, path: Path, image: Volume | None, faults: list[DataError]
    ) -> NDArray[np.bool_] | None:
        mask = _tried(lambda: read_mask(path), faults)
        if mask is None or image is None:
            return None
        return _tried(lambda: _aligned(path, mask, image), faults)

    def _volume(
        self, image: Volume, vessels: NDArray[np.bool_], brain: NDArray[np.bool_]
    ) -> PatientVolume:
        if not (vessels & brain).any():
            raise DataError(f"{self.vessels}: the vessel mask has no voxel in the brain.")
        scaled = self._scale(image.data, brain)
        return PatientVolume(scaled, vessels & brain, brain, image.spacing_mm)

    def _scale(self, image: NDArray[np.float32], brain: NDArray[np.bool_]) -> NDArray[np.float32]:
        ends = np.percentile(image[brain], (LOW_PERCENTILE, HIGH_PERCENTILE))
        low, high = (float(end) for end in ends)  # as Python's, they leave float32 alone
        if not (high > low and 2 / (high - low) < FLOAT32_MAX):
            raise DataError(
                f"{self.image}: the brain is constant ({low:g}); nothing can be scaled."
            )
        scaled: NDArray[np.float32] = np.clip((image - low) * (2 / (high - low)) - 1, -1, 1)
        scaled[~brain] = -1
        return scaled


class Examined(NamedTuple):
    """What an examination found: the volume if there are no faults, the image if it is readable."""

    volume: PatientVolume | None
    image: Volume | None
    faults: list[DataError]


def _tried(act: Callable[[], T], faults: list[DataError]) -> T | None:
    """The result, or ``None`` and one fault more."""
    try:
        return act()
    except DataError as fault:
        faults.append(fault)
        return None


def _aligned(path: Path, mask: Volume, image: Volume) -> NDArray[np.bool_]:
    """The mask's voxels, if they are the image's.

    Raises:
        DataError: For another shape, or another place in the world.
    """
    if mask.data.shape != image.data.shape:
        ours, theirs = ("x".join(map(str, v.data.shape)) for v in (mask, image))
        raise DataError(
            f"{path}: the mask is {ours} and the image {theirs}; they must have one shape."
        )
    ends = [(0, side - 1) for side in image.data.shape]
    corners = np.array([(*corner, 1) for corner in itertools.product(*ends)])
    apart = float(np.abs(corners @ (mask.affine - image.affine).T).max())
    if apart > min(image.spacing_mm) / 2:
        raise DataError(
            f"{path}: the mask lies {apart:.1f} mm beside the image; their affines must agree."
        )
    return np.asarray(mask.data)


def foreground(image: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where no brain mask exists: the voxels above a tenth of the volume's 99th percentile."""
    return np.asarray(image > 0.1 * np.percentile(image, 99))


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """Patients of one folder; every one has a split. ``notes`` say how the folder was read."""

    root: Path
    patients: tuple[Patient, ...]
    notes: tuple[str, ...] = ()

    def split(self, name: str) -> tuple[Patient, ...]:
        """The patients of ``train``, ``val`` or ``test``.

        Raises:
            DataError: If there are none.
        """
        found = tuple(p for p in self.patients if p.split == name)
        if not found:
            raise DataError(
                f"{self.root}: none of the {len(self.patients)} patients is in the split {name!r}, "
                "which needs one at least; give more patients, or deal them out in the column "
                "`split` of participants.tsv."
            )
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
