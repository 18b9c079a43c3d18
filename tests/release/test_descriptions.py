"""A release opens with the tools that it names, and none of its files hides what it is."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from monai.data import load_decathlon_datalist
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged
from release_folders import NOT_PRIVATE, drawn, statement_of, write_release
from statements import guarantee

from benchmark.core.errors import UsageError
from benchmark.release.contents.descriptions import write_descriptions
from benchmark.release.contents.licences import LICENCES, find_licence
from benchmark.release.contents.volumes import WHITE
from benchmark.release.wording import contents, promise

KEYS = ("image", "label")
WRITTEN = ("dataset.json", "dataset_description.json", "desc-synthetic_angio.json")
WRITTEN += ("desc-vessels_mask.json", ".bidsignore", "README.md", "LICENCE.txt", "croissant.json")
BIDS_NAME = re.compile(
    r"sub-(\d+)/anat/sub-\1_(desc-[a-zA-Z0-9]+_)(angio|mask)\.nii\.gz|desc-[a-z]+_(angio|mask)\.json"
    r"|dataset_description\.json|README\.md|\.bidsignore"
)
"""Of a derivative, by the specification 1.10, `derivatives/imaging-data`."""


def test_every_file_says_so_where_nothing_is_promised(tmp_path: Path) -> None:
    write_release(tmp_path / "open", drawn(3), **NOT_PRIVATE)
    write_release(tmp_path / "private", drawn(3))
    for name in WRITTEN:
        assert "NOT PRIVATE" in (tmp_path / "open" / name).read_text(), name
        said = (tmp_path / "private" / name).read_text()
        assert "NOT PRIVATE" not in said, name
        assert "SYNTHETIC eps=2 delta=1e-05 unit=patient" in said, name
    for name in ("dataset.json", "dataset_description.json", "README.md", "croissant.json"):
        assert "The noise was seeded." in (tmp_path / "open" / name).read_text(), name


def test_every_description_says_that_slices_are_independent(tmp_path: Path) -> None:
    said = write_release(tmp_path, drawn(3))
    assert "independent" in contents(said.samples)
    for name in {*WRITTEN} - {".bidsignore", "LICENCE.txt"}:
        assert "stack of independent patches" in (tmp_path / name).read_text(), name


def test_the_promise_names_the_unit_and_never_less_than_was_spent() -> None:
    held = guarantee(unit="patch", epsilon=1.99991, epsilon_patch=1.99991, epsilon_patient=801.23)
    said = promise(statement_of(drawn(3), guarantee=held))
    assert "one patch of the fit" in said
    assert "ε = 2 and δ = 1e-05" in said
    assert "For all patches of one patient together, ε = 801.3." in said
    assert "read no patient's data" in promise(
        statement_of(drawn(3), guarantee=guarantee(epsilon=0.0))
    )
    assert "patients of the fit are simulated" in promise(statement_of(drawn(3), phantoms=True))


def test_monai_loads_every_pair_by_the_list_of_the_description(tmp_path: Path) -> None:
    patches = drawn(50)
    write_release(tmp_path, patches)
    pairs = load_decathlon_datalist(
        tmp_path / "dataset.json", data_list_key="training", base_dir=str(tmp_path)
    )
    load = Compose([LoadImaged(KEYS), EnsureChannelFirstd(KEYS)])
    loaded = [load(pair) for pair in pairs]
    assert [one["image"].shape for one in loaded] == [(1, 32, 32, k) for k in (20, 20, 10)]
    images = np.concatenate([np.moveaxis(np.asarray(one["image"]), 3, 0) for one in loaded])
    masks = np.concatenate([np.moveaxis(np.asarray(one["label"]), 3, 0) for one in loaded])
    assert np.abs(images / WHITE * 2 - 1 - patches.images).max() <= 1 / WHITE
    assert np.array_equal(masks, patches.masks)


def test_nnunets_rules_for_a_training_set_hold(tmp_path: Path) -> None:
    write_release(tmp_path, drawn(50))
    said = json.loads((tmp_path / "dataset.json").read_text())
    images = {file.name for file in (tmp_path / "imagesTr").iterdir()}
    cases = {
        file.name.removesuffix(said["file_ending"]) for file in (tmp_path / "labelsTr").iterdir()
    }
    assert said["numTraining"] == len(cases) == 3
    assert images == {f"{case}_000{c}.nii.gz" for case in cases for c in said["channel_names"]}
    assert said["labels"] == {"background": 0, "vessel": 1}
    assert "dataset" not in said, "nnU-Net would take its names for whole ones"


def test_bids_knows_every_file_or_is_told_to_pass_it_over(tmp_path: Path) -> None:
    write_release(tmp_path, drawn(50))
    passed = (tmp_path / ".bidsignore").read_text().splitlines()
    for file in (file for file in tmp_path.rglob("*") if file.is_file()):
        name = file.relative_to(tmp_path).as_posix()
        assert name.split("/")[0] in passed or BIDS_NAME.fullmatch(name), name
    said = json.loads((tmp_path / "dataset_description.json").read_text())
    assert said["DatasetType"] == "derivative"
    assert {"Name", "BIDSVersion", "GeneratedBy", "License"} <= said.keys()


@pytest.mark.parametrize("n", [3, 130], ids=["one volume", "many"])
def test_the_code_of_the_readme_runs(
    n: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patches = drawn(n)
    write_release(tmp_path, patches)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", Path("README.md").read_text(), re.DOTALL)
    names: dict = {}
    for block in blocks:
        exec(block, names)  # noqa: S102
    assert len(blocks) == 2
    volume = np.moveaxis(np.asarray(names["volume"]["image"]), 3, 0)
    assert np.abs(volume - patches.images[: len(volume)]).max() < 1.01 / WHITE
    assert np.abs(names["patch"] - patches.images[0, 0]).max() <= 1.01 / WHITE
    assert np.array_equal(names["its_mask"], patches.masks[0, 0] > 0)


def test_an_unknown_licence_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'CC-BY-5\.0'.*Did you mean 'CC-BY-4\.0'.*ODbL-1\.0"):
        write_descriptions(tmp_path, statement_of(drawn(3), licence="CC-BY-5.0"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("licence", LICENCES, ids=lambda one: one.identifier)
def test_every_licence_is_named_with_its_text(licence, tmp_path: Path) -> None:
    write_descriptions(tmp_path, statement_of(drawn(3), licence=licence.identifier))
    said = (tmp_path / "LICENCE.txt").read_text()
    assert f"SPDX-License-Identifier: {licence.identifier}\n" in said
    assert find_licence(licence.identifier).url in said
    assert licence.url.startswith("https://")
    assert json.loads((tmp_path / "dataset.json").read_text())["licence"] == licence.identifier
