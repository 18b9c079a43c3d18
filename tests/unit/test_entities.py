"""BIDS names, and which mask belongs to which image; names alone, no voxel."""

import re
from pathlib import Path, PurePath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.core.errors import DataError, UsageError
from benchmark.data.layouts import list_patients
from benchmark.data.layouts.entities import matches, order, parse, requested
from benchmark.data.layouts.listing import Listing, volumes
from benchmark.data.layouts.vocabulary import Kind, kind_of_label, kind_of_mask

ANGIO = "sub-01/anat/sub-01_angio.nii.gz"


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def mask(name: str, pipeline: str = "manual") -> str:
    folder = "/".join(re.findall(r"sub-[^_]+|ses-[^_]+", name))
    return f"derivatives/{pipeline}/{folder}/anat/{name}.nii.gz"


def taken(root: Path, acquisition: str | None = None) -> list[tuple[str, str, str | None]]:
    listing = list_patients(root, "bids", acquisition=acquisition)
    assert not listing.faults, listing.faults
    return [
        (p.image.name, p.vessels.name, p.brain.name if p.brain else None) for p in listing.patients
    ]


def fault(root: Path, acquisition: str | None = None) -> str:
    listing: Listing = list_patients(root, "bids", acquisition=acquisition)
    assert len(listing.faults) == 1, listing.faults
    return str(listing.faults[0])


BIDS_EXAMPLES = {
    "sub-01/ses-mri/anat/sub-01_ses-mri_acq-mprage_T1w.nii.gz": (
        {"sub": "01", "ses": "mri", "acq": "mprage"},
        "T1w",
    ),
    "sub-01/anat/sub-01_inv-1_part-mag_MP2RAGE.nii": (
        {"sub": "01", "inv": "1", "part": "mag"},
        "MP2RAGE",
    ),
    "sub-control01/func/sub-control01_task-nback_run-1_bold.nii.gz": (
        {"sub": "control01", "task": "nback", "run": "1"},
        "bold",
    ),
    "derivatives/func_loc/sub-001/func/sub-001_task-rest_run-1_space-MNI305_desc-PFC_mask.nii.gz": (
        {"sub": "001", "task": "rest", "run": "1", "space": "MNI305", "desc": "PFC"},
        "mask",
    ),
    "derivatives/pipeline/sub-01/anat/sub-01_space-T1w_label-GM_probseg.nii.gz": (
        {"sub": "01", "space": "T1w", "label": "GM"},
        "probseg",
    ),
    "sub-01/anat/sub-01_acq-a+b_angio.NII.GZ": ({"sub": "01", "acq": "a+b"}, "angio"),
    "sub-01/ses-1/anat/sub-01_angio.nii": ({"sub": "01", "ses": "1"}, "angio"),
    "derivatives/sub-study/sub-02/anat/sub-02_mask.nii": ({"sub": "02"}, "mask"),
    "derivatives/sub-02/anat/sub-02_mask.nii": ({"sub": "02"}, "mask"),
}


@pytest.mark.parametrize("path", BIDS_EXAMPLES)
def test_names_of_the_bids_examples_are_their_entities_and_suffix(path: str) -> None:
    entities, suffix = BIDS_EXAMPLES[path]
    found = parse(PurePath(path))
    assert (dict(found.entities), found.suffix) == (entities, suffix)
    assert path.endswith(found.extension)


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("sub-01/anat/sub-02_angio.nii.gz", "the folder says sub-01 and the name sub-02"),
        ("sub-01/ses-1/anat/sub-01_ses-10_angio.nii", "the folder says ses-1 and the name ses-10"),
        ("sub-01/anat/sub-01_acq-a-b_angio.nii", "'acq-a-b' is no BIDS entity"),
        ("sub-01/anat/sub-01_run-1_run-2_angio.nii", "the entity 'run' is there twice"),
    ],
)
def test_a_name_that_is_no_bids_name_is_a_fault_that_says_where(path: str, sentence: str) -> None:
    with pytest.raises(DataError, match=re.escape(sentence)) as raised:
        parse(PurePath(path))
    assert path in str(raised.value)


def test_acquisitions_are_sorted_by_session_run_and_acquisition_with_numbers_as_numbers() -> None:
    names = ["ses-10", "ses-2_run-10", "ses-2_run-9_acq-z", "ses-2_acq-a", "acq-b"]
    made = [parse(PurePath(f"sub-01_{name}_angio.nii")) for name in names]
    ordered = [name.acquisition for name in sorted(made, key=order)]
    assert ordered == [
        "acq-b_angio",
        "ses-2_acq-a_angio",
        "ses-2_run-9_acq-z_angio",
        "ses-2_run-10_angio",
        "ses-10_angio",
    ]


def test_runs_are_numbers_and_sessions_are_not() -> None:
    name = parse(PurePath("sub-01_ses-1_run-01_angio.nii"))
    assert matches(name, requested("run-1"))
    assert matches(name, requested("ses-1_angio"))
    assert matches(name, requested(None))
    assert not matches(name, requested("ses-01"))
    assert not matches(name, requested("acq-tof"))
    with pytest.raises(UsageError, match="Expected an acquisition like ses-2_run-1, got 'ses-2-1'"):
        requested("ses-2-1")


NOT_PAIRED = {
    "another session": ("sub-01_ses-10_desc-vessel_mask", "ses-10 and the image ses-1"),
    "another run": ("sub-01_ses-1_run-2_desc-vessel_mask", "run-2 and the image run-1"),
    "another acquisition": (
        "sub-01_ses-1_acq-pc_run-1_desc-vessel_mask",
        "acq-pc, which the image has not",
    ),
    "another reconstruction": (
        "sub-01_ses-1_run-1_rec-b_desc-vessel_mask",
        "rec-b, which the image has not",
    ),
    "another grid": (
        "sub-01_ses-1_run-1_space-MNI152NLin2009cAsym_desc-vessel_mask",
        "space-MNI152NLin2009cAsym is not the image's grid",
    ),
    "half a head": ("sub-01_ses-1_run-1_hemi-L_desc-vessel_mask", "one half of the head"),
    "another image": ("sub-01_ses-1_run-1_T1w_desc-vessel_mask", "it is made of a T1w image"),
    "a lesion": ("sub-01_ses-1_run-1_desc-Lesion_1_mask", "shows something else"),
    "grey matter": ("sub-01_ses-1_run-1_label-GM_mask", "shows something else"),
    "another tissue": ("sub-01_ses-1_run-1_desc-aparcaseg_dseg", "shows something else"),
}


@pytest.mark.parametrize("why", NOT_PAIRED)
def test_a_mask_of_something_else_is_not_paired_and_the_fault_says_why(
    why: str, tmp_path: Path
) -> None:
    name, reason = NOT_PAIRED[why]
    image = "sub-01/ses-1/anat/sub-01_ses-1_run-1_angio.nii.gz"
    said = fault(touch(tmp_path, image, mask(name)))
    assert said.startswith("sub-01: there is no vessel mask of sub-01_ses-1_run-1_angio.nii.gz")
    assert name in said
    assert reason in said


@pytest.mark.parametrize(
    "place",
    ["derivatives/ses-2/sub-01", "derivatives/m/ses-2/sub-01", "derivatives/m/run-2/sub-01"],
)
def test_a_mask_in_the_folder_of_another_acquisition_is_not_paired(
    place: str, tmp_path: Path
) -> None:
    image = "sub-01/ses-1/anat/sub-01_ses-1_run-1_angio.nii.gz"
    said = fault(touch(tmp_path, image, f"{place}/sub-01_desc-vessel_mask.nii.gz"))
    assert said.startswith("sub-01: there is no vessel mask")
    assert "-2 and the image" in said


@pytest.mark.parametrize("word", ["vesselwall", "veins", "T1_seg", "sinus"])
def test_what_is_no_artery_by_its_name_is_no_vessel_mask(word: str) -> None:
    assert kind_of_mask("", [word]) is Kind.OTHER
    assert kind_of_mask("", ["synthstrip"]) is Kind.BRAIN


def test_what_lies_beside_images_and_is_not_read_is_noted(tmp_path: Path) -> None:
    image = "sub-01/anat/sub-01_angio.nii.gz"
    touch(tmp_path, image, mask("sub-01_desc-vessel_mask"), "sub-01/anat/sub-01_brain_mask.nii.gz")
    touch(tmp_path, "Sub-02/anat/Sub-02_angio.nii.gz", "sub-03/anat/sub-03_angiography.nii.gz")
    notes = " ".join(list_patients(tmp_path).notes)
    assert "2 folders of people hold no angiography that is read (first: Sub-02)" in notes
    assert "1 masks lie beside images and not under derivatives" in notes


PAIRED = (
    "sub-01_ses-1_run-1_desc-vessel_mask",
    "sub-01_ses-1_run-01_label-vessels_dseg",
    "sub-01_ses-1_run-1_space-orig_desc-manualVessels_seg",
    "sub-01_ses-1_run-1_angio_desc-artery_mask",
    "sub-01_run-1_desc-brainVessels_mask",
    "sub-01_desc-vessel_mask",
    "sub-01_res-high_desc-vessel_MASK",
    "sub-01_ses-1_run-1_space-T1w_desc-vessel_mask",
    "sub-01_ses-1_mask",
)


@pytest.mark.parametrize("name", PAIRED)
def test_a_mask_whose_entities_all_agree_is_paired_wherever_it_lies(
    name: str, tmp_path: Path
) -> None:
    image = "sub-01/ses-1/anat/sub-01_ses-1_run-1_angio.NII.GZ"
    touch(tmp_path, image, f"derivatives/a/sub-brain/sub-01/deep/er/{name}.Nii")
    assert taken(tmp_path) == [(Path(image).name, f"{name}.Nii", None)]


def test_brain_sub_and_ses_in_ids_folders_and_the_root_mean_nothing(tmp_path: Path) -> None:
    root = touch(
        tmp_path / "ses-2024" / "sub-study" / "brain",
        "sub-brain01/anat/sub-brain01_angio.nii.gz",
        mask("sub-brain01_desc-vessel_mask", "brain_ses-3"),
        mask("sub-brain01_desc-brain_mask", "vessels"),
    )
    assert taken(root) == [
        (
            "sub-brain01_angio.nii.gz",
            "sub-brain01_desc-vessel_mask.nii.gz",
            "sub-brain01_desc-brain_mask.nii.gz",
        )
    ]


def test_the_first_labelled_acquisition_is_taken_and_that_is_noted(tmp_path: Path) -> None:
    images = [f"sub-01/ses-{s}/anat/sub-01_ses-{s}_angio.nii.gz" for s in (1, 2, 10)]
    touch(tmp_path, *images, *(mask(f"sub-01_ses-{s}_desc-vessel_mask") for s in (10, 2)))
    assert [image for image, *_ in taken(tmp_path)] == ["sub-01_ses-2_angio.nii.gz"]
    assert "sub-01 has 3 angiographies" in list_patients(tmp_path).notes[0]
    assert [image for image, *_ in taken(tmp_path, "ses-10")] == ["sub-01_ses-10_angio.nii.gz"]
    assert "no vessel mask of sub-01_ses-1_angio.nii.gz" in fault(tmp_path, "ses-1")
    said = fault(tmp_path, "ses-3")
    assert "no angiography matches the acquisition 'ses-3'" in said
    assert "ses-1_angio, ses-2_angio, ses-10_angio" in said


def test_a_mask_that_could_be_of_two_images_is_a_fault_that_names_both(tmp_path: Path) -> None:
    images = [f"sub-01/anat/sub-01_run-{run}_angio.nii.gz" for run in (1, 2)]
    said = fault(touch(tmp_path, *images, mask("sub-01_desc-vessel_mask")))
    assert "could belong to sub-01_run-1_angio.nii.gz or to sub-01_run-2_angio.nii.gz" in said


def test_one_image_in_two_extensions_is_a_fault(tmp_path: Path) -> None:
    touch(tmp_path, ANGIO, ANGIO.removesuffix(".gz"), mask("sub-01_desc-vessel_mask"))
    assert "could belong to sub-01_angio.nii or to sub-01_angio.nii.gz" in fault(tmp_path)


def test_two_masks_of_a_kind_are_a_fault_and_a_named_one_comes_before_an_unnamed(
    tmp_path: Path,
) -> None:
    touch(tmp_path, ANGIO, mask("sub-01_desc-vessel_mask"), mask("sub-01_desc-rater2_mask"))
    assert taken(tmp_path)[0][1] == "sub-01_desc-vessel_mask.nii.gz"
    touch(tmp_path, mask("sub-01_label-artery_dseg", "other"))
    assert "there is more than one mask of a kind" in fault(tmp_path)


def test_an_unnamed_mask_and_one_that_is_not_used_are_noted(tmp_path: Path) -> None:
    strange = mask("sub-01_space-MNI152_desc-brain_mask")
    notes = list_patients(touch(tmp_path, ANGIO, mask("sub-01_mask"), strange)).notes
    assert any(
        "1 masks do not say what they show and are taken for vessels" in note for note in notes
    )
    assert any(
        "desc-brain_mask.nii.gz: space-MNI152 is not the image's grid" in note for note in notes
    )


@pytest.mark.parametrize(
    "image", ["sub-01_TOF", "sub-01_acq-tof_angio", "sub-01_acq-TOF_run-1_MRA"]
)
def test_time_of_flight_is_read_under_its_usual_names(image: str, tmp_path: Path) -> None:
    touch(tmp_path, f"sub-01/anat/{image}.nii.gz", mask("sub-01_desc-vessel_mask"))
    assert taken(tmp_path) == [(f"{image}.nii.gz", "sub-01_desc-vessel_mask.nii.gz", None)]


def test_a_choice_of_acquisition_is_refused_where_a_layout_has_none(tmp_path: Path) -> None:
    touch(tmp_path, "a_img.nii", "a_label.nii")
    with pytest.raises(UsageError, match="'pegasus' has one acquisition for each patient"):
        list_patients(tmp_path, acquisition="ses-1")


VALUES = {
    "ses": ["1", "2", "10", "brain"],
    "run": ["1", "01", "2", "10"],
    "acq": ["tof", "pc"],
    "rec": ["a", "b"],
    "space": ["orig", "MNI152"],
}
PAIRS = st.fixed_dictionaries(
    {}, optional={key: st.sampled_from(VALUES[key]) for key in ("ses", "run", "acq", "rec")}
)
MASKS = st.tuples(PAIRS, st.sampled_from(["", *VALUES["space"]]), st.sampled_from(["vessel", ""]))


def spelt(entities: dict[str, str]) -> str:
    return "_".join(["sub-01", *(f"{key}-{value}" for key, value in entities.items())])


def told(path: Path) -> dict[str, str | int]:
    found = dict(re.findall(r"([a-z]+)-([A-Za-z0-9]+)", path.name))
    return {key: int(value) if key == "run" else value for key, value in found.items()}


def contradicts(label: dict[str, str | int], image: dict[str, str | int]) -> bool:
    return any(image.get(key) != value for key, value in label.items())


@settings(max_examples=150, deadline=None)
@given(
    images=st.lists(PAIRS, min_size=1, max_size=4),
    masks=st.lists(MASKS, min_size=1, max_size=4),
)
def test_whatever_is_paired_agrees_in_all_entities_and_could_be_of_no_other(
    images: list[dict[str, str]],
    masks: list[tuple[dict[str, str], str, str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    root = tmp_path_factory.mktemp("cohort")
    for entities in images:
        touch(root, f"sub-01/anat/{spelt(entities)}_angio.nii")
    for entities, space, desc in masks:
        kind = {**({"space": space} if space else {}), **({"desc": desc} if desc else {})}
        touch(root, f"derivatives/x/sub-01/anat/{spelt({**entities, **kind})}_mask.nii")
    for patient in list_patients(root).patients:
        label, image = told(patient.vessels), told(patient.image)
        assert label.pop("space", "orig") == "orig"
        label.pop("desc", None)
        assert not contradicts(label, image)
        others = [told(f) for f in volumes(root, "sub-01/anat/*") if f != patient.image]
        assert label == image or all(contradicts(label, other) for other in others)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((n, Kind.VESSEL) for n in ("vessel", "Vessels", "R-Pcom", "3rd-A2", "L-ACA", "LMCA")),
        *((n, Kind.VESSEL) for n in ("Right MCA", "Circle of Willis", "basilar artery", "BA")),
        *((n, Kind.VESSEL) for n in ("brain vessels", "aneurysm", "M1 left", "vessel_1")),
        *((n, Kind.OTHER) for n in ("brain", "Skull", "brain tissue", "white matter", "CSF")),
        *((n, Kind.IGNORED) for n in ("ignore", "Ignore")),
        *((n, Kind.UNNAMED) for n in ("vein", "vessel wall", "non-vessel", "left", "x1", "stent")),
    ],
)
def test_the_words_of_a_label_say_what_it_is(name: str, kind: Kind) -> None:
    assert kind_of_label(name) is kind


def test_words_count_whole_and_never_as_parts_of_others() -> None:
    assert kind_of_mask("", ["brainstorm"]) is Kind.UNNAMED
    assert kind_of_mask("", ["vesselness"]) is Kind.OTHER
    assert kind_of_mask("", ["brainVessels"]) is Kind.VESSEL
    assert kind_of_mask("brain", ["vessel"]) is Kind.VESSEL
    assert kind_of_mask("thalamus", []) is Kind.OTHER
