"""Patches from volumes: the recipe of Kossen et al. (2022).

Half of a patient's patches are centred on random vessel voxels, half on random brain voxels,
without duplicates, in axial slices, half a patch away from the border.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.core.budget import PublicNumbers
from benchmark.core.errors import DataError
from benchmark.core.patches import Patches
from benchmark.core.protocol import NATIVE, Recipe
from benchmark.core.sums import sums_hold, write_sums
from benchmark.data.cohort import Patient, PatientVolume
from benchmark.data.inplane import at_spacing

IMAGES, MASKS, OWNER = "images.npy", "masks.npy", "patient.npy"
WITHOUT = "without.txt"
"""The file that lists which patients have no patch, and why, for readers who have the data."""

NOBODY = 0
"""The owner of rows that patients with few voxels leave empty. The first patient is 1."""

PIXEL_BYTES = 5
"""A float32 of the image and a byte of the mask."""


class Cut(NamedTuple):
    """One patient's patches.

    Attributes:
        images: float32 ``(k, 1, size, size)``.
        masks: uint8 ``(k, 1, size, size)``.
        fault: Why there is none; empty otherwise.
    """

    images: NDArray[np.float32]
    masks: NDArray[np.uint8]
    fault: str = ""


def public_numbers(patients: Sequence[Patient], recipe: Recipe) -> PublicNumbers:
    """Return the numbers of a cohort's patches that can be declared before a volume is read."""
    return PublicNumbers(
        patients=len(patients),
        patches_per_patient=recipe.per_patient,
        patch_size=recipe.size,
    )


def extract(patients: Sequence[Patient], recipe: Recipe, *, seed: int) -> Patches:
    """Cut every patient's patches. One volume is in memory at a time.

    Args:
        patients: The patients.
        recipe: How patches are taken.
        seed: Chooses their centres.

    Raises:
        DataError: Naming the patient whose volume is unusable or smaller than a patch.
    """
    cuts = list(_each(patients, recipe, seed, jobs=1, cut=_cut))
    images = np.concatenate([cut.images for cut in cuts])
    masks = np.concatenate([cut.masks for cut in cuts])
    owner = np.repeat(np.arange(len(cuts)), [len(cut.images) for cut in cuts])
    return _patches(images, masks, owner, len(patients), recipe)


def cached(
    patients: Sequence[Patient | None],
    recipe: Recipe,
    *,
    seed: int,
    cache: Path,
    data: str,
    faults: list[DataError] | None = None,
    jobs: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Patches:
    """Return ``extract`` from memory-mapped files, which are made for all cells on the same data.

    The use of memory does not grow with the number of patients. The files are the patients' own
    patches, so only their owner can read the folder.

    Args:
        patients: The patients; ``None`` for one who is known to have no patch.
        recipe: How patches are taken.
        seed: Chooses their centres.
        cache: The cache folder.
        data: Digest of the patients' files.
        faults: Collects why patients have no patch. They stay among the ``patients``, whose number
            is public, and contribute nothing. If ``None``, the first fault is raised.
        jobs: How many patients are read at a time; it changes no patch.
        progress: Called for every patient.

    Raises:
        DataError: As ``extract``, or if the disk is too full.
    """
    at = "" if recipe.spacing_mm == NATIVE else f"-{recipe.spacing_mm:g}mm"
    key = f"{data}-{recipe.size}-{recipe.per_patient}-{seed}{at}"
    kept = cache / "patches" / hashlib.sha256(key.encode()).hexdigest()[:16]
    found = _opened(kept, len(patients), recipe)
    if found is None:
        cut = _cut if faults is None else _cut_or_nothing
        _keep(kept, _each(patients, recipe, seed, jobs, cut), len(patients), recipe, progress)
        found = _opened(kept, len(patients), recipe)
    if found is None:
        raise OSError(f"{kept}: the patches could not be read back; is the disk full?")
    without = [DataError(line) for line in _without(kept)]
    if without and faults is None:
        raise without[0]
    if faults is not None:
        faults += without
    return found


def _keep(
    kept: Path,
    cuts: Iterator[Cut],
    patients: int,
    recipe: Recipe,
    progress: Callable[[int, int], None],
) -> None:
    """Writes all cuts into a folder that is there as a whole or not at all."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    _check_space(kept.parent, patients, recipe)
    partial = Path(tempfile.mkdtemp(dir=kept.parent, prefix=".partial-"))
    try:
        _allot(partial, patients, recipe)
        filled, faults = 0, []
        for done, cut in enumerate(cuts, 1):
            _put(partial, filled, cut, owner=done)
            filled += len(cut.images)
            faults += [cut.fault] if cut.fault else []
            progress(done, patients)
        (partial / WITHOUT).write_text("".join(f"{line}\n" for line in faults), encoding="utf-8")
        write_sums(partial)
        shutil.rmtree(kept, ignore_errors=True)
        with contextlib.suppress(OSError):  # another process was first, with the same patches
            partial.rename(kept)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _each(
    patients: Sequence[Patient | None],
    recipe: Recipe,
    seed: int,
    jobs: int,
    cut: Callable[[Patient | None, Recipe, tuple[int, int]], Cut],
) -> Iterator[Cut]:
    """One patient after the other; no more than ``jobs`` are read ahead."""
    ahead: deque[Future[Cut]] = deque()
    with ThreadPoolExecutor(jobs) as pool:
        try:
            for index, patient in enumerate(patients):
                ahead.append(pool.submit(cut, patient, recipe, (seed, index)))
                if len(ahead) > jobs:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _cut(patient: Patient | None, recipe: Recipe, seed: tuple[int, int]) -> Cut:
    """A patient's patches; no rows for nobody."""
    if patient is None:
        return _empty(0, recipe)
    volume = at_spacing(patient.read(), recipe.spacing_mm)
    corners = _corners(patient, volume, recipe, np.random.default_rng(seed))
    cut = _empty(len(corners), recipe)
    _copy(volume.image, corners, cut.images)
    _copy(volume.vessels, corners, cut.masks)
    return cut


def _cut_or_nothing(patient: Patient | None, recipe: Recipe, seed: tuple[int, int]) -> Cut:
    """The same, whatever the patient's files hold; where they cannot be used, no rows and why."""
    try:
        return _cut(patient, recipe, seed)
    except Exception as error:  # one patient's data must not decide whether anything fails
        why = " ".join(f"{patient and patient.id} has no patch: {error}".split())
        return _empty(0, recipe)._replace(fault=why)


def _empty(rows: int, recipe: Recipe) -> Cut:
    shape = (rows, 1, recipe.size, recipe.size)
    return Cut(np.empty(shape, np.float32), np.empty(shape, np.uint8))


def _without(folder: Path) -> list[str]:
    """What the folder says of patients without a patch."""
    return (folder / WITHOUT).read_text(encoding="utf-8").splitlines()


def _check_space(folder: Path, patients: int, recipe: Recipe) -> None:
    """Refuses beforehand, as a full disk kills whoever writes to a mapped file."""
    needed = patients * recipe.per_patient * recipe.size**2 * PIXEL_BYTES
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"{folder}: the training patches need {needed / 2**30:.3g} GiB and {free / 2**30:.3g} "
            "are free; ask for fewer (--set protocol.patches_per_patient=N), or put the cache "
            "elsewhere (ANGIOBENCH_CACHE)."
        )


def _allot(folder: Path, patients: int, recipe: Recipe) -> None:
    """Files for as many patches as the cohort can have."""
    most = patients * recipe.per_patient
    shape = (most, 1, recipe.size, recipe.size)
    for name, sides, dtype in (
        (IMAGES, shape, np.float32),
        (MASKS, shape, np.uint8),
        (OWNER, shape[:1], np.int64),
    ):
        np.lib.format.open_memmap(folder / name, mode="w+", dtype=dtype, shape=sides)


def _put(folder: Path, start: int, cut: Cut, *, owner: int) -> None:
    """Writes one patient's patches; the files are mapped for that long only."""
    end = start + len(cut.images)
    for name, rows in ((IMAGES, cut.images), (MASKS, cut.masks), (OWNER, owner)):
        np.load(folder / name, mmap_mode="r+")[start:end] = rows


def _opened(folder: Path, patients: int, recipe: Recipe) -> Patches | None:
    """The kept patches; ``None`` where they are missing or damaged."""
    if not sums_hold(folder):
        return None
    try:
        images, masks, owner = (
            np.load(folder / name, mmap_mode="r", allow_pickle=False)
            for name in (IMAGES, MASKS, OWNER)
        )
        filled = int((owner != NOBODY).sum())
        rows = images[:filled], masks[:filled], owner[:filled] - 1
        return _patches(*rows, patients, recipe)
    except (OSError, ValueError, EOFError):
        return None


def _patches(
    images: NDArray[Any], masks: NDArray[Any], owner: NDArray[Any], patients: int, recipe: Recipe
) -> Patches:
    return Patches(
        images=images,
        masks=masks,
        patient=owner,
        patients=patients,
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


def _copy(
    volume: NDArray[np.generic], corners: NDArray[np.int64], out: NDArray[np.generic]
) -> None:
    size = out.shape[-1]
    for patch, (x, y, z) in zip(out, corners, strict=True):
        patch[0] = volume[x : x + size, y : y + size, z]
