"""A cohort: patients with files, sites and splits. Volumes are read one patient at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmark.core.errors import DataError
from benchmark.core.folders import cache_folder
from benchmark.data.intensities import canonical
from benchmark.data.kept_brains import kept_brain_mask
from benchmark.data.labels import EVERY_LABEL, MaskLabels
from benchmark.data.volume import Volume, read_mask, read_volume

T = TypeVar("T")

SPLITS = ("train", "val", "test")
SPLIT_SHARES = (0.60, 0.15, 0.25)
SPLIT_SEED = 20220211

LOW_PERCENTILE, HIGH_PERCENTILE = 1.0, 99.8
FLOAT32_MAX = float(np.finfo(np.float32).max)


class PatientVolume(NamedTuple):
    """The volumes of one patient in memory.

    Attributes:
        image: ``(X, Y, Z)`` float32 in [-1, 1], scaled by the volume's own values; -1 outside the
            brain.
        vessels: ``(X, Y, Z)`` bool. If a brain mask was given, only vessels inside it; if the brain
            was found, all that are labelled.
        brain: ``(X, Y, Z)`` bool, without the voxels that the vessel mask's labels ignore.
        spacing_mm: A voxel's sides.
    """

    image: NDArray[np.float32]
    vessels: NDArray[np.bool_]
    brain: NDArray[np.bool_]
    spacing_mm: tuple[float, float, float]


class Marks(NamedTuple):
    """The masks of one patient's image, and the intensities of the brain.

    Attributes:
        vessels: As in ``PatientVolume``.
        brain: As in ``PatientVolume``.
        intensities: The image's, ``(X, Y, Z)``; in a unit of its own where the brain was found.
        window: The brain's percentiles that become -1 and 1.
        outside: The share of the labelled vessels that is outside the brain.
        vessel_share: The share of the whole brain, with what is ignored, that is vessel.
        brain_share: The share of the volume that is brain.
    """

    vessels: NDArray[np.bool_]
    brain: NDArray[np.bool_]
    intensities: NDArray[np.float32]
    window: tuple[float, float]
    outside: float
    vessel_share: float
    brain_share: float


@dataclass(frozen=True, kw_only=True)
class Patient:
    """The files of one patient, and the meaning of the vessel mask's labels.

    Attributes:
        id: The participant id.
        image: The angiography.
        vessels: The vessel mask.
        brain: The brain mask; ``None`` where there is none, so that the brain is found (``brain``).
        site: The patient's site; ``-`` where none is given.
        split: ``train``, ``val`` or ``test``; empty where none is given.
        labels: The meaning of the vessel mask's labels.
        cache: The folder for a brain that was found; the user's cache folder if ``None``.
        is_stack: Whether the volume is a stack of patches and no head. All of it is brain then,
            unless a brain mask says otherwise.
    """

    id: str
    image: Path
    vessels: Path
    brain: Path | None = None
    site: str = "-"
    split: str = ""
    labels: MaskLabels = EVERY_LABEL
    cache: Path | None = None
    is_stack: bool = False

    @property
    def is_brain_found(self) -> bool:
        """Whether the brain is found in the image, as nothing says where it is."""
        return self.brain is None and not self.is_stack

    @property
    def files(self) -> list[Path]:
        """All files that affect a result."""
        return [f for f in (self.image, self.vessels, self.brain) if f is not None]

    def read(self) -> PatientVolume:
        """Read, check and scale the patient's volumes.

        Raises:
            DataError: Naming the first file that cannot be used, and why.
        """
        found = self.examine()
        if found.image is None or found.marks is None:
            raise found.faults[0]
        marks = found.marks
        return PatientVolume(_scaled(marks), marks.vessels, marks.brain, found.image.spacing_mm)

    def examine(self) -> Examined:
        """Read all of the patient's files and collect everything that is wrong with them."""
        faults: list[DataError] = []
        image = _tried(lambda: read_volume(self.image), faults)
        vessels = _tried(lambda: read_mask(self.vessels, self.labels, image), faults)
        brain = self._brain(image, faults)
        notes = self._notes(image, vessels, brain)
        if faults or image is None or vessels is None:
            return Examined(None, image, faults, notes)
        marks = _tried(lambda: self._marks(image, vessels, brain), faults)
        return Examined(marks, image, faults, notes)

    def _brain(self, image: Volume | None, faults: list[DataError]) -> Volume | None:
        path = self.brain
        return None if path is None else _tried(lambda: read_mask(path, like=image), faults)

    def _notes(self, *volumes: Volume | None) -> tuple[str, ...]:
        read = zip((self.image, self.vessels, self.brain), volumes, strict=True)
        return tuple(f"{path}: {note}" for path, found in read if found for note in found.notes)

    def _marks(self, image: Volume, vessels: Volume, given: Volume | None) -> Marks:
        """Ignored voxels leave the brain: nothing is drawn or scored there.

        A brain that was found may be wrong: vessels outside of it stay true, and no image shows
        them. Were it widened by the labels, a segmenter would be shown where to look.
        """
        whole = self._whole(image) if given is None else given.data
        brain = whole if vessels.ignored is None else whole & ~vessels.ignored
        labelled, inside = vessels.data, vessels.data & brain
        self._check_inside(labelled, brain, inside)
        kept, count = int(np.count_nonzero(inside)), np.count_nonzero
        intensities = canonical(image.data) if self.is_brain_found else image.data
        return Marks(
            labelled if self.is_brain_found else inside,
            brain,
            intensities,
            self._window(intensities, brain),
            outside=1 - kept / int(count(labelled)),
            vessel_share=kept / int(count(whole)),
            brain_share=int(count(whole)) / whole.size,
        )

    def _check_inside(
        self, labelled: NDArray[np.bool_], brain: NDArray[np.bool_], inside: NDArray[np.bool_]
    ) -> None:
        """Refuses a patient without a vessel in the brain, and says which mask is to blame."""
        if not labelled.any():
            raise DataError(f"{self.vessels}: the mask marks no vessel; is it the right one?")
        if not brain.any():
            raise DataError(
                f"{self.brain or self.image}: no voxel of the brain is left, as the mask is empty "
                "or every label in it is to be ignored; mend the masks."
            )
        if not inside.any():
            whose = self.brain or "the brain that was found"
            raise DataError(
                f"{self.vessels}: the mask marks no vessel in the brain ({whose}); are both of "
                "this image, and is neither inverted?"
            )

    def _whole(self, image: Volume) -> NDArray[np.bool_]:
        """The brain where no mask says where it is."""
        if self.is_stack:
            return np.ones_like(image.data, np.bool_)
        try:
            folder = (self.cache or cache_folder()) / "brains"
            return kept_brain_mask(image.data, image.spacing_mm, folder)
        except DataError as fault:
            raise DataError(f"{self.image}: {fault}") from fault

    def _window(self, image: NDArray[np.float32], brain: NDArray[np.bool_]) -> tuple[float, float]:
        inside = image.T[brain.T]  # the order of nibabel's voxels, which is several times faster
        ends = np.percentile(inside, (LOW_PERCENTILE, HIGH_PERCENTILE), overwrite_input=True)
        low, high = (float(end) for end in ends)  # as Python's, they leave float32 alone
        if not (high > low and 2 / (high - low) < FLOAT32_MAX):
            raise DataError(
                f"{self.image}: all of the brain has one intensity, so that nothing can be scaled; "
                "is the brain mask right?"
            )
        return low, high


def _scaled(marks: Marks) -> NDArray[np.float32]:
    """The intensities in [-1, 1]; -1 outside the brain."""
    low, high = marks.window
    scaled = np.empty_like(marks.intensities)
    planes = zip(scaled.T, marks.intensities.T, marks.brain.T, strict=True)
    for plane, source, inner in planes:  # one at a time stays in the processor's cache
        np.subtract(source, np.float32(low), out=plane)
        plane *= 2 / (high - low)
        plane -= 1
        np.clip(plane, -1, 1, out=plane)
        plane[~inner] = -1
    return scaled


class Examined(NamedTuple):
    """The findings about one patient's files.

    Attributes:
        marks: The masks; ``None`` if there are faults.
        image: The image, if it is readable.
        faults: What is wrong with the files.
        notes: What is odd in the files but can still be read; each begins with the file's path.
    """

    marks: Marks | None
    image: Volume | None
    faults: list[DataError]
    notes: tuple[str, ...] = ()


def _tried(act: Callable[[], T], faults: list[DataError]) -> T | None:
    """The result, or ``None`` and one fault more."""
    try:
        return act()
    except DataError as fault:
        faults.append(fault)
        return None


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """The patients of one folder, each with a split.

    Attributes:
        root: The folder.
        patients: The patients.
        notes: Notes on them.
    """

    root: Path
    patients: tuple[Patient, ...]
    notes: tuple[str, ...] = ()

    def split(self, name: str) -> tuple[Patient, ...]:
        """Return the patients of ``train``, ``val`` or ``test``.

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
    """Keep the splits that are given. If none is, assign 60/15/25 % at random with a fixed seed.

    Args:
        root: The cohort's folder, for messages.
        patients: The patients.

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
