"""One cohort, laid out as each public set ships it, through the real command."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import command
import pytest

RUN = ["run", "--generator", "real", "--no-bookends", "--segmenter", "frangi", "--noise", "seeded"]
RUN += ["--set", "protocol.patches_per_patient=40", "--set", "protocol.samples=64"]
RUN += ["--set", "protocol.fid_n=16", "--tracking-uri", "none", "--out", "runs"]


def copied(to: Path, number: int, source: Path, image: str, label: str) -> None:
    """Patient ``number`` of a BIDS cohort under other names."""
    name = f"sub-{number:02d}"
    for file, called in (
        (source / name / "anat" / f"{name}_angio.nii.gz", image),
        (source / f"derivatives/vessels/{name}/anat/{name}_desc-vessel_mask.nii.gz", label),
    ):
        (to / called).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, to / called)


NAMES: dict[str, Callable[[int], tuple[str, str, str]]] = {
    "bids": lambda i: (
        f"sub-{i:02d}",
        f"sub-{i:02d}/anat/sub-{i:02d}_angio.nii.gz",
        f"derivatives/manual/sub-{i:02d}/anat/sub-{i:02d}_mask.nii.gz",
    ),
    "bids with sessions": lambda i: (
        f"sub-{i:02d}",
        f"sub-{i:02d}/ses-1/anat/sub-{i:02d}_ses-1_angio.nii.gz",
        f"derivatives/seg/sub-{i:02d}/ses-1/anat/sub-{i:02d}_ses-1_label-artery_dseg.nii.gz",
    ),
    "TopCoW": lambda i: (
        f"topcow_mr_{i:03d}",
        f"imagesTr/topcow_mr_{i:03d}_0000.nii.gz",
        f"labelsTr/topcow_mr_{i:03d}.nii.gz",
    ),
    "IXI": lambda i: (
        f"IXI{i:03d}",
        f"IXI-MRA/IXI{i:03d}-Guys-07{i:02d}-MRA.nii.gz",
        f"labels/IXI{i:03d}-Guys-07{i:02d}.nii.gz",
    ),
    "PEGASUS": lambda i: (f"PEG{i}", f"PEG{i}_img.nii.gz", f"PEG{i}_label.nii.gz"),
}


def bench(*arguments: str, cwd: Path) -> str:
    done = command.bench(*arguments, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def laid_out(module_cohort: Path) -> Path:
    """The cohort in each layout, with the same splits, side by side."""
    home = module_cohort.parent
    splits = dict(enumerate(("train", "train", "train", "val", "test", "test"), 1))
    for kind, name in NAMES.items():
        lines = ["participant_id\tsplit"]
        for number, split in splits.items():
            identity, image, label = name(number)
            copied(home / kind, number, module_cohort, image, label)
            lines.append(f"{identity}\t{split}")
        (home / kind / "participants.tsv").write_text("\n".join(lines) + "\n")
    return home


def test_the_same_volumes_in_another_layout_are_the_same_data(laid_out: Path) -> None:
    first, *others = NAMES
    assert "1 cells, 0 of them done before" in bench(*RUN, "--data", first, cwd=laid_out)
    for kind in others:
        assert "1 cells, 1 of them done before" in bench(*RUN, "--data", kind, cwd=laid_out), kind
    assert len(list(laid_out.glob("runs/real/*/result.json"))) == 1


@pytest.mark.parametrize("kind", NAMES)
def test_each_layout_is_inspected(kind: str, laid_out: Path) -> None:
    said = bench("data", "inspect", kind, cwd=laid_out)
    assert "6 patients can be used, 0 faults" in said
    assert "48x52x6" in said
    assert (laid_out / "cohort.png").stat().st_size > 1000


def test_at_another_pixels_size_it_is_another_cell_scored_on_the_same_voxels(
    laid_out: Path,
) -> None:
    asked = ["--data", "bids", "--set", "protocol.spacing_mm=0.9", "--segmenter", "threshold"]
    bench(*RUN[:-1], "coarse", *asked, cwd=laid_out)
    (file,) = laid_out.glob("coarse/real/*/result.json")
    result = json.loads(file.read_text())
    assert result["spec"]["protocol"]["spacing_mm"] == 0.9
    assert result["test_sets"][0]["dice"]["mean"] > 0.2
    assert all(row["hd95_mm"] is not None for row in result["test_sets"][0]["patients"])
