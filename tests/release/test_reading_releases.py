"""A release's folder is read like a cohort, whose volumes stand for patients."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import command
import numpy as np
import pytest
from release_folders import drawn, write_release

from benchmark.core.errors import DataError
from benchmark.core.patches import Patches
from benchmark.core.protocol import Recipe
from benchmark.data.digest import Digests
from benchmark.data.inspection import inspect
from benchmark.data.layouts import list_patients, read_cohort
from benchmark.data.layouts.stacks import VOLUMES_ARE
from benchmark.data.patching import extract

RUN = ["run", "--generator", "dp-simulator", "--epsilon", "5", "--no-bookends"]
RUN += [*command.FEW_PATCHES, "--segmenter", "frangi", "--noise", "seeded", "--out", "runs"]
DESCRIPTIONS = ("dataset.json", "dataset_description.json")


def edited(folder: Path, name: str, **changes: object) -> None:
    """A description with other values; those that are ``None`` are left out."""
    said = {**json.loads((folder / name).read_text()), **changes}
    kept = {key: value for key, value in said.items() if value is not None}
    (folder / name).write_text(json.dumps(kept))


@pytest.fixture(scope="module")
def released() -> Patches:
    return drawn(100)


@pytest.fixture
def folder(released: Patches, tmp_path: Path) -> Path:
    write_release(tmp_path / "release", released)
    return tmp_path / "release"


def test_no_layout_need_be_named_and_both_read_the_same_voxels(folder: Path) -> None:
    named = [list_patients(folder, layout) for layout in (None, "nnunet", "bids")]
    ids = [[patient.id for patient in listing.patients] for listing in named]
    assert ids[0] == ids[1] == [f"synthetic-000{i}" for i in range(1, 6)]
    assert ids[2] == [f"sub-000{i}" for i in range(1, 6)]
    assert not any(listing.faults for listing in named)
    assert all("stacks of patches" in note for listing in named for note in listing.notes)
    for one, other in zip(named[1].patients, named[2].patients, strict=True):
        first, second = one.read(), other.read()
        for mine, theirs in zip(first, second, strict=True):
            assert np.array_equal(mine, theirs)


def test_two_layouts_are_still_a_choice_where_bids_is_not_told_to_pass_one_over(
    folder: Path,
) -> None:
    (folder / ".bidsignore").write_text("previews\n")
    with pytest.raises(DataError, match="could be bids or nnunet"):
        list_patients(folder)
    for line in ("imagesTr/\n", "/imagesTr\n"):
        (folder / ".bidsignore").write_text(line)
        assert list_patients(folder).patients[0].id == "synthetic-0001"


@pytest.mark.parametrize("layout", ["nnunet", "bids"])
def test_all_of_a_stack_is_brain_and_nothing_stops_a_run(layout: str, folder: Path) -> None:
    report = inspect(folder, layout=layout)
    assert not report.every_fault
    assert all(map(said_of_stacks, report.notes))
    assert all(found.patient.read().brain.all() for found in report.findings)


@pytest.mark.parametrize("layout", ["nnunet", "bids"])
def test_without_the_key_the_same_volumes_are_heads_and_are_doubted(
    layout: str, folder: Path
) -> None:
    for name in DESCRIPTIONS:
        edited(folder, name, volumes_are=None)
    said = " ".join(inspect(folder, layout=layout).notes)
    assert "--accept brain-fills-box" in said
    assert "there is no brain mask" in said


@pytest.mark.parametrize(("layout", "name"), [*zip(("nnunet", "bids"), DESCRIPTIONS, strict=True)])
def test_a_key_that_says_something_unknown_is_a_fault(layout: str, name: str, folder: Path) -> None:
    edited(folder, name, **{VOLUMES_ARE: "stacks of pancakes"})
    listing = list_patients(folder, layout)
    (fault,) = listing.fatal
    assert name in str(fault)
    assert "the one known value is 'stacks of patches'" in str(fault)


def test_vessels_may_fill_a_patch_but_not_a_brain(tmp_path: Path) -> None:
    patches = drawn(20)
    masks = patches.masks.copy()
    masks[:, :, 8:24, 8:24] = 1
    write_release(tmp_path, Patches(images=patches.images, masks=masks))
    assert all(map(said_of_stacks, inspect(tmp_path).notes))
    edited(tmp_path, "dataset.json", volumes_are=None)
    assert "--accept vessels-fill-brain" in " ".join(inspect(tmp_path).notes)


def test_stacks_that_look_alike_are_no_person_twice(tmp_path: Path) -> None:
    patches = drawn(20)
    changed = patches.images.copy()
    changed[0, 0, 0, 0] = -changed[0, 0, 0, 0]
    both = Patches(
        images=np.concatenate([patches.images, changed]), masks=np.tile(patches.masks, (2, 1, 1, 1))
    )
    write_release(tmp_path, both)
    assert all(map(said_of_stacks, inspect(tmp_path).notes))
    edited(tmp_path, "dataset.json", volumes_are=None)
    assert "look like one person" in " ".join(inspect(tmp_path).notes)


def test_a_brain_mask_of_a_stack_counts(folder: Path) -> None:
    (patient, *_) = list_patients(folder).patients
    masked = replace(patient, brain=patient.vessels).read()
    assert np.array_equal(masked.brain, masked.vessels)


def test_the_digest_and_what_is_remembered_change_with_the_key(
    folder: Path, tmp_path: Path
) -> None:
    digests = Digests(tmp_path / "state", b"secret")
    stack = list_patients(folder).patients[0]
    head = replace(stack, is_stack=False)
    masked = replace(stack, brain=stack.vessels)
    each = [stack, head, masked, replace(masked, is_stack=False)]
    assert len({digests.of([patient], private=True)[0] for patient in each}) == len(each)
    kinds = [{note.kind for note in digests.notes(patient)} for patient in each]
    assert kinds[0] == set()
    assert "brain-fills-box" in kinds[1]
    again = Digests(tmp_path / "state", b"secret")
    assert [{note.kind for note in again.notes(patient)} for patient in each] == kinds


@pytest.mark.parametrize("per_patient", [20, 1000])
def test_the_patches_that_are_cut_are_the_released_ones(
    per_patient: int, folder: Path, released: Patches
) -> None:
    cohort = read_cohort(folder)
    recipe = Recipe(size=32, per_patient=per_patient, spacing_mm=0.8)
    cut = extract(sorted(cohort.patients, key=lambda p: p.id), recipe, seed=0)
    assert len(cut) == len(released)
    alike = correlations(cut.images, released.images)
    found = alike.argmax(axis=1)
    assert sorted(found) == list(range(len(released))), "each comes back once"
    assert np.array_equal(found // 20, cut.patient), "in its own volume"
    assert np.array_equal(cut.masks, released.masks[found])
    assert alike.max(axis=1).min() > 0.98  # but for the percentiles at which a volume is clipped
    assert np.median(alike.max(axis=1)) > 0.9999


def said_of_stacks(note: str) -> bool:
    return "its volumes are stacks of patches, so all of each counts as brain" in note


def correlations(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Of each of the one with each of the other."""
    flat = [images.reshape(len(images), -1).astype(np.float64) for images in (one, other)]
    normed = [rows - rows.mean(axis=1, keepdims=True) for rows in flat]
    first, second = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in normed)
    return first @ second.T


def test_a_derivative_has_its_masks_beside_the_images_and_a_raw_set_has_not(folder: Path) -> None:
    edited(folder, "dataset_description.json", DatasetType="raw")
    listing = list_patients(folder, "bids")
    assert not listing.patients
    assert "there is no vessel mask" in str(listing.faults[0])
    assert "masks lie beside images" in listing.notes[0]


def test_a_release_is_inspected_and_fitted_on_as_it_is(folder: Path, tmp_path: Path) -> None:
    inspected = command.bench("data", "inspect", str(folder), cwd=tmp_path)
    assert inspected.returncode == 0, inspected.stdout + inspected.stderr
    assert "5 patients can be used, 0 faults" in inspected.stdout
    notes = [line for line in inspected.stdout.splitlines() if line.startswith("Note")]
    assert len(notes) == 1
    assert said_of_stacks(notes[0])
    done = command.bench(*RUN, "--data", str(folder), *command.UNTRACKED, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (result,) = command.results(tmp_path)
    assert result["status"] == "done"
    assert result["guarantee"]["patients"] == 3
    assert result["test_sets"][0]["dice"]["mean"] > 0
    with (tmp_path / "runs" / "summary.csv").open() as lines:
        assert [row["generator"] for row in csv.DictReader(lines)] == ["dp-simulator"]
