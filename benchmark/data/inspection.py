"""The inspection of a cohort: its content and all its faults, before time is spent on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from benchmark.core.errors import DataError, UsageError
from benchmark.core.folders import check_writable
from benchmark.data.cohort import Examined, Patient, with_splits
from benchmark.data.layouts import list_patients
from benchmark.data.layouts.listing import Listing
from benchmark.data.likeness import Likeness, likeness
from benchmark.data.notes import Note, notes_of, together
from benchmark.data.twins import FITTED, Groups, near_twins, twins

TILE_PIXELS = 160
SAMPLED = 1 << 18
"""How many voxels are sampled to find the brightest intensities of a picture."""
MARK = (255, 60, 40)
OUTLINE = (60, 200, 255)


class Finding(NamedTuple):
    """The findings about one patient.

    Attributes:
        patient: The files, site and split.
        shape: The image's voxels, in RAS; ``None`` where it is unreadable.
        spacing_mm: A voxel's sides.
        orientation: The axes of the file itself.
        low: The least intensity.
        high: The greatest intensity.
        vessel_fraction: The share of the brain's voxels; ``None`` where something is wrong.
        faults: What is wrong.
        tile: A slice and a projection with the mask over them, uint8 ``(h, 2w, 3)``, if readable.
        likeness: The image's, to recognise it.
        notes: What may be read differently than intended.
    """

    patient: Patient
    shape: tuple[int, ...] | None = None
    spacing_mm: tuple[float, float, float] | None = None
    orientation: str = ""
    low: float | None = None
    high: float | None = None
    vessel_fraction: float | None = None
    faults: tuple[DataError, ...] = ()
    tile: NDArray[np.uint8] | None = None
    likeness: Likeness | None = None
    notes: tuple[Note, ...] = ()


class InspectionReport(NamedTuple):
    """The findings about a cohort.

    Attributes:
        findings: By patient.
        faults: The faults of the folder.
        notes: Sentences.
        is_fatal: Whether a fault concerns all patients, so that none can be used.
    """

    findings: list[Finding]
    faults: list[DataError]
    notes: list[str]
    is_fatal: bool = False

    @property
    def every_fault(self) -> list[DataError]:
        """The faults of the folder and of all patients."""
        return [*self.faults, *(fault for found in self.findings for fault in found.faults)]


def inspect(
    root: Path,
    *,
    layout: str | None = None,
    acquisition: str | None = None,
    jobs: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> InspectionReport:
    """Read every patient of a folder, without stopping at any fault.

    Args:
        root: The folder.
        layout: A layout's name; found out from the file names if ``None``.
        acquisition: Which of a patient's several angiographies is taken.
        jobs: How many patients are read at a time.
        progress: Called with how many patients are done, and how many there are.

    Raises:
        DataError: For a folder that is missing or in no known layout.
    """
    listing = list_patients(root, layout, acquisition=acquisition)
    findings: list[Finding] = []
    with ThreadPoolExecutor(jobs) as pool:
        for found in pool.map(_finding, listing.patients):
            findings.append(found)
            progress(len(findings), len(listing.patients))
    groups = _groups(findings)
    notes = [*map(Note, listing.notes), *(note for found in findings for note in found.notes)]
    notes += near_twins(groups)
    faults = [*listing.faults, *_of_splits(root, listing), *twins(groups)]
    return InspectionReport(
        findings, faults, together(notes, marked=True), is_fatal=bool(listing.fatal)
    )


def _of_splits(root: Path, listing: Listing) -> list[DataError]:
    """What is wrong with the splits of all patients together."""
    try:
        with_splits(root, listing.patients)
    except DataError as fault:
        return [fault]
    return []


def check_picture(path: Path) -> None:
    """Refuses a picture that could not be written, before any volume is read.

    Raises:
        UsageError: For a name that no format has, or a folder that is not there.
    """
    Image.init()
    if path.suffix.lower() not in Image.EXTENSION or path.is_dir():
        raise UsageError(f"--picture {path}: expected a file such as cohort.png or cohort.jpg.")
    if not path.parent.is_dir():
        raise UsageError(f"--picture {path}: there is no folder {path.parent}; make it first.")
    check_writable(path.parent)


def save_picture(findings: Sequence[Finding], path: Path) -> None:
    """Write the tiles of all readable patients as one picture, four in a row."""
    tiles = [found.tile for found in findings if found.tile is not None]
    if not tiles:
        return
    blank = np.zeros_like(tiles[0])
    rows = [tiles[start : start + 4] for start in range(0, len(tiles), 4)]
    full = [np.concatenate([*row, *[blank] * (min(4, len(tiles)) - len(row))], 1) for row in rows]
    Image.fromarray(np.concatenate(full)).save(path)


def _finding(patient: Patient) -> Finding:
    examined = patient.examine()
    if examined.image is None:
        return Finding(patient, faults=tuple(examined.faults))
    image, marks = examined.image, examined.marks
    low = float(image.data.min())
    return Finding(
        patient,
        shape=image.data.shape,
        spacing_mm=image.spacing_mm,
        orientation=image.orientation,
        low=low,
        high=float(image.data.max()),
        vessel_fraction=marks.vessel_share if marks else None,
        faults=tuple(examined.faults),
        tile=_tile(examined, low),
        likeness=likeness(image.data, b""),
        notes=tuple(notes_of(patient, examined)),
    )


def _groups(findings: Sequence[Finding]) -> Groups:
    """The readable ones by their split."""
    groups: dict[str, list[tuple[Patient, Likeness]]] = {}
    for found in findings:
        if found.likeness:
            split = found.patient.split
            role = FITTED if split in ("", "train") else split
            groups.setdefault(role, []).append((found.patient, found.likeness))
    return groups


def _tile(examined: Examined, low: float) -> NDArray[np.uint8] | None:
    """The slice with most vessels, and the maximum along the body's axis, the brain outlined."""
    if examined.image is None:
        return None
    data, marks = examined.image.data, examined.marks
    vessels = marks.vessels if marks else np.zeros(data.shape, bool)
    brain = marks.brain if marks else vessels
    best = (
        int(np.count_nonzero(vessels, axis=(0, 1)).argmax())
        if vessels.any()
        else data.shape[2] // 2
    )
    top = float(np.percentile(data.ravel("K")[:: max(1, data.size // SAMPLED)], 99.8))
    views = [
        (data[:, :, best], vessels[:, :, best], brain[:, :, best]),
        (data.max(2), vessels.max(2), brain.max(2)),
    ]
    return np.concatenate([_view(*view, low, top) for view in views], axis=1)


def _view(
    image: NDArray[np.float32],
    vessels: NDArray[np.bool_],
    brain: NDArray[np.bool_],
    low: float,
    top: float,
) -> NDArray[np.uint8]:
    grey = np.clip((image - low) / max(top - low, 1e-12), 0, 1) * 255
    shown = np.repeat(grey[..., None], 3, axis=2)
    inner = np.asarray(Image.fromarray(brain.astype(np.uint8)).filter(ImageFilter.MinFilter(3)))
    shown[brain & (inner == 0)] = OUTLINE
    shown[vessels] = 0.4 * shown[vessels] + 0.6 * np.array(MARK)
    picture = Image.fromarray(np.rot90(shown).astype(np.uint8))
    picture.thumbnail((TILE_PIXELS, TILE_PIXELS))
    sheet = Image.new("RGB", (TILE_PIXELS, TILE_PIXELS))
    sheet.paste(picture, ((TILE_PIXELS - picture.width) // 2, (TILE_PIXELS - picture.height) // 2))
    return np.asarray(sheet)
