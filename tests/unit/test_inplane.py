"""Pixels of one size on every scanner: what is kept, and that scores stay on the volume's own."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.core.errors import UsageError
from benchmark.core.protocol import NATIVE, PROTOCOLS, Recipe, protocol_recipe, spacing_of
from benchmark.core.segmenter import Segmenter
from benchmark.data.cohort import PatientVolume
from benchmark.data.inplane import at_spacing, resized
from benchmark.data.layouts import read_cohort
from benchmark.data.patching import cached, extract
from benchmark.metrics.scores import score
from benchmark.sweep.judging.marking import marked


def volume(spacing_mm: float, radius_mm: float = 3.0) -> PatientVolume:
    """A tube across the slices in a round brain 60 mm wide."""
    side = round(64 / spacing_mm)
    x, y, _ = np.meshgrid(*2 * [(np.arange(side) + 0.5) * spacing_mm - 32], range(4), indexing="ij")
    brain, vessels = np.hypot(x, y) < 30, np.hypot(x - 5, y + 3) < radius_mm
    image = np.where(vessels, 0.9, -0.2).astype(np.float32)
    image[~brain] = -1
    return PatientVolume(image, vessels, brain, (spacing_mm, spacing_mm, 0.8))


def area_mm2(mask: np.ndarray, spacing_mm: tuple[float, float, float]) -> float:
    return float(mask[:, :, 0].sum() * spacing_mm[0] * spacing_mm[1])


def test_its_own_pixels_are_left_as_they_are() -> None:
    one = volume(0.5)
    assert at_spacing(one, NATIVE) is one


@pytest.mark.parametrize("native", [0.3, 0.5, 0.8, 1.1])
@pytest.mark.parametrize("asked", [0.6, 0.8])
def test_one_size_means_the_same_millimetres_on_every_scanner(native: float, asked: float) -> None:
    one = volume(native)
    found = at_spacing(one, asked)
    assert found.spacing_mm == pytest.approx((asked, asked, 0.8), rel=0.02)
    widths = [n * mm for n, mm in zip(found.image.shape, found.spacing_mm, strict=True)]
    assert widths == pytest.approx(
        [n * mm for n, mm in zip(one.image.shape, one.spacing_mm, strict=True)]
    )
    for name, room in (("vessels", 0.1), ("brain", 0.02)):
        before = area_mm2(getattr(one, name), one.spacing_mm)
        assert area_mm2(getattr(found, name), found.spacing_mm) == pytest.approx(before, rel=room)
    assert (found.image[~found.brain] == -1).all()
    assert -1 <= found.image.min() <= found.image.max() <= 1


@settings(max_examples=20, deadline=None)
@given(st.integers(3, 40), st.integers(3, 40), st.floats(-1, 1))
def test_what_is_even_stays_even(width: int, height: int, value: float) -> None:
    field = np.full((17, 23, 2), value, np.float32)
    np.testing.assert_allclose(resized(field, (width, height)), value, atol=1e-6)


def test_means_are_kept_where_pixels_become_larger() -> None:
    field = np.random.default_rng(0).normal(size=(64, 64, 3)).astype(np.float32)
    assert resized(field, (16, 16)).mean() == pytest.approx(field.mean(), abs=0.01)
    assert resized(field, (16, 16)).std() < 0.4 * field.std(), "noise is averaged, not picked"


class Bright(Segmenter):
    """Marks what is brighter than half."""

    def __init__(self) -> None:
        self.shown: tuple[float, ...] = ()

    def fit(self, patches, context):
        """Nothing to learn."""

    def predict(self, volume, spacing_mm):
        self.shown = spacing_mm
        return volume > 0.35


@pytest.mark.parametrize("native", [0.3, 0.5, 1.1])
def test_a_segmenter_is_shown_one_size_and_scored_on_the_volumes_own(native: float) -> None:
    one, segmenter = volume(native), Bright()
    found = marked(segmenter, one, 0.8)
    assert segmenter.shown == pytest.approx((0.8, 0.8, 0.8), rel=0.02)
    assert found.shape == one.image.shape
    assert score(found, one.vessels, one.spacing_mm)["dice"] > 0.93
    assert marked(segmenter, one, NATIVE).sum() == one.vessels.sum()


def test_patches_of_another_size_are_other_patches(tiny_cohort: Path, tmp_path: Path) -> None:
    patients = read_cohort(tiny_cohort).split("train")
    own, large = Recipe(size=12, per_patient=20), Recipe(size=12, per_patient=20, spacing_mm=1.2)
    assert not np.array_equal(
        extract(patients, own, seed=0).images, extract(patients, large, seed=0).images
    )
    for recipe in (own, large):
        kept = cached(patients, recipe, seed=0, cache=tmp_path, data="d")
        assert np.array_equal(kept.images, extract(patients, recipe, seed=0).images)
    assert len([*(tmp_path / "patches").iterdir()]) == 2


def test_a_protocol_without_a_size_keeps_its_key_and_means_the_own_one() -> None:
    quick = PROTOCOLS["quick"]
    assert "spacing_mm" not in quick.as_dict()
    assert spacing_of(quick.as_dict()) == NATIVE
    other = quick.with_texts({"spacing_mm": "0.8"}).as_dict()
    assert protocol_recipe(other).spacing_mm == spacing_of(other) == 0.8
    with pytest.raises(UsageError, match=r"at least 0\.2, got 0\.01"):
        spacing_of({"spacing_mm": 0.01})
