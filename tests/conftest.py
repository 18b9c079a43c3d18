"""What tests share: a tiny cohort of real NIfTI files, and a cache of their own."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from benchmark.core.sums import write_sums

SHAPE = (48, 52, 6)
SPLITS = ("train", "train", "train", "val", "test", "test")


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache for the whole session, whose workers share it: noise is calibrated once for all."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "shared cache"
    (shared / "plans").mkdir(parents=True, exist_ok=True)
    return shared


@pytest.fixture(autouse=True, scope="session")
def _own_cache(shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANGIOBENCH_CACHE", str(shared_cache))
        patch.setenv("TORCH_HOME", str(tmp_path_factory.mktemp("torch")))
        yield


@pytest.fixture(scope="session")
def cache_with_plans(shared_cache: Path) -> Callable[[Path], Path]:
    """Makes a cache that shares the session's plans and nothing else."""

    def make(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "plans").symlink_to(shared_cache / "plans")
        return folder

    return make


@pytest.fixture(autouse=True, scope="module")
def _own_state(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A ledger for each file of tests: what the tiny patients paid in another does not count."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANGIOBENCH_STATE", str(tmp_path_factory.mktemp("state")))
        yield


def write_patient(root: Path, identity: str, seed: int) -> None:
    """A bright, bending tube in a noisy ellipse."""
    rng = np.random.default_rng(seed)
    x, y, z = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")
    brain = ((x - 24) / 23) ** 2 + ((y - 26) / 25) ** 2 < 1
    bend = 6 * np.sin(y / 9 + seed)
    vessels = (np.hypot(x - 24 - bend, 2 * (z - 3)) < 2.4) & brain
    image = 100 + 15 * rng.standard_normal(SHAPE) + 120 * vessels
    affine = np.diag([0.6, 0.6, 0.9, 1.0])
    anatomy = root / identity / "anat"
    anatomy.mkdir(parents=True)
    nib.save(
        nib.Nifti1Image(np.where(brain, image, 0).astype(np.int16), affine),
        anatomy / f"{identity}_angio.nii.gz",
    )
    for name, mask in (("vessel", vessels), ("brain", brain)):
        folder = root / "derivatives" / f"{name}s" / identity / "anat"
        folder.mkdir(parents=True)
        nib.save(
            nib.Nifti1Image(mask.astype(np.uint8), affine),
            folder / f"{identity}_desc-{name}_mask.nii.gz",
        )


def write_tiny_cohort(root: Path, splits: Sequence[str] = SPLITS, first: int = 0) -> Path:
    """A few patients with splits, on two sites; another ``first`` makes others of them."""
    lines = ["participant_id\tsite\tsplit"]
    for i, split in enumerate(splits):
        write_patient(root, f"sub-{i + 1:02d}", seed=first + i)
        lines.append(f"sub-{i + 1:02d}\t{'ab'[i % 2]}\t{split}")
    (root / "participants.tsv").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture(scope="session")
def write_cohort() -> Callable[..., Path]:
    """Writes a tiny cohort with these splits, one for each patient."""
    return write_tiny_cohort


@pytest.fixture(scope="session")
def write_tiny_phantoms() -> Callable[[Path], None]:
    """Writes what can stand for the embedded cohort, with its shifted patients."""

    def write(root: Path) -> None:
        write_tiny_cohort(root / "cohort")
        for number in (7, 8):
            write_patient(root / "shifted", f"sub-{number:02d}", seed=number)
        write_sums(root)

    return write


@pytest.fixture
def tiny_cohort(tmp_path: Path) -> Path:
    return write_tiny_cohort(tmp_path / "cohort")


@pytest.fixture(scope="module")
def module_cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_cohort(tmp_path_factory.mktemp("module") / "cohort")


@pytest.fixture(scope="module")
def tested_cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With so many test patients that their means may leave."""
    splits = ("train", "train", "train", "val", *["test"] * 5)
    return write_tiny_cohort(tmp_path_factory.mktemp("tested") / "cohort", splits)
