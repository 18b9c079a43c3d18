"""Cohorts as the public sets ship them, and everything that can be wrong with one."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from benchmark.core.errors import DataError, UsageError
from benchmark.data.inspection import inspect, save_picture
from benchmark.data.layouts import list_patients, names, read_cohort

SHAPE = (12, 14, 5)
AFFINE = np.diag([0.5, 0.5, 0.8, 1.0])


def write(path: Path, data: np.ndarray, affine: np.ndarray = AFFINE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(data, affine), path)


def image(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(20, 400, SHAPE).astype(np.int16)


def labels(seed: int = 0, classes: int = 1) -> np.ndarray:
    made = np.zeros(SHAPE, np.uint8)
    made[4:7, 3:9, 1:4] = np.random.default_rng(seed).integers(1, classes + 1, (3, 6, 3))
    return made


def bids(root: Path) -> None:
    for i in range(3):
        name = f"sub-0{i}"
        write(root / name / "anat" / f"{name}_angio.nii.gz", image(i))
        write(root / f"derivatives/manual/{name}/anat/{name}_desc-vessel_mask.nii.gz", labels())
    (root / "participants.tsv").write_text(
        "participant_id\tsite\tsplit\nsub-00\ta\ttrain\nsub-01\tb\tval\nsub-02\ta\ttest\n"
    )


def bids_with_sessions(root: Path) -> None:
    for i in range(3):
        for session in ("ses-1", "ses-2")[: 1 + i % 2]:
            name = f"sub-0{i}_{session}"
            write(root / f"sub-0{i}/{session}/anat/{name}_angio.nii", image(10 * i))
            folder = root / f"derivatives/seg/sub-0{i}/{session}/anat"
            write(folder / f"{name}_label-artery_dseg.nii.gz", labels())
            write(folder / f"{name}_desc-brain_mask.nii.gz", np.ones(SHAPE, np.uint8))


def topcow(root: Path) -> None:
    for kind in ("mr", "ct"):
        for i in range(3):
            write(root / f"imagesTr/topcow_{kind}_00{i}_0000.nii.gz", image(i))
            write(root / f"labelsTr/topcow_{kind}_00{i}.nii.gz", labels(i, classes=15))


def nnunet_with_test_set(root: Path) -> None:
    for part, cases in (("Tr", range(2)), ("Ts", range(2, 4))):
        for i in cases:
            write(root / f"images{part}/case{i}_0000.nii.gz", image(i))
            write(root / f"labels{part}/case{i}.nii.gz", labels())


def ixi(root: Path) -> None:
    for i, site in enumerate(("Guys", "HH", "IOP")):
        name = f"IXI00{i}-{site}-070{i}"
        write(root / f"IXI-MRA/{name}-MRA.nii.gz", image(i))
        write(root / f"labels/{name}-vessels.nii.gz", labels())


def pegasus(root: Path) -> None:
    for i in range(3):
        write(root / f"PEG{i}_img.nii.gz", image(i))
        write(root / f"PEG{i}_label.nii.gz", labels())
        write(root / f"PEG{i}_mask.nii.gz", np.ones(SHAPE, np.uint8))


WRITERS = {
    "bids": bids,
    "bids with sessions": bids_with_sessions,
    "topcow": topcow,
    "nnunet with a test set": nnunet_with_test_set,
    "ixi": ixi,
    "pegasus": pegasus,
}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_layout_is_found_out_by_looking_and_every_patient_can_be_read(
    kind: str, tmp_path: Path
) -> None:
    WRITERS[kind](tmp_path)
    cohort = read_cohort(tmp_path)
    assert len(cohort.patients) == (4 if "test set" in kind else 3)
    for patient in cohort.patients:
        volume = patient.read()
        assert volume.image.shape == SHAPE
        assert np.array_equal(volume.vessels & volume.brain, volume.vessels)
        assert volume.vessels.any()
        assert patient.split in ("train", "val", "test")


def test_sites_and_splits_come_from_the_table_and_from_ixis_names(tmp_path: Path) -> None:
    bids(tmp_path / "b")
    assert [(p.site, p.split) for p in read_cohort(tmp_path / "b").patients] == [
        ("a", "train"),
        ("b", "val"),
        ("a", "test"),
    ]
    ixi(tmp_path / "i")
    assert [p.site for p in read_cohort(tmp_path / "i").patients] == ["Guys", "HH", "IOP"]


def test_of_several_sessions_the_first_counts_and_that_is_noted(tmp_path: Path) -> None:
    bids_with_sessions(tmp_path)
    listing = list_patients(tmp_path)
    assert [p.image.name for p in listing.patients if p.id == "sub-01"] == [
        "sub-01_ses-1_angio.nii"
    ]
    assert any("sub-01 has 2 angiographies" in note for note in listing.notes)
    assert all(p.brain is not None for p in listing.patients)


def test_ct_beside_mr_is_left_out_and_the_labelled_test_set_is_for_testing(tmp_path: Path) -> None:
    topcow(tmp_path / "t")
    listing = list_patients(tmp_path / "t")
    assert all("_mr_" in patient.id for patient in listing.patients)
    assert any("3 CT scans are left out" in note for note in listing.notes)
    nnunet_with_test_set(tmp_path / "n")
    assert [p.split for p in read_cohort(tmp_path / "n").patients] == [
        *["train"] * 2,
        *["test"] * 2,
    ]


DESCRIPTIONS = {
    "nnU-Net 2": {"channel_names": {"0": "MRA"}, "numTraining": 2, "file_ending": ".nii.gz"},
    "nnU-Net 2 with files": {
        "dataset": {
            f"case{i}": {
                "images": [f"imagesTr/case{i}_0000.nii.gz"],
                "label": f"labelsTr/case{i}.nii.gz",
            }
            for i in range(2)
        }
    },
    "nnU-Net 1": {
        "modality": {"0": "MRI"},
        "training": [
            {"image": f"./imagesTr/case{i}.nii.gz", "label": f"./labelsTr/case{i}.nii.gz"}
            for i in range(2)
        ],
    },
}


@pytest.mark.parametrize("form", DESCRIPTIONS)
def test_a_description_in_any_of_nnunets_forms_leads_to_the_same_patients(
    form: str, tmp_path: Path
) -> None:
    nnunet_with_test_set(tmp_path)
    bare = list_patients(tmp_path)
    (tmp_path / "dataset.json").write_text(json.dumps(DESCRIPTIONS[form]))
    described = list_patients(tmp_path)
    assert described.patients == bare.patients
    assert not described.faults


def test_the_channel_called_angiography_is_the_one_that_is_read(tmp_path: Path) -> None:
    nnunet_with_test_set(tmp_path)
    for case in ("Tr/case0", "Tr/case1", "Ts/case2", "Ts/case3"):
        shutil.copy(tmp_path / f"images{case}_0000.nii.gz", tmp_path / f"images{case}_0001.nii.gz")
    (tmp_path / "dataset.json").write_text('{"channel_names": {"0": "T1", "1": "TOF-MRA"}}')
    assert all("_0001.nii" in p.image.name for p in list_patients(tmp_path).patients)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("{torn", "this is no nnU-Net description"),
        ('{"training": [{"image": 3}]}', "this is no nnU-Net description"),
        ("[]", "this is no nnU-Net description"),
        ('{"file_ending": ".mha"}', "file_ending is '.mha'; volumes must be NIfTI"),
        (
            '{"training": [{"image": "imagesTr/none.nii.gz", "label": "labelsTr/none.nii.gz"}]}',
            "dataset.json lists this file and it is not there",
        ),
        (
            '{"dataset": {"x": {"images": ["../out.nii.gz"], "label": "labelsTr/case0.nii.gz"}}}',
            "this leads out of the cohort",
        ),
    ],
)
def test_a_description_that_cannot_be_followed_is_named(
    said: str, sentence: str, tmp_path: Path
) -> None:
    root = tmp_path / "cohort"
    nnunet_with_test_set(root)
    write(tmp_path / "out.nii.gz", image(9))
    (root / "dataset.json").write_text(said)
    assert [fault for fault in list_patients(root).faults if sentence in str(fault)]
    with pytest.raises(DataError, match=r"dataset\.json|out of the cohort"):
        read_cohort(root)


def test_a_layout_can_be_named_and_an_unknown_one_is_answered(tmp_path: Path) -> None:
    pegasus(tmp_path)
    assert len(read_cohort(tmp_path, layout="pegasus").patients) == 3
    assert names() == ["bids", "ixi", "nnunet", "pegasus"]
    with pytest.raises(UsageError, match="Did you mean 'bids'"):
        read_cohort(tmp_path, layout="bid")
    with pytest.raises(DataError, match="finds no patient"):
        read_cohort(tmp_path, layout="ixi")


def test_two_layouts_in_one_folder_ask_for_a_choice(tmp_path: Path) -> None:
    pegasus(tmp_path)
    bids(tmp_path)
    with pytest.raises(DataError, match="could be bids or pegasus; name one with --layout"):
        read_cohort(tmp_path)


ANGIO = "sub-01/anat/sub-01_angio.nii.gz"
MASK = "derivatives/manual/sub-01/anat/sub-01_desc-vessel_mask.nii.gz"


def truncated(root: Path) -> None:
    content = (root / ANGIO).read_bytes()
    (root / ANGIO).write_bytes(content[: len(content) // 2])


def promising(root: Path) -> None:
    plain = (root / ANGIO).with_suffix("")
    header = nib.Nifti1Image(np.zeros((2, 2, 2), np.int16), AFFINE).header
    header["dim"][1:4] = 30000
    plain.write_bytes(header.binaryblock + bytes(100))
    (root / ANGIO).unlink()


def with_nan(root: Path) -> None:
    bad = image(1).astype(np.float32)
    bad[0, 0, 0] = np.nan
    write(root / ANGIO, bad)


def outside(root: Path) -> None:
    elsewhere = root.parent / "elsewhere.nii.gz"
    shutil.move(root / ANGIO, elsewhere)
    (root / ANGIO).symlink_to(Path("../../../elsewhere.nii.gz"))


def in_two_splits(root: Path) -> None:
    table = root / "participants.tsv"
    table.write_text(table.read_text() + "sub-01\tb\ttrain\n")


def moved_mask(root: Path) -> None:
    away = AFFINE.copy()
    away[0, 3] = 3.0
    write(root / MASK, labels(), away)


def extra_mask(root: Path) -> None:
    write(root / MASK.replace("sub-01", "sub-09"), labels())


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "another shape": (
        lambda root: write(root / MASK, labels()[:, :, :4]),
        "the mask is 12x14x4 and the image 12x14x5",
    ),
    "another affine": (moved_mask, "the mask lies 3.0 mm beside the image"),
    "four dimensions": (
        lambda root: write(root / ANGIO, np.zeros((*SHAPE, 2), np.int16)),
        "expected a 3-D volume, got the shape 12x14x5x2",
    ),
    "NaN": (with_nan, "1 voxels are NaN or infinite"),
    "a constant image": (
        lambda root: write(root / ANGIO, np.full(SHAPE, 7, np.int16)),
        "the image is constant (7)",
    ),
    "an empty mask": (
        lambda root: write(root / MASK, np.zeros(SHAPE, np.uint8)),
        "the mask marks no vessel",
    ),
    "an image as a mask": (
        lambda root: write(root / MASK, image(5).astype(np.float32) + 0.5),
        "this is an image",
    ),
    "a mask without image": (extra_mask, "this mask has no angiography"),
    "an image without mask": (lambda root: (root / MASK).unlink(), "sub-01: there is no"),
    "two splits": (in_two_splits, "sub-01 is in the splits 'val' and 'train'"),
    "the same volume twice": (
        lambda root: write(root / ANGIO, image(0)),
        "this is the volume of sub-00 again",
    ),
    "a truncated gzip": (truncated, "the file cannot be read whole"),
    "a promising header": (promising, "the header promises 30000x30000x30000 voxels"),
    "a link out": (outside, "this leads out of the cohort"),
    "an unreadable table": (
        lambda root: (root / "participants.tsv").write_bytes(b"\xff\xfe\x00bad"),
        "participants.tsv: the table cannot be read",
    ),
    "complex voxels": (
        lambda root: write(root / ANGIO, image(1).astype(np.complex64)),
        "voxels of type complex64 are no intensities",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_alone_and_the_others_can_still_be_used(
    fault: str, tmp_path: Path
) -> None:
    root = tmp_path / "cohort"
    bids(root)
    damage, sentence = FAULTS[fault]
    damage(root)
    report = inspect(root, jobs=2)
    assert len(report.every_fault) == 1, report.every_fault
    assert sentence in str(report.every_fault[0])
    unharmed = {f.patient.id for f in report.findings if f.vessel_fraction is not None}
    assert {"sub-00", "sub-02"} <= unharmed


def test_ds003949s_images_that_are_called_masks_are_named(tmp_path: Path) -> None:
    bids(tmp_path)
    (tmp_path / MASK).unlink()
    for called in ("desc-brain_mask", "N4bfc_mask"):
        shutil.copy(tmp_path / ANGIO, tmp_path / MASK.replace("desc-vessel_mask", called))
    faults = inspect(tmp_path).every_fault
    assert len(faults) == 2
    assert all("this is an image (values from" in str(fault) for fault in faults)


def test_all_faults_are_said_at_once(tmp_path: Path) -> None:
    bids(tmp_path)
    with_nan(tmp_path)
    write(tmp_path / MASK, labels()[:, :, :4])
    extra_mask(tmp_path)
    text = "\n".join(str(fault) for fault in inspect(tmp_path).every_fault)
    assert "NaN" in text
    assert "no angiography" in text


def test_a_finding_says_what_the_files_hold(tmp_path: Path) -> None:
    flipped = np.diag([-0.5, 0.5, 0.8, 1.0])
    bids(tmp_path)
    write(tmp_path / ANGIO, image(1), flipped)
    write(tmp_path / MASK, labels(), flipped)
    found = inspect(tmp_path).findings[1]
    assert found.orientation == "LAS"
    assert found.shape == SHAPE
    assert found.spacing_mm == pytest.approx((0.5, 0.5, 0.8))
    assert (found.low, found.high) == (image(1).min(), image(1).max())
    assert found.vessel_fraction == pytest.approx(54 / np.prod(SHAPE), abs=0.01)


def test_a_brain_mask_in_the_vessels_place_is_doubted_and_not_refused(tmp_path: Path) -> None:
    bids(tmp_path)
    write(tmp_path / MASK, np.ones(SHAPE, np.uint8))
    report = inspect(tmp_path)
    assert not report.every_fault
    assert any("more than 5 % of the brain are vessels" in note for note in report.notes)


def test_the_picture_marks_the_vessels(tmp_path: Path) -> None:
    bids(tmp_path)
    save_picture(inspect(tmp_path).findings, tmp_path / "cohort.png")
    with Image.open(tmp_path / "cohort.png") as picture:
        shown = np.asarray(picture).astype(int)
    assert (shown[..., 0] - shown[..., 2]).max() > 50
