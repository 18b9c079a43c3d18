"""The real command on patients: what they pay for, and under which names."""

import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from command import FEW_PATCHES, STEPS, UNTRACKED, bench, rows

from benchmark.results.bookends import FREE

FAST = [*FEW_PATCHES, *UNTRACKED, "--segmenter", "frangi"]
FIT = ["run", "--generator", "dp-wgan", "--epsilon", "5", "--unit", "patient", *STEPS, *FAST]
NOT_FITTED = (
    "`real` was not fitted: on private data it costs every patient ε = ∞, for good; add it to "
    "--generator to have it"
)


@pytest.fixture(autouse=True)
def _own_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache_with_plans: Callable[[Path], Path]
) -> None:
    monkeypatch.setenv("ANGIOBENCH_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("ANGIOBENCH_CACHE", str(cache_with_plans(tmp_path / "cache")))


def said(text: str) -> str:
    return " ".join(text.split())


def test_real_is_fitted_on_patients_only_if_it_is_named(tiny_cohort: Path, tmp_path: Path) -> None:
    done = bench(*FIT, "--data", "cohort", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    table = rows(tmp_path)
    assert [row["generator"] for row in table] == [*FREE, "dp-wgan"]
    assert {row["fraction_of_real"] for row in table} == {""}
    assert NOT_FITTED in said(done.stdout)
    paid = bench("ledger", "show", cwd=tmp_path).stdout
    assert "3 patients have paid ε = 5.0" in paid or "3 patients have paid ε = 4.9" in paid
    for more in (["--no-bookends"], ["--generator", "real,dp-wgan"]):
        done = bench(*FIT, "--data", "cohort", *more, cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert NOT_FITTED not in said(done.stdout)
    assert [row["generator"] for row in rows(tmp_path)] == ["real", *FREE, "dp-wgan"]
    assert "3 patients have paid ε = ∞" in bench("ledger", "show", cwd=tmp_path).stdout


def test_a_cohort_that_was_copied_and_changed_by_one_voxel_each_pays_from_the_same_budget(
    tiny_cohort: Path, tmp_path: Path
) -> None:
    assert bench("ledger", "cap", "5.2", cwd=tmp_path).returncode == 0
    done = bench(*FIT, "--data", "cohort", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    shutil.copytree(tiny_cohort, tmp_path / "another study")
    for file in (tmp_path / "another study").glob("sub-*/anat/*.nii.gz"):
        image = nib.load(file)
        voxels = np.asarray(image.dataobj).copy()
        voxels[0, 0, 0] += 1
        nib.save(nib.Nifti1Image(voxels, image.affine), file)
    again = bench(*FIT, "--data", "another study", cwd=tmp_path)
    assert again.returncode == 2, again.stdout
    assert "above the cap of 5.2" in again.stderr
    assert "The ledger knows 3 of the 3 patients by their participant ids" in said(again.stdout)
    shown = said(bench("ledger", "show", cwd=tmp_path).stdout)
    assert "under the same id, one that was resampled, denoised or changed" in shown
    assert "A new patient, who has paid nothing: other voxels under another id." in shown


def test_which_file_is_whose_is_remembered_beside_the_ledger_and_not_in_the_cache(
    tiny_cohort: Path, tmp_path: Path
) -> None:
    done = bench("run", "--generator", "simulator", "--data", "cohort", *FAST, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not list((tmp_path / "cache").rglob("digests*"))
    assert (tmp_path / "state" / "digests.json").stat().st_mode & 0o777 == 0o600
