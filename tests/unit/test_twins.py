"""One person twice is found by the image's voxels alone, wherever the copy lies."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from benchmark.core.errors import DataError
from benchmark.data.inspection import inspect
from benchmark.data.likeness import coarse, likeness
from benchmark.data.reading import BRAIN, Reading
from benchmark.sweep.inputs import Inputs, gather
from benchmark.sweep.saved_generator import _held_out

FROM, TO = "sub-01", "sub-05"  # one is trained on, the other tested on


def image_of(cohort: Path, name: str) -> Path:
    return cohort / name / "anat" / f"{name}_angio.nii.gz"


def mask_of(cohort: Path, name: str, kind: str = "vessel") -> Path:
    return cohort / f"derivatives/{kind}s/{name}/anat/{name}_desc-{kind}_mask.nii.gz"


def copied(cohort: Path, change: Callable[[nib.Nifti1Image], nib.Nifti1Image]) -> None:
    """The trained patient's files in the tested one's place, changed alike."""
    for file in (image_of, mask_of, lambda *who: mask_of(*who, "brain")):
        nib.save(change(nib.load(file(cohort, FROM))), file(cohort, TO))


def turned(image: nib.Nifti1Image) -> nib.Nifti1Image:
    """Other axes, told by the affine."""
    return image.as_reoriented(np.array([[1, -1], [0, 1], [2, -1]]))


def turned_without_a_word(image: nib.Nifti1Image) -> nib.Nifti1Image:
    """Other axes, and the affine of the ones before."""
    data = np.asarray(image.dataobj)[::-1].transpose(1, 0, 2)
    return nib.Nifti1Image(np.ascontiguousarray(data), np.diag([0.6, 0.6, 0.9, 1]))


def exported(image: nib.Nifti1Image) -> nib.Nifti1Image:
    """Another type of voxels, another header."""
    made = nib.Nifti1Image(np.asarray(image.dataobj).astype(np.float64), image.affine)
    made.header["descrip"] = b"exported again"
    return made


COPIES = {f.__name__: f for f in (exported, turned, turned_without_a_word)}


def gathered(cohort: Path, tmp_path: Path, *tests: Path, accepted: tuple[str, ...] = ()) -> Inputs:
    return gather(
        cohort,
        tests,
        cache=tmp_path / "cache",
        state=tmp_path / "state",
        jobs=1,
        progress=lambda *told: None,
        reading=Reading(accepted=accepted),
    )


@pytest.mark.parametrize("copy", COPIES)
def test_a_copy_among_the_tested_is_refused_by_name(
    tiny_cohort: Path, tmp_path: Path, copy: str
) -> None:
    gathered(tiny_cohort, tmp_path)
    copied(tiny_cohort, COPIES[copy])
    for _ in range(2):  # read, and remembered
        with pytest.raises(DataError, match=rf"{TO}_angio.*volume of {FROM} again.*tested on"):
            gathered(tiny_cohort, tmp_path)
    faults = [str(fault) for fault in inspect(tiny_cohort).every_fault]
    assert len(faults) == 1
    assert f"volume of {FROM} again" in faults[0]


def test_score_compares_the_splits_too_and_keeps_digests(tiny_cohort: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    held_out, _ = _held_out(tiny_cohort, Reading(), state)
    assert [patient.id for patient in held_out] == [TO, "sub-06"]
    assert (state / "digests.json").exists()
    copied(tiny_cohort, exported)
    with pytest.raises(DataError, match=f"volume of {FROM} again"):
        _held_out(tiny_cohort, Reading(), state)


@pytest.mark.parametrize("role", ["train", "test"])
def test_another_raters_masks_make_no_other_patient(
    tiny_cohort: Path, tmp_path: Path, role: str
) -> None:
    other, name = tmp_path / "rater", {"train": FROM, "test": TO}[role]
    for file in (image_of(tiny_cohort, name), mask_of(tiny_cohort, name)):
        place = other / file.relative_to(tiny_cohort)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)
    mask = nib.load(mask_of(other, name))
    marked = np.asarray(mask.dataobj).copy()
    marked[:, :10] = 0
    nib.save(nib.Nifti1Image(marked, mask.affine), mask_of(other, name))
    with pytest.raises(DataError, match=rf"rater.*volume of {name} again"):
        gathered(tiny_cohort, tmp_path, other)


def test_a_near_twin_is_a_note_in_inspect_and_run(tiny_cohort: Path, tmp_path: Path) -> None:
    def scaled(image: nib.Nifti1Image) -> nib.Nifti1Image:
        data = np.asarray(image.dataobj).astype(np.float32)
        if data.max() > 1:
            data[20, 20, 3] += 1
        return nib.Nifti1Image(data, image.affine)

    copied(tiny_cohort, scaled)
    said = f"{TO} (test set 'test') look like one person"
    expected = [n for n in gathered(tiny_cohort, tmp_path).notes if said in n]
    assert len(expected) == 1
    assert expected[0] in inspect(tiny_cohort).notes or said in str(inspect(tiny_cohort).notes)


@pytest.mark.parametrize(
    "change",
    [
        lambda v: 3 * v - 1000,
        lambda v: (v[::-1] * 2 + 5).copy(),
        lambda v: np.pad(v, 8, constant_values=v.min()),
        lambda v: (v - v.mean()) / v.std(),
    ],
    ids=["another unit", "turned too", "with a margin", "z-scores"],
)
def test_a_volume_in_another_unit_or_with_a_margin_is_the_same_volume(change: Any) -> None:
    image = np.random.default_rng(0).integers(0, 400, (20, 17, 5)).astype(np.float32)
    found = change(image.astype(np.float64)).astype(np.float32)
    assert likeness(found, b"").unordered == likeness(image, b"").unordered


def test_other_people_are_no_near_twins(tiny_cohort: Path, tmp_path: Path) -> None:
    assert not [n for n in gathered(tiny_cohort, tmp_path).notes if "one person" in n]


def test_a_likeness_of_order_and_unit() -> None:
    image = np.random.default_rng(0).normal(size=(20, 17, 5)).astype(np.float32)
    one = likeness(image, b"key")
    turned = likeness(np.ascontiguousarray(image[::-1].transpose(2, 0, 1)), b"key")
    assert one.unordered == turned.unordered
    assert likeness(image * 4 + 8, b"key").sketch == one.sketch
    assert likeness(image, b"other key").sketch != one.sketch
    changed = image.copy()
    changed[0, 0, 0] += 1
    assert likeness(changed, b"key").unordered != one.unordered
    signed = np.where(image > 0, image, 0).astype(np.float32)
    assert (
        likeness(signed, b"key").unordered
        == likeness(np.where(signed == 0, -signed, signed), b"key").unordered
    )


def test_low_resolution_is_the_mean_of_parts() -> None:
    image = np.arange(32 * 48 * 16, dtype=np.float32).reshape(32, 48, 16)
    expected = image.reshape(16, 2, 16, 3, 8, 2).mean((1, 3, 5))
    assert np.allclose(coarse(image), expected)
    assert np.allclose(coarse(image[:, :, :4])[..., ::2], coarse(image[:, :, :4])[..., 1::2])


def written(cohort: Path, name: str, kind: str, data: np.ndarray) -> None:
    image = nib.load(image_of(cohort, name))
    nib.save(nib.Nifti1Image(data.astype(np.uint8), image.affine), mask_of(cohort, name, kind))


def test_notes_of_a_wrong_reading_stop_a_run_until_they_are_accepted(
    tiny_cohort: Path, tmp_path: Path
) -> None:
    shape = nib.load(image_of(tiny_cohort, FROM)).shape
    written(tiny_cohort, FROM, "brain", np.ones(shape))
    said = f"{FROM}: the brain fills more than 95 % of the volume."
    marked = f"{said} This stops a run until --accept {BRAIN}."
    assert marked in inspect(tiny_cohort).notes
    for _ in range(2):  # read, and remembered
        with pytest.raises(DataError, match=r"95 % of the volume.*--accept brain-fills-box"):
            gathered(tiny_cohort, tmp_path)
    assert said in gathered(tiny_cohort, tmp_path, accepted=("brain-fills-box",)).notes
    written(tiny_cohort, TO, "vessel", np.ones(shape))
    with pytest.raises(DataError, match=rf"{TO}: more than 5 % .*--accept vessels-fill-brain"):
        gathered(tiny_cohort, tmp_path, accepted=("brain-fills-box",))


def test_an_image_that_is_a_mask_stops_a_run(tiny_cohort: Path, tmp_path: Path) -> None:
    shutil.copy(mask_of(tiny_cohort, FROM), image_of(tiny_cohort, FROM))
    with pytest.raises(DataError, match=r"two intensities only.*--accept mask-is-image"):
        gathered(tiny_cohort, tmp_path)


def test_one_note_for_all_whom_it_is_about(tiny_cohort: Path) -> None:
    for name in (FROM, TO):
        shape = nib.load(image_of(tiny_cohort, name)).shape
        written(tiny_cohort, name, "brain", np.ones(shape))
    found = [note for note in inspect(tiny_cohort).notes if "fills" in note]
    assert found == [
        f"{FROM}: the brain fills more than 95 % of the volume; so with 1 more. "
        f"This stops a run until --accept {BRAIN}."
    ]


def test_a_likeness_is_one_whether_values_are_counted_or_mixed_one_by_one() -> None:
    whole = np.random.default_rng(0).integers(-300, 900, (20, 17, 5)).astype(np.float32)
    assert likeness(whole, b"").unordered == likeness(whole * 0.37 - 2.5, b"").unordered
    for order in ("C", "F"):
        assert likeness(np.array(whole, order=order), b"") == likeness(whole, b"")
