"""Cohorts without brain masks: the brain is found, named, shown, and no label widens it."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from benchmark.core.errors import DataError
from benchmark.core.protocol import Recipe
from benchmark.data.cohort import Patient
from benchmark.data.digest import Digests
from benchmark.data.inspection import OUTLINE, inspect
from benchmark.data.kept_brains import METHOD
from benchmark.data.labels import MaskLabels
from benchmark.data.layouts import read_cohort
from benchmark.data.notes import OUTSIDE, notes_of, refuse
from benchmark.data.patching import extract
from benchmark.data.reading import MISSED

SECRET = b"x" * 64
RECIPE = Recipe(size=16, per_patient=20)
UNITS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "z-score": lambda v: (v - v.mean()) / v.std(),
    "from -1 to 1": lambda v: 2 * (v - v.min()) / (v.max() - v.min()) - 1,
    "air at -1024": lambda v: v - 1024,
    "tiny": lambda v: v * 1e-30,
}


@pytest.fixture
def bare(tiny_cohort: Path) -> Path:
    """The tiny cohort without its brain masks."""
    shutil.rmtree(tiny_cohort / "derivatives" / "brains")
    return tiny_cohort


def rewrite(file: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    found = nib.load(file)
    voxels = change(np.asarray(found.dataobj, np.float64)).astype(np.float32)
    nib.save(nib.Nifti1Image(voxels, found.affine), file)


def patients(cohort: Path) -> tuple[Patient, ...]:
    return read_cohort(cohort).patients


@pytest.mark.parametrize("unit", UNITS)
def test_in_every_linear_unit_brain_image_and_patches_are_the_same(bare: Path, unit: str) -> None:
    before, cut = patients(bare)[0].read(), extract(patients(bare), RECIPE, seed=3)
    for image in bare.glob("sub-*/anat/*.nii.gz"):
        rewrite(image, UNITS[unit])
    after, again = patients(bare)[0].read(), extract(patients(bare), RECIPE, seed=3)
    assert np.array_equal(before.brain, after.brain)
    assert np.array_equal(before.image, after.image)
    assert np.array_equal(cut.images, again.images)
    assert np.array_equal(cut.masks, again.masks)


def test_vessels_outside_a_found_brain_stay_true_and_do_not_widen_it(bare: Path) -> None:
    before = patients(bare)[0].read()
    corner = np.s_[0:3, 0:3, 2]
    assert not before.brain[corner].any()

    def labelled(mask: np.ndarray) -> np.ndarray:
        mask[corner] = 1
        return mask

    rewrite(next(bare.glob("derivatives/vessels/sub-01/anat/*.nii.gz")), labelled)
    patient = patients(bare)[0]
    after, marks = patient.read(), patient.examine().marks
    assert marks is not None
    notes = notes_of(patient, patient.examine())
    assert after.vessels[corner].all()
    assert np.array_equal(before.brain, after.brain)
    assert np.array_equal(before.image, after.image)
    assert marks.outside == pytest.approx(9 / after.vessels.sum())
    said = next(note.text for note in notes if note.kind == OUTSIDE)
    assert said == (
        f"some of the labelled vessels lie outside the brain (here {100 * marks.outside:.2g} %) "
        "and count as missed"
    )


def test_vessels_outside_a_given_brain_are_said_and_do_not_count(tiny_cohort: Path) -> None:
    brain = next(tiny_cohort.glob("derivatives/brains/sub-01/anat/*.nii.gz"))
    rewrite(brain, lambda mask: mask * (np.arange(mask.shape[1]) < 30)[:, None])
    patient = patients(tiny_cohort)[0]
    found = patient.examine()
    assert found.marks is not None
    assert not found.marks.vessels[:, 30:].any()
    kinds = {note.kind: note.text for note in notes_of(patient, found)}
    assert kinds[OUTSIDE].endswith("and do not count")


def test_a_brain_without_most_of_the_vessels_stops_a_run(bare: Path) -> None:
    def moved(mask: np.ndarray) -> np.ndarray:
        out = np.zeros_like(mask)
        out[:4, :4], out[24, 24, 3] = 1, 1
        return out

    rewrite(next(bare.glob("derivatives/vessels/sub-01/anat/*.nii.gz")), moved)
    patient = patients(bare)[0]
    notes = notes_of(patient, patient.examine())
    with pytest.raises(DataError, match=f"give a brain mask, or a better one.*--accept {MISSED}"):
        refuse(notes, ())
    refuse(notes, (MISSED,))


def test_the_method_is_named_for_all_who_were_read_by_it(bare: Path) -> None:
    report = inspect(bare)
    assert report.notes == [
        "sub-01: there is no brain mask, so the brain was found in the image "
        f"({METHOD}); so with 5 more."
    ]


def test_the_digest_of_data_tells_how_the_brain_was_found(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Digests(tmp_path / "a", SECRET).of(patients(bare), private=False)
    monkeypatch.setattr("benchmark.data.digest.METHOD", "another/1")
    second = Digests(tmp_path / "a", SECRET).of(patients(bare), private=False)
    assert first[0] != second[0]


def test_the_picture_outlines_the_brain(bare: Path) -> None:
    tile = inspect(bare).findings[0].tile
    assert tile is not None
    assert (np.abs(tile.astype(int) - OUTLINE).max(-1) < 60).sum() > 50


def test_an_image_without_a_brain_is_named(bare: Path) -> None:
    image = bare / "sub-01/anat/sub-01_angio.nii.gz"
    rewrite(image, lambda v: np.full_like(v, 7))
    with pytest.raises(DataError, match=r"sub-01_angio.nii.gz: the image is constant \(7\)"):
        patients(bare)[0].read()


@pytest.mark.parametrize("far", [5e8, -1e9])
def test_intensities_too_far_from_0_for_float32_are_refused(far: float, bare: Path) -> None:
    image = bare / "sub-01/anat/sub-01_angio.nii.gz"
    found = nib.load(image)
    nib.save(nib.Nifti1Image(np.asarray(found.dataobj, np.float64) + far, found.affine), image)
    with pytest.raises(DataError, match=r"sub-01_angio.*too far from 0.*subtract a constant"):
        patients(bare)[0].read()


def test_inspect_says_what_is_wrong_with_splits_and_that_nobody_can_be_used(bare: Path) -> None:
    table = bare / "participants.tsv"
    text = table.read_text()
    table.write_text(text.replace("sub-02\tb\ttrain", "sub-02\tb\t"))
    assert "sub-02 has no split and others have" in str(inspect(bare).every_fault[0])
    table.write_text(text.replace("participant_id", "who"))
    assert inspect(bare).is_fatal


def test_masks_that_mark_nothing_are_named_by_what_is_wrong(tiny_cohort: Path) -> None:
    brain = next(tiny_cohort.glob("derivatives/brains/sub-01/anat/*.nii.gz"))
    kept = brain.read_bytes()
    rewrite(brain, np.zeros_like)
    with pytest.raises(DataError, match=r"desc-brain_mask.*no voxel of the brain is left"):
        patients(tiny_cohort)[0].read()
    brain.write_bytes(kept)
    vessels = next(tiny_cohort.glob("derivatives/vessels/sub-01/anat/*.nii.gz"))
    rewrite(vessels, lambda mask: (np.arange(mask.size).reshape(mask.shape) == 0) * 1.0)
    with pytest.raises(DataError, match=r"marks no vessel in the brain .*is neither inverted"):
        patients(tiny_cohort)[0].read()


def test_ignored_voxels_do_not_make_vessels_fill_the_brain(bare: Path) -> None:
    mask = next(bare.glob("derivatives/vessels/sub-01/anat/*.nii.gz"))
    rewrite(mask, lambda v: np.where((v == 0) & (np.arange(v.shape[0]) < 40)[:, None, None], 2, v))
    patient = replace(patients(bare)[0], labels=MaskLabels(frozenset({1}), frozenset({2})))
    found = patient.examine()
    assert found.marks is not None
    assert found.marks.vessels.sum() > 0.05 * found.marks.brain.sum()
    assert {note.kind for note in notes_of(patient, found)} == {""}
