"""From files to patches: what is read, what is refused, what patches are."""

import gzip
import os
import shutil
import tracemalloc
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from benchmark.core.errors import DataError, UsageError
from benchmark.core.folders import machine_secret
from benchmark.core.identity import Identity, joined
from benchmark.core.protocol import Recipe
from benchmark.data.cohort import Patient
from benchmark.data.digest import Digests
from benchmark.data.labels import MaskLabels
from benchmark.data.layouts import read_cohort
from benchmark.data.patching import cached, extract
from benchmark.data.reading import Reading
from benchmark.data.volume import read_volume
from benchmark.sweep.inputs import Inputs, gather


def save(path: Path, data: np.ndarray, affine: np.ndarray | None = None) -> Path:
    nib.save(nib.Nifti1Image(data, np.eye(4) if affine is None else affine), path)
    return path


def test_a_cohort_has_its_sites_splits_and_masks(tiny_cohort: Path) -> None:
    cohort = read_cohort(tiny_cohort)
    assert [len(cohort.split(name)) for name in ("train", "val", "test")] == [3, 1, 2]
    assert {p.site for p in cohort.patients} == {"a", "b"}
    assert all(p.brain is not None for p in cohort.patients)


def test_without_a_split_column_patients_are_dealt_60_15_25(tiny_cohort: Path) -> None:
    (tiny_cohort / "participants.tsv").unlink()
    cohort = read_cohort(tiny_cohort)
    assert [len(cohort.split(name)) for name in ("train", "val", "test")] == [4, 1, 1]
    assert read_cohort(tiny_cohort) == cohort
    assert len(read_cohort(tiny_cohort, all_test=True).split("test")) == 6


def test_a_missing_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        read_cohort(tmp_path / "absent")
    with pytest.raises(DataError, match="in none of the layouts bids, ixi, nnunet, pegasus"):
        read_cohort(tmp_path)


def test_a_half_split_cohort_is_refused(tiny_cohort: Path) -> None:
    table = tiny_cohort / "participants.tsv"
    table.write_text(table.read_text().replace("\tval", "\t"))
    with pytest.raises(DataError, match="sub-04 has no split"):
        read_cohort(tiny_cohort)


def test_an_unknown_split_is_refused(tiny_cohort: Path) -> None:
    table = tiny_cohort / "participants.tsv"
    table.write_text(table.read_text().replace("\tval", "\tholdout"))
    with pytest.raises(DataError, match="'holdout'"):
        read_cohort(tiny_cohort)


def test_a_patient_without_a_vessel_mask_is_named(tiny_cohort: Path) -> None:
    next(tiny_cohort.glob("derivatives/vessels/sub-02/anat/*")).unlink()
    with pytest.raises(DataError, match="sub-02"):
        read_cohort(tiny_cohort)


def test_volumes_are_brought_to_ras_with_their_voxel_size(tmp_path: Path) -> None:
    data = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    affine = np.array([[0, -0.5, 0, 0], [0.7, 0, 0, 0], [0, 0, 1.1, 0], [0, 0, 0, 1]])
    volume = read_volume(save(tmp_path / "v.nii.gz", data, affine))
    assert np.array_equal(volume.data, data.transpose(1, 0, 2)[::-1])
    assert volume.spacing_mm == pytest.approx((0.5, 0.7, 1.1))


def test_nan_voxels_and_a_fourth_dimension_are_refused(tmp_path: Path) -> None:
    bad = np.zeros((3, 3, 3), np.float32)
    bad[1, 1, 1] = np.nan
    with pytest.raises(DataError, match=r"v\.nii: 1 voxels are NaN"):
        read_volume(save(tmp_path / "v.nii", bad))
    with pytest.raises(DataError, match="expected a 3-D volume, got the shape 3x3x3x2"):
        read_volume(save(tmp_path / "w.nii", np.zeros((3, 3, 3, 2), np.float32)))


@pytest.mark.parametrize("keep", [0, 10, 100, 2000])
def test_a_truncated_gzip_is_refused_by_name(tmp_path: Path, keep: int) -> None:
    noise = np.random.default_rng(0).integers(0, 1000, (16, 16, 16)).astype(np.int16)
    file = save(tmp_path / "v.nii.gz", noise)
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"v\.nii\.gz: the file cannot be read whole"):
        read_volume(file)


def test_what_is_no_nifti_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "v.nii.gz"
    file.write_bytes(gzip.compress(b"not a volume" * 100))
    with pytest.raises(DataError, match="cannot be read whole"):
        read_volume(file)


def test_a_mask_of_another_shape_is_refused(tiny_cohort: Path) -> None:
    patient = read_cohort(tiny_cohort).patients[0]
    save(patient.vessels, np.ones((48, 52, 5), np.uint8))
    with pytest.raises(DataError, match="the mask is 48x52x5 and the image 48x52x6"):
        patient.read()


def test_scaling_uses_the_brains_own_values(tiny_cohort: Path) -> None:
    patient = read_cohort(tiny_cohort).patients[0]
    volume = patient.read()
    assert volume.image.dtype == np.float32
    assert (volume.image.min(), volume.image.max()) == (-1, 1)
    assert (volume.image[~volume.brain] == -1).all()
    quiet = nib.load(patient.image)
    voxels = quiet.get_fdata().astype(np.int16)
    save(patient.image, 7 * voxels + 3, quiet.affine)
    assert np.allclose(patient.read().image, volume.image, atol=1e-5)
    save(patient.image, np.where(volume.brain, voxels, np.int16(5000)), quiet.affine)
    assert np.array_equal(patient.read().image, volume.image), "only the brain's values count"


def test_a_constant_brain_is_refused(tiny_cohort: Path) -> None:
    patient = read_cohort(tiny_cohort).patients[0]
    save(patient.image, np.full((48, 52, 6), 5, np.int16))
    with pytest.raises(DataError, match="constant"):
        patient.read()


RECIPE = Recipe(size=32, per_patient=40)


def test_half_of_the_patches_are_centred_on_vessels_and_none_twice(tiny_cohort: Path) -> None:
    patient = read_cohort(tiny_cohort).patients[0]
    volume = patient.read()
    patches = extract([patient], RECIPE, seed=0)
    centres = patches.masks[:, 0, 16, 16]
    assert len(patches) == 40
    assert centres[:20].all()
    assert not centres.all()
    assert len({p.tobytes() for p in patches.images}) == 40
    found = sum(
        np.array_equal(volume.image[x : x + 32, y : y + 32, z], patches.images[0, 0])
        for x in range(17)
        for y in range(21)
        for z in range(6)
    )
    assert found == 1


def test_a_patch_and_its_mask_come_from_one_place(tiny_cohort: Path) -> None:
    patches = extract(read_cohort(tiny_cohort).split("train"), RECIPE, seed=0)
    bright = patches.images[patches.masks == 1].mean()
    assert bright > patches.images[patches.masks == 0].mean() + 0.5


def test_patients_do_not_move_each_others_patches(tiny_cohort: Path) -> None:
    one, two, three = read_cohort(tiny_cohort).split("train")
    before = extract([one, two], RECIPE, seed=0)
    after = extract([one, three], RECIPE, seed=0)
    assert np.array_equal(before.images[:40], after.images[:40])
    assert before.patients == after.patients == 2


def test_a_patch_larger_than_the_volume_is_refused(tiny_cohort: Path) -> None:
    with pytest.raises(DataError, match="sub-01: no 64x64 patch fits"):
        extract(read_cohort(tiny_cohort).split("train"), replace(RECIPE, size=64), seed=0)


def digest(patients: tuple[Patient, ...], cache: Path, *, private: bool = False) -> str:
    return Digests(cache, machine_secret(cache)).of(patients, private=private)[0]


def test_the_digest_follows_the_content_and_not_the_place(
    tiny_cohort: Path, tmp_path: Path
) -> None:
    patients = read_cohort(tiny_cohort).patients
    before = digest(patients, tmp_path / "one")
    assert digest(patients, tmp_path / "one") == before
    moved = tiny_cohort.rename(tmp_path / "elsewhere")
    patients = read_cohort(moved).patients
    assert digest(patients, tmp_path / "two") == before
    data = nib.load(patients[0].image)
    save(patients[0].image, np.asarray(data.dataobj) + 1, data.affine)
    assert digest(patients, tmp_path / "two") != before


def test_the_digest_follows_what_the_labels_mean(tiny_cohort: Path, tmp_path: Path) -> None:
    """Cached patches are found by it, and other labels make other patches of the same files."""
    patients = read_cohort(tiny_cohort).patients

    def meaning(labels: MaskLabels) -> str:
        return digest(tuple(replace(p, labels=labels) for p in patients), tmp_path)

    said = [MaskLabels(), MaskLabels(frozenset({1})), MaskLabels(ignored=frozenset({2}))]
    assert meaning(said[0]) == digest(patients, tmp_path)
    assert len({meaning(labels) for labels in said}) == len(said)
    with pytest.raises(DataError, match="marks no vessel"):
        meaning(MaskLabels(vessels=frozenset({2})))


def test_a_private_digest_is_keyed_by_a_secret_of_the_machine(
    tiny_cohort: Path, tmp_path: Path
) -> None:
    patients = read_cohort(tiny_cohort).patients
    here = digest(patients, tmp_path / "one", private=True)
    assert here == digest(patients, tmp_path / "one", private=True)
    assert here != digest(patients, tmp_path / "two", private=True)
    assert here != digest(patients, tmp_path / "one")
    assert (tmp_path / "one" / "secret").stat().st_mode & 0o077 == 0


def test_a_secret_that_is_lost_is_not_made_anew_beside_a_ledger(tmp_path: Path) -> None:
    machine_secret(tmp_path)
    (tmp_path / "secret").write_bytes(b"")
    with pytest.raises(UsageError, match="has 0 characters, expected 64"):
        machine_secret(tmp_path)
    (tmp_path / "secret").unlink()
    (tmp_path / "ledger.db").touch()
    with pytest.raises(UsageError, match="knows no patient; put it back"):
        machine_secret(tmp_path)


def test_a_volume_that_is_exported_again_is_the_same_patient_to_the_ledger(
    tiny_cohort: Path, tmp_path: Path
) -> None:
    def known(cohort: Path) -> list[str]:
        patients = read_cohort(cohort).patients
        return list(Digests(tmp_path / "cache", b"key").of_voxels(patients))

    before = known(tiny_cohort)
    again = tmp_path / "again"
    shutil.copytree(tiny_cohort, again)
    for file in again.rglob("*_angio.nii.gz"):
        image = nib.load(file)
        flipped = nib.as_closest_canonical(image).as_reoriented(np.array([[1, 1], [0, -1], [2, 1]]))
        out = nib.Nifti1Image(np.asarray(flipped.dataobj).astype(np.float64), flipped.affine)
        out.header["descrip"] = b"exported again"
        file.unlink()
        nib.save(out, file.with_name(file.name.removesuffix(".gz")))
    for file in again.rglob("*_mask.nii.gz"):
        image = nib.load(file)
        flipped = image.as_reoriented(np.array([[1, 1], [0, -1], [2, 1]]))
        nib.save(flipped, file)
    assert known(again) == before
    assert len(set(before)) == len(before)
    assert Digests(tmp_path / "cache", b"other").of_voxels(read_cohort(again).patients) != before


def digests_in(folder: Path) -> Digests:
    return Digests(folder, b"key")


def identities(cohort: Path, state: Path) -> tuple[Identity, ...]:
    return digests_in(state).identities(read_cohort(cohort).patients, private=True)


def change_one_voxel(cohort: Path) -> None:
    for file in cohort.glob("sub-*/anat/*.nii.gz"):
        image = nib.load(file)
        data = np.asarray(image.dataobj).copy()
        data[0, 0, 0] += 1
        save(file, data, image.affine)


def test_labels_that_a_description_no_longer_has_are_found_though_files_are_remembered(
    tiny_cohort: Path, tmp_path: Path
) -> None:
    def admitted(*others: int) -> tuple[Patient, ...]:
        labels = MaskLabels(vessels=frozenset({2}), others=frozenset(others))
        patients = [replace(p, labels=labels) for p in read_cohort(tiny_cohort).patients]
        return Digests(tmp_path, b"secret").admit(patients)

    for mask in (tiny_cohort / "derivatives" / "vessels").rglob("*.nii*"):
        image = nib.load(mask)
        data = np.asarray(image.dataobj) * 2
        data[0, 0, 0] = 1
        save(mask, data.astype(np.uint8), image.affine)
    assert admitted(1)
    with pytest.raises(DataError, match="holds the label 1"):
        admitted()


def test_one_changed_voxel_or_another_folder_makes_no_new_patient(
    tiny_cohort: Path, tmp_path: Path
) -> None:
    before = identities(tiny_cohort, tmp_path)
    assert len(set(joined(before).values())) == len(before)
    other = shutil.copytree(tiny_cohort, tmp_path / "another study")
    assert identities(other, tmp_path) == before
    change_one_voxel(other)
    after = identities(other, tmp_path)
    assert not {one.voxels for one in before} & {one.voxels for one in after}
    assert [one.participant for one in after] == [one.participant for one in before]
    assert len(set(joined([*before, *after]).values())) == len(before)


def test_an_id_is_one_in_every_layout_and_spelling_and_is_keyed(
    tiny_cohort: Path, tmp_path: Path
) -> None:
    first = read_cohort(tiny_cohort).patients[0]
    spelt = [replace(first, id=name) for name in ("sub-07A", "07a", " Sub-07a", "sub-07b")]
    found = [one.participant for one in digests_in(tmp_path).identities(spelt, private=True)]
    assert found[0] == found[1] == found[2] != found[3]
    other = Digests(tmp_path, b"other").identities(spelt, private=True)
    assert not {*found} & {one.participant for one in other}
    assert found[0] not in digests_in(tmp_path).of_voxels(spelt)


def test_phantoms_have_no_id_that_a_patient_could_share(tiny_cohort: Path, tmp_path: Path) -> None:
    patients = read_cohort(tiny_cohort).patients
    found = digests_in(tmp_path).identities(patients, private=False)
    assert found == digests_in(tmp_path).of_voxels(patients)


def test_two_patients_of_one_cohort_cannot_have_one_id(tiny_cohort: Path, tmp_path: Path) -> None:
    one, two, *_ = read_cohort(tiny_cohort).patients
    twins = [one, replace(two, id=one.id.upper())]
    with pytest.raises(DataError, match="each patient needs an id of his own"):
        digests_in(tmp_path).admit(twins)
    faults: list[DataError] = []
    assert digests_in(tmp_path).admit(twins, faults=faults) == (one,)
    assert len(faults) == 1


def test_a_file_exchanged_under_the_same_size_and_time_is_read_again(
    tiny_cohort: Path, tmp_path: Path
) -> None:
    for file in [*tiny_cohort.rglob("*_angio.nii.gz")]:
        nib.save(nib.load(file), file.with_name(file.name.removesuffix(".gz")))
        file.unlink()
    one, two, *_ = read_cohort(tiny_cohort).patients
    mine, other = digests_in(tmp_path).of_voxels([one, two])
    before = one.image.stat()
    one.image.write_bytes(two.image.read_bytes())
    os.utime(one.image, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = one.image.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert digests_in(tmp_path).of_voxels([one]) == (other,)
    assert mine != other


@pytest.mark.parametrize("text", ["", "no JSON", "7", "[]", '{"a": 1}', '{"IMAGE": [1, 2]}'])
def test_what_is_remembered_saves_time_and_decides_nothing(
    tiny_cohort: Path, tmp_path: Path, text: str
) -> None:
    patients = read_cohort(tiny_cohort).patients
    before = digests_in(tmp_path).of(patients, private=True)
    file = tmp_path / "digests.json"
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text(text.replace("IMAGE", str(patients[0].image.absolute())))
    assert digests_in(tmp_path).of(patients, private=True) == before
    assert file.stat().st_mode & 0o777 == 0o600


def gathered(cohort: Path, tmp_path: Path, **asked) -> Inputs:
    return gather(
        cohort,
        [],
        cache=tmp_path / "cache",
        state=tmp_path / "state",
        jobs=1,
        progress=lambda *told: None,
        **asked,
    )


@pytest.mark.parametrize(("bad", "left"), [("sub-02", 2), ("sub-06", 3)])
def test_n_of_patients_never_shrinks_without_a_word_of_what_that_costs(
    tiny_cohort: Path, tmp_path: Path, bad: str, left: int
) -> None:
    assert gathered(tiny_cohort, tmp_path, reading=Reading(skip_bad=True)).cost_of_skipping == ""
    (tiny_cohort / bad / "anat" / f"{bad}_angio.nii.gz").write_bytes(b"torn")
    with pytest.raises(DataError, match=bad):
        gathered(tiny_cohort, tmp_path)
    inputs = gathered(tiny_cohort, tmp_path, reading=Reading(skip_bad=True))
    assert len(inputs.train) == len(inputs.patients) == left
    assert len(inputs.skipped) == 1
    said = inputs.cost_of_skipping
    assert bool(said) == (left < 3), "a test patient is in no N"
    assert ("no ε covers that" in said) == (f"N = {left} " in said) == bool(said)


def test_an_unusable_file_has_no_digest(tiny_cohort: Path, tmp_path: Path) -> None:
    patients = read_cohort(tiny_cohort).patients
    patients[3].image.write_bytes(patients[3].image.read_bytes()[:500])
    with pytest.raises(DataError, match="sub-04"):
        digest(patients, tmp_path)


def test_kept_patches_are_the_extracted_ones_and_are_taken_once(
    tiny_cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patients = read_cohort(tiny_cohort).split("train")
    fresh = extract(patients, RECIPE, seed=3)
    heard: list[tuple[int, int]] = []
    for _ in range(2):
        kept = cached(
            patients,
            RECIPE,
            seed=3,
            cache=tmp_path / "cache",
            data="d",
            jobs=2,
            progress=lambda done, total: heard.append((done, total)),
        )
        for name in ("images", "masks", "patient"):
            assert np.array_equal(getattr(kept, name), getattr(fresh, name))
        monkeypatch.setattr(Patient, "read", lambda self: pytest.fail("read twice"))
    folder = next((tmp_path / "cache" / "patches").iterdir())
    assert folder.stat().st_mode & 0o077 == 0, "others cannot look at patients' patches"
    assert heard == [(1, 3), (2, 3), (3, 3)]


def test_patches_that_the_disk_cannot_hold_are_refused_before_anything_is_read(
    tiny_cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patients = read_cohort(tiny_cohort).split("train")
    free = shutil.disk_usage(tmp_path).free
    monkeypatch.setattr(Patient, "read", lambda self: pytest.fail("read"))
    many = replace(RECIPE, per_patient=free // (5 * 32 * 32 * len(patients)) + 10)
    with pytest.raises(DataError, match=r"need .* GiB and .* are free; ask for fewer"):
        cached(patients, many, seed=0, cache=tmp_path, data="d")
    assert not list((tmp_path / "patches").iterdir())


def test_a_bad_patient_leaves_no_half_written_patches(tiny_cohort: Path, tmp_path: Path) -> None:
    patients = read_cohort(tiny_cohort).split("train")
    patients[1].image.write_bytes(b"torn")
    with pytest.raises(DataError, match="sub-02"):
        cached(patients, RECIPE, seed=0, cache=tmp_path, data="d", jobs=2)
    assert not list((tmp_path / "patches").iterdir())


def test_who_has_no_patch_may_stay_and_moves_nobody_elses(
    tiny_cohort: Path, tmp_path: Path
) -> None:
    patients = read_cohort(tiny_cohort).split("train")
    whole = extract(patients, RECIPE, seed=0)
    patients[1].image.write_bytes(b"torn")
    for _ in ("cut", "kept"):
        faults: list[DataError] = []
        left = cached(patients, RECIPE, seed=0, cache=tmp_path, data="d", faults=faults)
        assert [str(fault).split()[0] for fault in faults] == ["sub-02"]
        assert (left.patients, left.patches_per_patient) == (3, RECIPE.per_patient)
        for name in ("images", "masks", "patient"):
            kept = getattr(whole, name)[whole.patient != 1]
            assert np.array_equal(getattr(left, name), kept)
    with pytest.raises(DataError, match="sub-02 has no patch"):
        cached(patients, RECIPE, seed=0, cache=tmp_path, data="d")


def test_a_cohort_without_any_patch_has_none_and_its_patients_count(
    tiny_cohort: Path, tmp_path: Path
) -> None:
    patients, faults = [*read_cohort(tiny_cohort).split("train"), None], []
    large = replace(RECIPE, size=64)
    found = cached(patients, large, seed=0, cache=tmp_path, data="d", faults=faults)
    assert (len(found), found.patients, found.size, len(faults)) == (0, 4, 64, 3)


def test_a_brain_too_even_to_be_scaled_is_refused(tmp_path: Path) -> None:
    """Its scaled values would be no numbers."""
    image = np.zeros((4, 4, 4), np.float32)
    image[2:] = 1e-40
    one = save(tmp_path / "i.nii", image)
    mask = save(tmp_path / "m.nii", np.ones((4, 4, 4), np.uint8))
    with pytest.raises(DataError, match="all of the brain has one intensity"):
        Patient(id="sub-01", image=one, vessels=mask, brain=mask).read()


def test_other_data_recipes_and_seeds_have_patches_of_their_own(
    tiny_cohort: Path, tmp_path: Path
) -> None:
    patients = read_cohort(tiny_cohort).split("train")
    for data, recipe, seed in (
        ("d", RECIPE, 0),
        ("e", RECIPE, 0),
        ("d", replace(RECIPE, per_patient=10), 0),
        ("d", RECIPE, 1),
    ):
        cached(patients, recipe, seed=seed, cache=tmp_path / "cache", data=data)
    assert len(list((tmp_path / "cache" / "patches").iterdir())) == 4


def test_damaged_kept_patches_are_taken_again(tiny_cohort: Path, tmp_path: Path) -> None:
    patients = read_cohort(tiny_cohort).split("train")
    one = cached(patients, RECIPE, seed=0, cache=tmp_path, data="d")
    images = np.array(one.images)
    file = next((tmp_path / "patches").iterdir()) / "images.npy"
    file.write_bytes(file.read_bytes()[:500])
    again = cached(patients, RECIPE, seed=0, cache=tmp_path, data="d")
    assert np.array_equal(again.images, images)


def traced_peak(
    patients: tuple[Patient, ...], recipe: Recipe, cache: Path, attempt: int = 0
) -> int:
    tracemalloc.start()
    cached(patients, recipe, seed=0, cache=cache, data=f"{len(patients)} {attempt}", jobs=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_stays_flat_however_many_patients_there_are(
    tiny_cohort: Path, tmp_path: Path
) -> None:
    one = read_cohort(tiny_cohort).split("train")[0]
    few, many = (tuple(replace(one, id=str(i)) for i in range(n)) for n in (10, 60))
    recipe = replace(RECIPE, per_patient=200)
    traced_peak(few, recipe, tmp_path, attempt=-1)  # what is imported on the way is not counted
    peak = traced_peak(many, recipe, tmp_path)
    # Whether two patients were ever in memory at once is up to the threads: few get three chances.
    assert peak < 1.5 * max(traced_peak(few, recipe, tmp_path, attempt) for attempt in range(3))
    patches = len(many) * recipe.per_patient * 5 * recipe.size**2
    assert peak < patches / 4, "or else this shows nothing"
