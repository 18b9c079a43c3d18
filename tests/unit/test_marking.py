"""Marking shows a segmenter the brain and its surroundings, and marks what the whole would."""

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.core.patches import Patches
from benchmark.core.protocol import NATIVE
from benchmark.core.segmenter import Reach, Segmenter, TrainContext
from benchmark.data.cohort import PatientVolume
from benchmark.data.inplane import at_spacing
from benchmark.data.layouts import read_cohort
from benchmark.sweep.judging import testing
from benchmark.sweep.judging.marking import marked
from segmenters.attention_unet import AttentionUnet, AttentionUnetParams
from segmenters.dp_segmenter import DpSegmenter, DpSegmenterParams
from segmenters.nets.slices import MOST_ODDS
from segmenters.threshold import Threshold, ThresholdParams
from segmenters.unet import Unet, UnetParams

SHAPE = (150, 131, 7)
SPACING_MM = (0.5, 0.5, 0.8)
BRAINS = {
    "in the middle": np.s_[60:90, 55:80, 2:5],
    "at two sides": np.s_[:25, 110:, :3],
    "everywhere": np.s_[:, :, :],
}
SLICED = [
    (Unet, UnetParams(width=8, levels=3, iterations=3, batch=4)),
    (Unet, UnetParams(width=12, levels=3, iterations=3, batch=4)),
    (Unet, UnetParams(width=8, levels=4, iterations=3, batch=4)),
    (Unet, UnetParams(width=3, levels=3, iterations=3, batch=4)),
    (AttentionUnet, AttentionUnetParams(width=2, levels=3, iterations=3, batch=4)),
    (DpSegmenter, DpSegmenterParams(width=8, levels=3, steps=3, batch=4, learning_rate=1e-4)),
]


def patches() -> Patches:
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (16, 1, 32, 32)).astype(np.float32)
    return Patches(images=images, masks=(images > 0.4).astype(np.uint8))


def volume(brain: str) -> PatientVolume:
    inside = np.zeros(SHAPE, bool)
    inside[BRAINS[brain]] = True
    image = np.random.default_rng(1).uniform(-1, 1, SHAPE).astype(np.float32)
    image[~inside] = -1
    orders = (np.asfortranarray(each) for each in (image, inside & (image > 0.9), inside))
    return PatientVolume(*orders, SPACING_MM)


def mark_half(segmenter: Segmenter, one: PatientVolume) -> None:
    """Set the threshold so that the least rounding may change a mark."""
    for _ in range(4):  # a margin is cut off at MOST_ODDS
        middle = float(np.median(segmenter.margin(one.image, one.spacing_mm)[one.brain]))
        log_odds = MOST_ODDS * middle + np.log(segmenter.threshold / (1 - segmenter.threshold))
        segmenter.threshold = float(1 / (1 + np.exp(-log_odds)))


def of_the_whole(segmenter: Segmenter, one: PatientVolume, spacing_mm: float) -> np.ndarray:
    """The marks without any crop, as the first release computed them."""
    if spacing_mm == NATIVE:
        return segmenter.predict(one.image, one.spacing_mm) & one.brain
    shown = at_spacing(one, spacing_mm)
    margin = segmenter.margin(shown.image, shown.spacing_mm)
    slices = torch.from_numpy(np.ascontiguousarray(margin.transpose(2, 0, 1)))[None]
    found = torch.nn.functional.interpolate(
        slices, size=one.image.shape[:2], mode="bilinear", antialias=True
    )
    return (found[0].numpy().transpose(1, 2, 0) > 0) & one.brain


@pytest.mark.parametrize("spacing_mm", [NATIVE, 0.8, 0.3])
@pytest.mark.parametrize("brain", BRAINS)
@pytest.mark.parametrize(("kind", "params"), SLICED)
def test_the_brain_is_marked_as_in_the_whole_volume(kind, params, brain, spacing_mm) -> None:
    torch.set_num_threads(1)
    segmenter, one = kind(params), volume(brain)
    segmenter.fit(patches(), TrainContext(seed=0))
    mark_half(segmenter, at_spacing(one, spacing_mm))
    expected = of_the_whole(segmenter, one, spacing_mm)
    assert 0.05 < expected[one.brain].mean() < 0.95
    assert np.array_equal(marked(segmenter, one, spacing_mm), expected)


class Watching(Segmenter):
    """Marks what is bright, and remembers the shape that it was shown."""

    def __init__(self, reach: Reach | None) -> None:
        self._reach, self.shown = reach, (0, 0, 0)

    @property
    def reach(self) -> Reach | None:
        return self._reach

    def fit(self, patches, context):
        """Nothing to learn."""

    def predict(self, volume, spacing_mm):
        self.shown = volume.shape
        return volume > 0.35


def test_only_a_segmenter_with_a_reach_is_shown_a_part() -> None:
    one = volume("in the middle")
    near, far = Watching(Reach(pixels=10, multiple=8)), Watching(None)
    assert np.array_equal(marked(near, one, NATIVE), marked(far, one, NATIVE))
    assert near.shown == (100 - 48, 90 - 40, 3)
    assert far.shown == SHAPE


def test_a_volume_without_brain_has_no_mark() -> None:
    one = volume("in the middle")
    one = one._replace(brain=np.zeros_like(one.brain), image=np.full_like(one.image, -1))
    for reach in (None, Reach(pixels=3)):
        assert not marked(Watching(reach), one, 0.8).any()


@pytest.mark.parametrize("spacing_mm", [NATIVE, 0.8])
def test_memory_does_not_grow_with_the_number_of_test_patients(
    tiny_cohort: Path, spacing_mm: float
) -> None:
    few = read_cohort(tiny_cohort).split("test")
    judge = Threshold(ThresholdParams())
    judge.rest_on_constants()

    def peak(many: int) -> int:
        patients = [replace(few[n % len(few)], id=f"sub-{n}") for n in range(many)]
        tracemalloc.start()
        try:
            testing.tested(judge, "test", patients, lambda *_: None, spacing_mm=spacing_mm)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(1)  # imports what is imported late
    bytes_of_one = few[0].read().image.nbytes
    assert peak(60) - peak(20) < 10 * bytes_of_one, "40 further images would be held otherwise"


@pytest.mark.parametrize("levels", [3, 4, 5])
def test_the_reach_of_a_unet_is_not_a_halving_too_large(levels: int) -> None:
    """Without this, a reach of a whole volume would pass every other test."""
    params = UnetParams(width=8, levels=levels, iterations=1, batch=2)
    segmenter = Unet(params)
    segmenter.fit(patches(), TrainContext(seed=0))
    reach, multiple = segmenter.reach
    side = 2 * reach + 2 * multiple
    one = np.random.default_rng(0).uniform(-1, 1, (side + 64, side + 64, 1)).astype(np.float32)
    least = reach - multiple
    part = segmenter.margin(one[multiple:, multiple:], SPACING_MM)[least:, least:]
    whole = segmenter.margin(one, SPACING_MM)[multiple + least :, multiple + least :]
    assert not np.array_equal(part, whole)
