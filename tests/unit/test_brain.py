"""The made brain: the right voxels, whatever the units, the slab and the voxels' sides."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.core.errors import DataError
from benchmark.data import brain as method
from benchmark.data import kept_brains
from benchmark.data.brain import brain_mask
from benchmark.data.intensities import canonical
from benchmark.data.phantom.patient import Phantom, simulate
from benchmark.data.phantom.settings import HOSPITALS, SIZES, UNSEEN

SEED = 31  # no seed on which the method was made, nor the embedded cohort's
SCANNERS = (*HOSPITALS, UNSEEN)
HEAD_DICE = 0.96


@cache
def phantom(patient: int = 0) -> Phantom:
    return simulate(SEED, patient, SCANNERS[patient], SIZES["quick"])


def made(image: np.ndarray, spacing_mm: tuple[float, float, float]) -> np.ndarray:
    return brain_mask(image.astype(np.float32), spacing_mm)


@cache
def made_of(patient: int = 0) -> np.ndarray:
    return made(phantom(patient).image, phantom(patient).spacing_mm)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


@pytest.mark.parametrize("patient", range(4))
def test_a_phantoms_brain_is_found_with_its_vessels_and_without_its_scalp(patient: int) -> None:
    head, mask = phantom(patient), made_of(patient)
    inside, vessels = head.brain > 0, head.vessels > 0
    white = np.median(head.image[inside])
    bright = (head.image > 1.3 * white) & ~inside
    assert dice(mask, inside) > HEAD_DICE
    assert (vessels & mask).sum() >= 0.98 * vessels.sum()
    assert (bright & mask).sum() < 0.06 * bright.sum()


@given(
    scale=st.floats(1e-30, 1e30),
    offset=st.floats(-1000, 1000),
)
@settings(max_examples=6, deadline=None)
def test_every_increasing_linear_rescaling_gives_the_same_brain(
    scale: float, offset: float
) -> None:
    head = phantom()
    slab = head.image[:, :, 10:22]
    moved = ((slab / np.float64(slab.max()) + offset) * scale).astype(np.float32)
    assert np.array_equal(canonical(moved), canonical(slab.astype(np.float32)))
    assert np.array_equal(brain_mask(moved, head.spacing_mm), thin_slab())


@cache
def thin_slab() -> np.ndarray:
    return made(phantom().image[:, :, 10:22], phantom().spacing_mm)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("turn", [1, -1])
@pytest.mark.parametrize("scale", [1.0, 0.37])
def test_however_a_volume_lies_in_memory_its_steps_are_in_their_places(
    order: Any, turn: int, scale: float
) -> None:
    image = np.random.default_rng(0).integers(0, 900, (9, 9, 9)).astype(np.float32)
    expected = image - image.min()
    for axes in ((0, 1, 2), (2, 0, 1), (1, 2, 0)):
        stored = np.asarray(np.float32(scale) * image.transpose(axes), order=order)
        view = stored[::turn, ::turn].transpose(np.argsort(axes))
        turned = np.asarray(image.transpose(axes)[::turn, ::turn]).transpose(np.argsort(axes))
        assert np.array_equal(canonical(view), turned - image.min())
    assert np.array_equal(canonical(image), expected)


@pytest.mark.parametrize("units", ["z-score", "[-1, 1]", "plus 1000", "tiny"])
def test_the_usual_normalisations_give_the_same_brain(units: str) -> None:
    image = phantom().image.astype(np.float32)
    rescaled = {
        "z-score": (image - image.mean()) / image.std(),
        "[-1, 1]": 2 * image / image.max() - 1,
        "plus 1000": image + 1000,
        "tiny": image * np.float32(1e-36),
    }[units]
    assert np.array_equal(made(rescaled, phantom().spacing_mm), made_of())


def test_a_resampled_volume_keeps_its_brain_but_for_rounding() -> None:
    image = phantom().image.astype(np.float64)
    off_lattice = image + np.random.default_rng(0).uniform(-0.5, 0.5, image.shape)
    first = made(off_lattice, phantom().spacing_mm)
    second = made((off_lattice - off_lattice.mean()) / off_lattice.std(), phantom().spacing_mm)
    assert (first ^ second).mean() < 1e-4


@pytest.mark.parametrize("outside", [0.0, -1024.0, "least"])
@pytest.mark.parametrize("is_z_scored", [False, True])
def test_a_stripped_volume_keeps_its_whole_brain(outside: float | str, is_z_scored: bool) -> None:
    head = phantom()
    brain = head.brain > 0
    image = head.image.astype(np.float64)
    if is_z_scored:
        image = (image - image[brain].mean()) / image[brain].std()
    level = image[brain].min() - 0.1 if outside == "least" else float(outside)
    assert dice(made(np.where(brain, image, level), head.spacing_mm), brain) > 0.999


def test_a_volume_cut_inside_the_brain_is_brain_throughout() -> None:
    head = phantom()
    across = head.brain[:, :, 15:30].all(2)
    middle = tuple(int(c) for c in np.argwhere(across).mean(0))
    cut = head.image[middle[0] - 18 : middle[0] + 18, middle[1] - 22 : middle[1] + 22, 15:30]
    assert made(cut, head.spacing_mm).all()


@pytest.mark.parametrize("bottom", [0, 12, 28])
def test_a_slab_of_ten_slices_is_enough(bottom: int) -> None:
    head, slices = phantom(), slice(bottom, bottom + 10)
    mask = made(head.image[:, :, slices], head.spacing_mm)
    assert dice(mask, head.brain[:, :, slices] > 0) > 0.9


def test_voxels_may_be_anisotropic() -> None:
    head = phantom()
    x, y, z = head.spacing_mm
    thick = head.image[:, :, : 40 - 40 % 3].reshape(*head.image.shape[:2], -1, 3).mean(3)
    mask = made(thick, (x, y, 3 * z))
    assert dice(mask, head.brain[:, :, 1:39:3] > 0) > HEAD_DICE


def test_what_holds_no_brain_is_refused_in_a_sentence() -> None:
    with pytest.raises(DataError, match="the image is constant"):
        made(np.full((20, 20, 5), 7), (1, 1, 1))
    inside, depth = np.ones((9, 9, 3), bool), np.full((9, 9, 3), 30, np.float32)
    hollow = method._Head(inside, depth, np.full_like(depth, 0.01), 1.0, (1.3, 1.3, 1.3))
    with pytest.raises(DataError, match="no brain was found"):
        method._brain(hollow)


def test_a_slab_whose_vessels_alone_are_bright_is_brain_throughout() -> None:
    slab = np.random.default_rng(0).normal(100, 3, (60, 60, 10))
    slab[28:32, 28:32] = 400
    assert made(slab, (0.5, 0.5, 0.8)).all()


def test_where_all_but_the_vessels_was_made_constant_these_are_the_brain() -> None:
    vessels_alone = np.full((60, 60, 10), -1024)
    vessels_alone[30:32, 30:32] = 200
    vessels_alone[10:13, 10:12, 4] = 180
    assert np.array_equal(made(vessels_alone, (0.5, 0.5, 0.8)), vessels_alone > 0)


def test_no_name_of_a_kept_brain_follows_from_its_voxels(tmp_path: Path) -> None:
    image, spacing_mm = phantom().image[:, :, 10:22].astype(np.float32), phantom().spacing_mm
    for home in ("a", "b"):
        kept_brains.kept_brain_mask(image, spacing_mm, tmp_path / home)
    names = [{file.name for file in (tmp_path / home).iterdir()} for home in ("a", "b")]
    assert len(names[0]) == 2
    assert names[0] & names[1] == {kept_brains.KEY}


def test_a_brain_is_kept_and_made_anew_where_the_kept_one_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, spacing_mm = phantom().image[:, :, 10:22].astype(np.float32), phantom().spacing_mm
    calls = []

    def counted(*given: Any) -> np.ndarray:
        calls.append(given)
        return brain_mask(*given)

    monkeypatch.setattr("benchmark.data.brain.brain_mask", counted)
    for damaged in (False, False, True):
        if damaged:
            kept = next(file for file in tmp_path.iterdir() if file.name != kept_brains.KEY)
            kept.write_bytes(kept.read_bytes()[:-1] + b"\xff\x01")
        found = kept_brains.kept_brain_mask(image, spacing_mm, tmp_path)
        assert np.array_equal(found, thin_slab())
    assert len(calls) == 2
