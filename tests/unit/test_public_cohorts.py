"""The page on public cohorts quotes what `bench data inspect` says of the trees that it shows."""

import json
import re
import shutil
import subprocess
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from click.testing import CliRunner

from benchmark.cli.data import data
from benchmark.data.layouts import list_patients

PAGE = Path(__file__).parents[2] / "docs" / "public-cohorts.md"
SHAPE = (72, 64, 10)
AFFINE = np.diag([0.47, 0.47, 0.8, 1.0])
SETS = (
    "TopCoW 2024",
    "TopCoW 2023",
    "IXI",
    "COSTA",
    "SMILE-UHURA",
    "OpenNeuro ds003949",
)
IMAGES_CALLED_MASKS = re.compile(r"N4bfc|desc-brain_mask")
LABELS = re.compile(r"label|vessel_dataset|_mask|derivatives/vessels")
EVENT = re.compile(
    r"^```(?P<kind>tree|text|bash)\n(?P<body>.*?)^```"
    r"|`bench data inspect (?P<folder>[^`]+)`",
    re.MULTILINE | re.DOTALL,
)


def section(name: str) -> str:
    text = PAGE.read_text(encoding="utf-8")
    return re.split(r"^## ", text.split(f"## {name}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def paths(tree: str) -> list[Path]:
    above: list[str] = []
    found = []
    for line in tree.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        above = [*above[:depth], line.strip()]
        if not line.endswith("/"):
            found.append(Path(*above))
    return found


def write(path: Path) -> None:
    """An image with a head of its own for each name, or vessels in it."""
    rng = np.random.default_rng(zlib.crc32(str(path).encode()))
    x, y, _ = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    vessels = np.zeros(SHAPE, np.int16)
    vessels[30:33, 28:31] = 1
    blocks = rng.uniform(0.3, 1.0, (9, 8, 2))
    head = (x**2 + y**2 < 0.7) * np.kron(blocks, np.ones((8, 8, 5))) * 200
    is_label = LABELS.search(str(path)) and not IMAGES_CALLED_MASKS.search(path.name)
    made = vessels if is_label else (head + 300 * vessels).astype(np.int16)
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(made, AFFINE), path)


def build(name: str) -> None:
    for path in paths(next(EVENT.finditer(section(name)))["body"]):
        write(path)


def run(commands: str) -> None:
    subprocess.run(["bash", "-euc", commands], check=True)


def said(folder: str) -> list[str]:
    """The lines below the table, or the refusal."""
    done = CliRunner().invoke(data, ["inspect", folder], standalone_mode=False)
    if done.exception:
        return [f"bench: {done.exception}"]
    is_line = re.compile(r"Note: |Fault: |\d+ patients? can be used")
    return [line for line in done.output.splitlines() if is_line.match(line)]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", SETS)
def test_inspect_says_what_the_page_quotes_before_and_after_its_commands(name: str) -> None:
    folder, quotes = "", 0
    for event in EVENT.finditer(section(name)):
        folder = event["folder"] or folder
        if event["kind"] == "tree":
            for path in paths(event["body"]):
                write(path)
        elif event["kind"] == "bash":
            run(event["body"])
        elif event["kind"] == "text":
            assert said(folder) == event["body"].splitlines()
            quotes += 1
    assert quotes


def test_the_page_tells_of_every_set_here_and_of_no_other() -> None:
    headings = re.findall(r"^## (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert tuple(headings) == SETS


def test_costa_after_its_own_conversion_is_read_from_the_raw_channel() -> None:
    build("COSTA")
    root = Path("Task099_COSTA")
    for image in root.glob("images*/*.nii.gz"):
        bare = str(image).removesuffix(".nii.gz")
        shutil.copy(image, f"{bare}_0001.nii.gz")
        image.rename(f"{bare}_0000.nii.gz")
    training = [
        {"image": f"./imagesTr/{case}.nii.gz", "label": f"./labelsTr/{case}.nii.gz"}
        for case in ("case1", "case2")
    ]
    described = {
        "modality": {"0": "MRA", "1": "MRA"},
        "labels": {"0": "background", "1": "artery"},
        "training": training,
    }
    (root / "dataset.json").write_text(json.dumps(described))
    listing = list_patients(root)
    assert [(p.image.name, p.split) for p in listing.patients] == [
        ("case1_0000.nii.gz", "train"),
        ("case2_0000.nii.gz", "train"),
        ("case3_0000.nii.gz", "test"),
    ]
    assert not listing.faults


def test_ds003949_is_read_where_own_vessel_labels_are_put_beside_it() -> None:
    build("OpenNeuro ds003949")
    run("mv ds003949/derivatives ds003949/derivatives-shipped")
    own = "derivatives/vessels/sub-000/sub-000_ses-20110101_desc-vessel_mask.nii.gz"
    assert f"ds003949/{own}" in section("OpenNeuro ds003949")
    write(Path("ds003949") / own)
    assert said("ds003949")[-1] == "1 patient can be used, 1 fault; see cohort.png"


def test_brain_masks_of_ixi_are_taken_by_the_name_that_the_page_gives() -> None:
    for name in ("MRA", "vessels", "brain"):
        write(Path(f"ixi/IXI057-HH-1342-{name}.nii.gz"))
    assert "IXI057-HH-1342-brain.nii.gz" in section("IXI")
    (patient,) = list_patients(Path("ixi")).patients
    assert patient.brain is not None
    assert patient.brain.name == "IXI057-HH-1342-brain.nii.gz"
