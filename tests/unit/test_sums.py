"""A folder that is made once is the one that was written, or it is made anew."""

import os
from pathlib import Path

import numpy as np
import pytest

from benchmark.core.protocol import Recipe
from benchmark.core.sums import SUMS, sums_hold, write_sums
from benchmark.data.layouts import read_cohort
from benchmark.data.patching import cached


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "made"
    (made / "below").mkdir(parents=True)
    (made / "a.txt").write_text("one")
    (made / "below" / "ü b.bin").write_bytes(bytes(range(256)))
    write_sums(made)
    return made


def changed(made: Path) -> None:
    (made / "a.txt").write_text("two")


def changed_in_place(made: Path) -> None:
    """The same size and time of change."""
    file = made / "below" / "ü b.bin"
    before = file.stat()
    with file.open("r+b") as opened:
        opened.write(b"\x07")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


FAULTS = {
    "changed": changed,
    "changed in place": changed_in_place,
    "gone": lambda made: (made / "a.txt").unlink(),
    "more": lambda made: (made / "more").touch(),
    "without sums": lambda made: (made / SUMS).unlink(),
    "torn sums": lambda made: (made / SUMS).write_bytes(b"\xff\xfe"),
}


def test_what_was_written_holds(folder: Path) -> None:
    assert sums_hold(folder)
    assert sums_hold(folder)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("known", [False, True])
def test_any_change_is_seen_also_by_who_has_checked_before(
    folder: Path, fault: str, known: bool
) -> None:
    if known:
        assert sums_hold(folder)
    FAULTS[fault](folder)
    assert not sums_hold(folder)


def test_no_folder_holds_nothing(tmp_path: Path) -> None:
    assert not sums_hold(tmp_path / "nowhere")


def test_damaged_patches_are_cut_anew(tiny_cohort: Path, tmp_path: Path) -> None:
    def cut() -> np.ndarray:
        patients = read_cohort(tiny_cohort).split("train")
        recipe = Recipe(size=16, per_patient=8)
        return np.array(cached(patients, recipe, seed=0, cache=tmp_path, data="d").images)

    before = cut()
    (kept,) = (tmp_path / "patches").iterdir()
    stored = np.load(kept / "images.npy", mmap_mode="r+")
    stored[0] = 0.5
    stored.flush()
    assert np.array_equal(cut(), before)
