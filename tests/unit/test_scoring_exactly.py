"""Scores equal the plain computation on whole volumes, to the last bit."""

import numpy as np
import pytest
import scipy.ndimage
from plain_scores import plain_nearest, plain_scores

from benchmark.metrics.nearest import around, cropped, nearest
from benchmark.metrics.scores import score

SHAPES = [(30, 34, 22), (23, 41, 9), (40, 17, 28), (30, 31, 1)]
SPACINGS = [(1.0, 1.0, 1.0), (0.5, 0.7, 1.3), (0.469, 0.469, 0.8), (0.31, 0.33, 2.0)]
SHARES = {"sparse": (0.004, 0.006), "dense": (0.1, 0.15), "unequal": (0.4, 0.01)}


def tubes(shape: tuple[int, ...], share: float, seed: int) -> np.ndarray:
    """Blobs and tubes anywhere, also at the borders."""
    rng = np.random.default_rng(seed)
    field = scipy.ndimage.gaussian_filter(rng.standard_normal(shape), (1.2, 1.2, 2.5), mode="wrap")
    return np.asarray(field >= np.quantile(field, 1 - share))


def alike(prediction: np.ndarray, truth: np.ndarray, mm: tuple[float, float, float]) -> None:
    assert dict(score(prediction, truth, mm)) == plain_scores(prediction, truth, mm)


@pytest.mark.parametrize("kind", SHARES)
@pytest.mark.parametrize("mm", SPACINGS)
@pytest.mark.parametrize("shape", SHAPES)
def test_scores_are_the_plain_ones_to_the_last_bit(shape, mm, kind) -> None:
    found, real = SHARES[kind]
    truth = tubes(shape, real, 1)
    for seed in (1, 2):  # one that covers much of the truth, and one that hardly does
        prediction = tubes(shape, found, seed)
        alike(prediction, truth, mm)
        alike(np.asfortranarray(prediction), np.asfortranarray(truth), mm)
        by_slices = np.ascontiguousarray(prediction.transpose(2, 0, 1)).transpose(1, 2, 0)
        alike(by_slices, np.asfortranarray(truth), mm)


@pytest.mark.parametrize("mm", SPACINGS)
def test_empty_and_full_masks_have_the_plain_scores(mm) -> None:
    truth, shape = np.zeros(SHAPES[0], bool), SHAPES[0]
    truth[10:20, 12:15, 3:9] = True
    empty, full = np.zeros(shape, bool), np.ones(shape, bool)
    full[0, 0, 0] = False  # of a full one no distance transform has a border
    for prediction in (empty, full, truth):
        alike(prediction, truth, mm)
        alike(truth, prediction, mm)
    alike(empty, empty, mm)


@pytest.mark.parametrize("mm", SPACINGS)
def test_masks_at_each_border_and_corner_have_the_plain_scores(mm) -> None:
    shape = SHAPES[1]
    truth = np.zeros(shape, bool)
    truth[0, :, 0] = truth[-1, 10:30, -1] = truth[:, 0, 4] = truth[:, -1, 2:4] = True
    for corner in ((0, 0, 0), (-1, -1, -1), (0, -1, 0), (-1, 0, -1)):
        prediction = np.roll(truth, (1, 2, 1), (0, 1, 2))
        prediction[corner] = True
        alike(prediction, truth, mm)
        one = np.zeros(shape, bool)
        one[corner] = True
        alike(one, truth, mm)
        alike(truth, one, mm)


@pytest.mark.parametrize("kind", SHARES)
def test_nearest_voxels_and_distances_are_the_plain_ones(kind) -> None:
    found, real = SHARES[kind]
    for shape, mm in zip(SHAPES, SPACINGS, strict=True):
        one, two = tubes(shape, found, 1), tubes(shape, real, 2)
        for mask, other in ((one, two), (two, one)):
            distance, voxel = plain_nearest(mask, other, mm)
            ours = nearest(mask, other, mm)
            assert np.array_equal(ours.distance_mm, distance)
            assert np.array_equal(ours.voxel, voxel)


@pytest.mark.parametrize("share", [0.0, 0.002, 0.2])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_crop_is_the_same_mask_in_the_order_of_rows(order, share) -> None:
    mask = np.asarray(tubes((40, 30, 20), share, 0) if share else np.zeros((40, 30, 20)), bool)
    mask = np.asarray(mask, order=order)
    box = np.s_[3:29, 2:30, 5:17]
    assert np.array_equal(cropped(mask, box), mask[box])
    assert cropped(mask, box).flags.c_contiguous


@pytest.mark.parametrize("turn", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_the_box_holds_every_mask_and_nothing_more(turn) -> None:
    one, two = np.zeros((2, 9, 11, 13), bool)
    one[2, 3, 4] = two[5, 3, 12] = True
    expected = (slice(2, 6), slice(3, 4), slice(4, 13))
    turned = [
        np.ascontiguousarray(m.transpose(turn)).transpose(np.argsort(turn)) for m in (one, two)
    ]
    assert around(*turned) == expected
    assert around(np.zeros_like(one)) == (slice(0, 0),) * 3
