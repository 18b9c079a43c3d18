"""Dice, 95HD and the bootstrap against independent references."""

import numpy as np
import pytest
import scipy.stats
import torch
from sklearn.metrics import f1_score

from benchmark.metrics.bootstrap import interval
from benchmark.metrics.overlap import dice
from benchmark.metrics.surface import hausdorff95

SPACING_MM = (0.5, 0.7, 1.3)


def blobs(seed: int, share: float = 0.1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    smooth = scipy.ndimage.gaussian_filter(rng.standard_normal((20, 24, 12)), 1.5)
    return smooth > np.quantile(smooth, 1 - share)


@pytest.mark.parametrize("seed", range(5))
def test_dice_is_scikit_learns_f1(seed: int) -> None:
    one, two = blobs(seed), blobs(seed + 100)
    assert dice(one, two) == pytest.approx(f1_score(two.ravel(), one.ravel()))


def test_dice_of_an_empty_prediction_is_0_and_of_two_empty_masks_1() -> None:
    truth, empty = blobs(0), np.zeros((20, 24, 12), bool)
    assert dice(empty, truth) == 0
    assert dice(empty, empty) == 1
    assert dice(truth, truth) == 1


def test_masks_of_two_shapes_are_refused() -> None:
    one, two = np.ones((2, 2, 2)), np.ones((2, 2, 3))
    with pytest.raises(ValueError, match="one shape"):
        dice(one, two)
    with pytest.raises(ValueError, match="one shape"):
        hausdorff95(one, two, SPACING_MM)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_hausdorff95_is_monais(seed: int) -> None:
    from monai.metrics import compute_hausdorff_distance

    one, two = blobs(seed), blobs(seed + 100)
    batch = [torch.from_numpy(mask)[None, None].float() for mask in (one, two)]
    theirs = compute_hausdorff_distance(
        *batch, include_background=True, percentile=95, spacing=SPACING_MM
    )
    assert hausdorff95(one, two, SPACING_MM) == pytest.approx(float(theirs), rel=1e-5)


def test_hausdorff95_counts_the_voxels_size() -> None:
    one, two = np.zeros((9, 9, 9), bool), np.zeros((9, 9, 9), bool)
    one[4, 4, 2], two[4, 4, 5] = True, True
    assert hausdorff95(one, two, (0.5, 0.5, 0.7)) == pytest.approx(2.1)
    assert hausdorff95(one, two, (0.5, 0.5, 1.4)) == pytest.approx(4.2)


def test_an_empty_prediction_is_as_far_as_the_volume_is_long() -> None:
    empty = np.zeros((20, 24, 12), bool)
    diagonal = np.linalg.norm(np.multiply(empty.shape, SPACING_MM))
    assert hausdorff95(empty, blobs(0), SPACING_MM) == pytest.approx(diagonal)
    assert hausdorff95(blobs(0), empty, SPACING_MM) == pytest.approx(diagonal)
    assert hausdorff95(empty, empty, SPACING_MM) == 0


def test_the_interval_is_scipys_percentile_bootstrap() -> None:
    values = np.random.default_rng(0).beta(5, 2, 12)
    ours = interval(values)
    theirs = scipy.stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=20_000, rng=1
    ).confidence_interval
    assert ours.mean == pytest.approx(values.mean())
    assert (ours.low, ours.high) == pytest.approx(theirs, abs=0.01)


@pytest.mark.parametrize("patients", [1, 2, 7, 20, 333, 1000])
def test_an_interval_drawn_in_parts_is_that_drawn_at_once(patients: int) -> None:
    values = np.random.default_rng(1).beta(5, 2, patients)
    drawn = np.random.default_rng(0).integers(0, patients, (2000, patients))
    expected = np.quantile(values[drawn].mean(axis=1), [(1 - 0.95) / 2, (1 + 0.95) / 2])
    assert list(interval(values)[1:]) == [*expected]


def test_one_patient_has_an_interval_of_no_width_and_none_has_none() -> None:
    assert interval([0.7]) == (0.7, 0.7, 0.7)
    with pytest.raises(ValueError, match="no patients"):
        interval([])
