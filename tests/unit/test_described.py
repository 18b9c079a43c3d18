"""nnU-Net's ``dataset.json``, IXI's and plain names: what is read, and what is refused with why."""

import json
from pathlib import Path

import pytest

from benchmark.core.errors import DataError
from benchmark.data.labels import MaskLabels
from benchmark.data.layouts import list_patients, read_cohort
from benchmark.data.layouts.description import read_description

TOPCOW = {
    **{"background": 0, "BA": 1, "R-PCA": 2, "L-PCA": 3, "R-ICA": 4, "R-MCA": 5, "L-ICA": 6},
    **{"L-MCA": 7, "R-Pcom": 8, "L-Pcom": 9, "Acom": 10, "R-ACA": 11, "L-ACA": 12, "3rd-A2": 15},
}


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def nnunet(root: Path, said: object = None, cases: tuple[str, ...] = ("c0", "c1")) -> Path:
    for case in cases:
        touch(root, f"imagesTr/{case}_0000.nii.gz", f"labelsTr/{case}.nii.gz")
    if said is not None:
        (root / "dataset.json").write_text(json.dumps(said))
    return root


def labelled(vessels: set[int], ignored: set[int] | None = None) -> MaskLabels:
    return MaskLabels(frozenset(vessels), frozenset(ignored or ()))


LABELS = {
    "ignore": ({"background": 0, "vessel": 1, "ignore": 2}, labelled({1}, {2})),
    "form 1": ({"0": "background", "1": "vessel"}, labelled({1})),
    "form 1 with a brain": ({"0": "background", "1": "brain", "2": "Vessels"}, labelled({2})),
    "one name of two values": ({"0": "background", "1": "vessel", "2": "vessel"}, labelled({1, 2})),
    "TopCoW": (TOPCOW, labelled({*range(1, 13), 15})),
    "tissue": ({"background": 0, "brain": 1, "skull": 2, "artery": 3}, labelled({3})),
    "regions": (
        {"background": 0, "brain": [1, 2, 3], "vessels": [2, 3], "aneurysm": 3, "ignore": 4},
        labelled({2, 3}, {4}),
    ),
    "a lone foreground": ({"background": 0, "foreground": 1}, labelled({1})),
    "a lone class": ({"background": 0, "class_1": 1}, labelled({1})),
    "a lone number": ({"0": 0, "1": 1}, labelled({1})),
    "values as text": ({"background": "0", "vessel": "1"}, labelled({1})),
    "nothing said": ({}, MaskLabels()),
}


@pytest.mark.parametrize("form", LABELS)
def test_labels_that_mean_vessels_are_vessel_and_ignored_ones_are_neither(
    form: str, tmp_path: Path
) -> None:
    said, expected = LABELS[form]
    cohort = read_cohort(nnunet(tmp_path, {"labels": said}, ("c0", "c1", "c2", "c3")))
    assert [patient.labels for patient in cohort.patients] == [expected] * 4


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ({"background": 0, "vessel": 1, "vein": 2}, "the label 'vein' (2) is known neither"),
        ({"background": 0, "vessel wall": 1}, "'vessel wall' (1) is known neither"),
        ({"background": 0, "label_1": 1, "label_2": 2}, "'label_1' (1) is known neither"),
        ({"background": 0, "foreground": 1, "vessel": 2}, "'foreground' (1) is known neither"),
        ({"background": 0, "brain": 1}, "none of the labels 'brain' means vessels"),
        ({"background": 0, "aneurysm": 1}, "none of the labels 'aneurysm' means vessels"),
        ({"vessel": 0, "background": 1}, "'vessel' has the value 0"),
        ({"background": 0, "vessel": [1, 2], "ignore": 2}, "2 is both vessel and ignored"),
        ({"background": 0, "vessel": 1.5}, "the label 'vessel' has the value 1.5"),
        ({"background": 0, "vessel": "one"}, "no nnU-Net description"),
        ({"background": 1, "vessel": 1}, "'background' and 'vessel' have one value, 1"),
        (["background", "vessel"], "no nnU-Net description"),
    ],
)
def test_a_label_that_cannot_be_mapped_concerns_everybody_and_says_what_to_write(
    labels: object, sentence: str, tmp_path: Path
) -> None:
    root = nnunet(tmp_path, {"labels": labels})
    assert [fault for fault in list_patients(root).faults if sentence in str(fault)]
    with pytest.raises(DataError, match=r"dataset\.json"):
        read_cohort(root, faults=[])


def test_a_slip_in_the_key_of_the_labels_is_named(tmp_path: Path) -> None:
    root = nnunet(tmp_path, {"label": {"background": 0, "vessel": 1}})
    assert "it has 'label' where 'labels' is expected" in str(list_patients(root).faults[0])


def test_a_bom_in_the_description_is_taken(tmp_path: Path) -> None:
    nnunet(tmp_path)
    said = '\ufeff{"labels": {"background": 0, "vessel": 7}}'
    (tmp_path / "dataset.json").write_text(said, encoding="utf-8")
    assert read_description(tmp_path).labels == labelled({7})


@pytest.mark.parametrize("place", ["/data/Task001_X/", "C:\\data\\Task001_X\\", "./", "/nowhere/"])
def test_a_list_of_another_machine_is_followed_by_the_files_names(
    place: str, tmp_path: Path
) -> None:
    training = [
        {"image": f"{place}imagesTr/{case}.nii.gz", "label": f"{place}labelsTr/{case}.nii.gz"}
        for case in ("c0", "c1")
    ]
    listing = list_patients(nnunet(tmp_path, {"training": training}, ("c0", "c1", "c2")))
    assert not listing.faults
    assert [p.image.name for p in listing.patients] == ["c0_0000.nii.gz", "c1_0000.nii.gz"]
    assert any("1 labels are not in the list of dataset.json" in note for note in listing.notes)
    (tmp_path / "labelsTr/c1.nii.gz").unlink()
    faults = list_patients(tmp_path).faults
    assert [str(fault).startswith(str(tmp_path / "labelsTr/c1.nii.gz")) for fault in faults] == [
        True
    ]


def test_a_data_set_one_level_down_is_read_with_its_table_and_several_are_refused(
    tmp_path: Path,
) -> None:
    home = nnunet(tmp_path / "Dataset001_Tof", {"labels": {"background": 0, "vessel": 3}})
    (home / "participants.tsv").write_text("participant_id\tsplit\nc0\ttrain\nc1\ttest\n")
    cohort = read_cohort(tmp_path)
    assert [(p.id, p.split) for p in cohort.patients] == [("c0", "train"), ("c1", "test")]
    assert cohort.patients[0].labels == labelled({3})
    nnunet(tmp_path / "Dataset002_Other")
    with pytest.raises(
        DataError, match=r"2 data sets .Dataset001_Tof, Dataset002_Other.; name one"
    ):
        list_patients(tmp_path)
    assert len(list_patients(home).patients) == 2


def test_a_case_in_both_training_and_test_is_refused(tmp_path: Path) -> None:
    touch(nnunet(tmp_path), "imagesTs/c0_0000.nii.gz", "labelsTs/c0.nii.gz")
    listing = list_patients(tmp_path)
    assert [p.id for p in listing.patients] == ["c1"]
    assert "c0: " in str(listing.faults[0])
    assert "have one id" in str(listing.faults[0])


def test_ct_is_a_whole_word_of_a_case(tmp_path: Path) -> None:
    nnunet(tmp_path, cases=("mr_fact_1", "mr_ct", "ct_2", "direct_mr_3"))
    assert [p.id for p in list_patients(tmp_path).patients] == ["direct_mr_3", "mr_fact_1"]


def test_cases_without_a_channel_other_names_of_labels_and_brain_masks_are_read(
    tmp_path: Path,
) -> None:
    for case in ("a", "b"):
        touch(tmp_path, f"imagesTr/{case}.nii.gz", f"cow_seg_labelsTr/{case}.nii.gz")
    touch(tmp_path, "brainsTr/b.nii.gz", "cow_roi_labelsTr/a.nii.gz")
    listing = list_patients(tmp_path)
    assert [(p.id, p.vessels.parent.name, p.brain is not None) for p in listing.patients] == [
        ("a", "cow_seg_labelsTr", False),
        ("b", "cow_seg_labelsTr", True),
    ]
    assert not listing.faults


def test_a_name_with_another_channel_is_no_case_of_its_own(tmp_path: Path) -> None:
    touch(tmp_path, "imagesTr/a_0001.nii.gz", "labelsTr/a.nii.gz")
    assert "this label has no image" in str(list_patients(tmp_path).faults[0])


def test_a_whole_head_and_its_crop_are_one_patient(tmp_path: Path) -> None:
    nnunet(tmp_path, cases=("top_mr_roi_1", "top_mr_whole_1", "top_mr_whole_2"))
    listing = list_patients(tmp_path)
    assert [p.id for p in listing.patients] == ["top_mr_whole_2"]
    assert "top_mr_roi_1 and top_mr_whole_1 are volumes of one patient" in str(listing.faults[0])


def test_a_list_of_cases_does_not_lose_brains_nor_let_ct_or_a_crop_in(tmp_path: Path) -> None:
    cases = ("x_mr_1", "x_ct_1", "x_mr_whole_2", "x_mr_roi_2")
    listed = [
        {"image": f"./imagesTr/{case}.nii.gz", "label": f"./labelsTr/{case}.nii.gz"}
        for case in cases
    ]
    touch(nnunet(tmp_path, {"training": listed}, cases), "brainsTr/x_mr_1_0000.nii.gz")
    touch(tmp_path, "brainsTr/x_mr_9.nii.gz")
    listing = list_patients(tmp_path)
    assert [(p.id, p.brain is not None) for p in listing.patients] == [("x_mr_1", True)]
    assert "x_mr_roi_2 and x_mr_whole_2 are volumes of one patient" in str(listing.faults[0])
    notes = " ".join(listing.notes)
    assert "1 CT scans are left out" in notes
    assert "1 brain masks have the name of no case and are not used" in notes


def test_a_whole_head_to_fit_on_and_its_crop_to_test_on_are_one_patient(tmp_path: Path) -> None:
    nnunet(tmp_path, cases=("mr_whole_1", "mr_2"))
    touch(tmp_path, "imagesTs/mr_roi_1_0000.nii.gz", "labelsTs/mr_roi_1.nii.gz")
    listing = list_patients(tmp_path)
    assert [p.id for p in listing.patients] == ["mr_2"]
    assert "mr_roi_1 are volumes of one patient" in str(listing.faults[0])


def test_cases_of_the_same_words_or_of_numbers_like_channels_are_cases(tmp_path: Path) -> None:
    cases = ("s_1_2", "s_2_1", "s_1", "roi", "whole", "case_0000", "case_0001")
    for case in cases:
        touch(tmp_path, f"imagesTr/{case}.nii.gz", f"labelsTr/{case}.nii.gz")
    listing = list_patients(tmp_path)
    assert sorted(p.id for p in listing.patients) == sorted(cases)
    assert not listing.faults


def test_hidden_folders_are_not_read(tmp_path: Path) -> None:
    touch(tmp_path, "a_img.nii", "a_label.nii", ".trash/b_img.nii", ".trash/b_label.nii")
    assert [p.id for p in list_patients(tmp_path).patients] == ["a"]


def test_brain_masks_of_nobody_are_noted_and_a_plain_brain_is_read(tmp_path: Path) -> None:
    touch(tmp_path / "p", "a_img.nii", "a_label.nii", "a_brain.nii", "other/a_mask.nii")
    listing = list_patients(tmp_path / "p")
    assert listing.patients[0].brain is not None
    assert "1 brain masks have no image beside them" in listing.notes[0]
    touch(tmp_path / "i", f"{IXI}-MRA.nii", f"{IXI}-vessels.nii", "IXI002-Guys-0900-brain.nii")
    assert "1 brain masks belong to no angiography" in list_patients(tmp_path / "i").notes[0]


IXI = "IXI002-Guys-0828"


def test_an_ixi_label_without_its_visit_is_that_of_the_patients_only_one(tmp_path: Path) -> None:
    touch(tmp_path, f"a/{IXI}-MRA.nii.gz", "b/IXI002-vessels.nii.gz", "b/IXI003.nii.gz")
    touch(tmp_path, "a/IXI004-HH-1-MRA.nii.gz", "a/IXI004-HH-2-MRA.nii.gz", "b/IXI004_seg.nii.gz")
    listing = list_patients(tmp_path)
    assert [(p.id, p.vessels.name, p.site) for p in listing.patients] == [
        ("IXI002", "IXI002-vessels.nii.gz", "Guys")
    ]
    said = " ".join(map(str, listing.faults))
    assert "IXI003.nii.gz: this label has no angiography" in said
    assert "IXI004_seg.nii.gz: this label has no angiography" in said


@pytest.mark.parametrize(
    "label", ["-vessels", "-MRA-label", "-MRA_seg", "-mask", "_vesselMask", "-MRA-vessel-seg"]
)
def test_ixis_other_sequences_and_words_in_folders_are_no_labels(
    label: str, tmp_path: Path
) -> None:
    other = [f"{IXI}-{kind}.nii.gz" for kind in ("T1", "T2", "PD", "T1-brain-mask")]
    touch(tmp_path, f"brain/{IXI}-MRA.nii.gz", *other, f"brain_labels/{IXI}{label}.nii.gz")
    touch(tmp_path, f"x/{IXI}-MRA-brain_mask.nii.gz", "x/IXI002-Guys-0829-vessels-of-t2.nii.gz")
    listing = list_patients(tmp_path)
    assert [(p.image.name, p.vessels.name, p.site) for p in listing.patients] == [
        (f"{IXI}-MRA.nii.gz", f"{IXI}{label}.nii.gz", "Guys")
    ]
    assert [p.brain.name for p in listing.patients if p.brain] == [f"{IXI}-MRA-brain_mask.nii.gz"]
    assert not listing.faults
    assert "volumes of T1, T2 or PD are left out" in listing.notes[0]


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        (["a/@-MRA", "b/@-vessels", "c/@-label"], "found b/@-vessels.nii.gz, c/@-label.nii.gz"),
        (["a/@-MRA", "b/@-T1"], "found none"),
        (["a/@-MRA", "b/@", "c/@"], "found b/@.nii.gz, c/@.nii.gz"),
        (["a/@-MRA", "labels/@-MRA"], "a/@-MRA.nii.gz, labels/@-MRA.nii.gz have one name"),
        (["a/@-MRA", "a/@-seg", "b/IXI002-Guys-0900-seg"], "this label has no angiography"),
    ],
)
def test_an_ixi_visit_with_no_label_or_several_is_a_fault_that_names_them(
    files: list[str], sentence: str, tmp_path: Path
) -> None:
    touch(
        tmp_path, *(f"{file.replace('@-', IXI + '-', 1)}.nii.gz" for file in files if "@-" in file)
    )
    touch(tmp_path, *(f"{file}.nii.gz".replace("@", IXI) for file in files))
    faults = list_patients(tmp_path, "ixi").faults
    assert len(faults) == 1
    assert sentence.replace("@", IXI) in str(faults[0]).replace(str(tmp_path) + "/", "")


def test_an_ixi_file_without_words_is_the_label_where_there_is_no_other_and_noted(
    tmp_path: Path,
) -> None:
    touch(tmp_path, f"a/{IXI}-MRA.nii.gz", f"b/{IXI}.nii.gz", f"c/{IXI}-brain.nii.gz")
    listing = list_patients(tmp_path)
    assert [(p.vessels.name, p.brain is not None) for p in listing.patients] == [
        (f"{IXI}.nii.gz", True)
    ]
    assert "1 labels do not say what they show" in listing.notes[0]
    touch(tmp_path, f"b/{IXI}-seg.nii.gz")
    assert list_patients(tmp_path).patients[0].vessels.name == f"{IXI}-seg.nii.gz"


def test_plain_time_of_flight_names_are_read_and_two_images_of_one_case_refused(
    tmp_path: Path,
) -> None:
    touch(
        tmp_path, "p1_TOF.nii.gz", "p1_seg.nii.gz", "p1_mask.NII.GZ", "p2_tof.nii", "p2_label.NII"
    )
    listing = list_patients(tmp_path)
    assert [(p.id, p.brain is not None) for p in listing.patients] == [("p1", True), ("p2", False)]
    touch(tmp_path, "p1_img.nii.gz", "p2_seg.nii")
    assert [str(fault) for fault in list_patients(tmp_path).faults] == [
        "p1: p1_TOF.nii.gz, p1_img.nii.gz are of one kind; keep one.",
        "p2: p2_label.NII, p2_seg.nii are of one kind; keep one.",
    ]
