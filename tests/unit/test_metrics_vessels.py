"""The scores of vessels and the kernel distance against independent references."""

import math

import numpy as np
import pytest
import scipy.ndimage
from skimage.morphology import skeletonize
from sklearn.metrics import pairwise_distances, precision_score, recall_score
from sklearn.metrics.pairwise import polynomial_kernel

from benchmark.metrics.kid import kernel_distance
from benchmark.metrics.nearest import _by_transform, _by_tree, nearest
from benchmark.metrics.overlap import precision, recall
from benchmark.metrics.scores import NAMES, score
from benchmark.metrics.surface import balanced_average_hausdorff
from benchmark.metrics.vessels import centre_line, cldice, dice_by_radius

SPACING_MM = (0.5, 0.7, 1.3)
SHAPE = (40, 40, 30)


def blobs(seed: int, share: float = 0.1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    smooth = scipy.ndimage.gaussian_filter(rng.standard_normal((20, 24, 12)), 1.5)
    return smooth > np.quantile(smooth, 1 - share)


def tube(radius: float, x: float, y: float) -> np.ndarray:
    """A straight vessel along the last axis, not touching the ends."""
    i, j, k = np.meshgrid(*(np.arange(side) for side in SHAPE), indexing="ij")
    return (np.hypot(i - x, j - y) <= radius) & (k >= 2) & (k < 28)


THIN, THICK = tube(0.5, 8, 8), tube(5.0, 26, 26)
EMPTY = np.zeros(SHAPE, bool)


@pytest.mark.parametrize("seed", range(5))
def test_precision_and_recall_are_scikit_learns(seed: int) -> None:
    one, two = blobs(seed), blobs(seed + 100)
    assert precision(one, two) == pytest.approx(precision_score(two.ravel(), one.ravel()))
    assert recall(one, two) == pytest.approx(recall_score(two.ravel(), one.ravel()))


@pytest.mark.parametrize("seed", range(5))
def test_the_balanced_distance_is_its_formula_over_all_pairs(seed: int) -> None:
    one, two = blobs(seed), blobs(seed + 100, 0.05)
    points = [np.argwhere(mask) * SPACING_MM for mask in (one, two)]
    apart = pairwise_distances(*points)
    expected = (apart.min(0).sum() + apart.min(1).sum()) / (2 * two.sum())
    assert balanced_average_hausdorff(one, two, SPACING_MM) == pytest.approx(expected)


def test_a_larger_false_prediction_is_worse_in_the_balanced_distance() -> None:
    near, far = THIN | tube(1, 8, 30), THIN | tube(3, 8, 30)
    worse = balanced_average_hausdorff(far, THIN, SPACING_MM)
    assert worse > balanced_average_hausdorff(near, THIN, SPACING_MM) > 0
    assert balanced_average_hausdorff(THIN, THIN, SPACING_MM) == 0


def test_cldice_is_its_formula() -> None:
    one, two = blobs(1, 0.2), blobs(1, 0.15)
    lines = skeletonize(one), skeletonize(two)
    p, s = (lines[0] & two).sum() / lines[0].sum(), (lines[1] & one).sum() / lines[1].sum()
    assert cldice(one, two) == pytest.approx(2 * p * s / (p + s))


def test_cldice_forgives_a_calibre_and_not_a_gap() -> None:
    assert cldice(tube(5.0, 20, 20), tube(3.0, 20, 20)) > 0.95
    broken = tube(3.0, 20, 20)
    broken[:, :, 10:20] = False
    assert cldice(broken, tube(3.0, 20, 20)) < 0.85


def test_a_centre_line_is_one_voxel_wide_in_the_middle() -> None:
    line = np.argwhere(centre_line(THICK))
    assert np.abs(line[:, :2] - 26).max() <= 2
    assert len(line) <= 28
    assert not centre_line(EMPTY).any()


def test_dice_by_radius_tells_thin_from_thick() -> None:
    truth = THIN | THICK
    only_thick = dice_by_radius(THICK, truth, (0.5, 0.5, 0.5))
    assert (only_thick.thin, only_thick.medium, only_thick.thick) == (0.0, None, 1.0)
    only_thin = dice_by_radius(THIN, truth, (0.5, 0.5, 0.5))
    assert (only_thin.thin, only_thin.thick) == (1.0, 0.0)


def test_a_false_voxel_counts_against_the_vessel_that_it_is_nearest() -> None:
    truth = THIN | THICK
    spill = truth.copy()
    spill[9, 8, 2:28] = True
    found = dice_by_radius(spill, truth, (0.5, 0.5, 0.5))
    assert found.thick == 1.0
    new = (spill & ~truth).sum()
    assert found.thin == pytest.approx(2 * THIN.sum() / (2 * THIN.sum() + new))


def test_millimetres_decide_what_is_thin() -> None:
    wide = tube(2.0, 20, 20)
    assert dice_by_radius(wide, wide, (0.2, 0.2, 0.2)).thin == 1.0
    assert dice_by_radius(wide, wide, (1.0, 1.0, 1.0)).thick == 1.0


def test_an_empty_prediction_is_the_worst_of_everything() -> None:
    found = score(EMPTY, THIN, SPACING_MM)
    diagonal = math.dist((0, 0, 0), np.multiply(SHAPE, SPACING_MM))
    assert found == dict(zip(NAMES, (0, diagonal, diagonal, 0, 0, 0, 0, None, None), strict=True))
    whole = score(THIN, THIN, SPACING_MM)
    assert whole == dict(zip(NAMES, (1, 0, 0, 1, 1, 1, 1, None, None), strict=True))


@pytest.mark.parametrize(("n", "m", "d"), [(20, 30, 8), (64, 50, 192)])
def test_the_kernel_distance_is_scikit_learns_kernel_over_distinct_pairs(
    n: int, m: int, d: int
) -> None:
    rng = np.random.default_rng(0)
    one, two = rng.standard_normal((n, d)), rng.standard_normal((m, d)) + 0.2
    kernels = [
        polynomial_kernel(a, b, degree=3, coef0=1) for a, b in ((one, one), (two, two), (one, two))
    ]
    within = [k[~np.eye(len(k), dtype=bool)].mean() for k in kernels[:2]]
    assert kernel_distance(one, two) == pytest.approx(sum(within) - 2 * kernels[2].mean())


def test_the_kernel_distance_is_unbiased_where_frechets_is_not() -> None:
    rng = np.random.default_rng(1)
    drawn = [kernel_distance(*rng.standard_normal((2, 20, 30))) for _ in range(300)]
    assert abs(np.mean(drawn)) < 3 * np.std(drawn) / math.sqrt(300)
    with pytest.raises(ValueError, match="2 samples or more"):
        kernel_distance(np.ones((1, 3)), np.ones((4, 3)))


@pytest.mark.parametrize("share", [0.002, 0.4])
def test_both_ways_to_the_nearest_voxel_agree(share: float) -> None:
    one, two = blobs(3, share), blobs(4, share)
    places = np.argwhere(one)
    tree, transform = (way(places, two, np.array(SPACING_MM)) for way in (_by_tree, _by_transform))
    assert np.allclose(tree.distance_mm, transform.distance_mm)
    steps = (np.argwhere(one) - transform.voxel) * SPACING_MM
    assert np.allclose(np.linalg.norm(steps, axis=1), tree.distance_mm)
    assert two[tuple(transform.voxel.T)].all()
    chosen = nearest(one, two, SPACING_MM)
    assert np.allclose(chosen.distance_mm, tree.distance_mm)
    assert two[tuple(chosen.voxel.T)].all()
