"""The Fréchet distance and scattering features."""

import numpy as np
import pytest
import scipy.linalg
from scipy.ndimage import gaussian_filter

from benchmark.metrics import scattering
from benchmark.metrics.distances import offline_distance
from benchmark.metrics.frechet import frechet_distance


def by_matrix_square_root(a: np.ndarray, b: np.ndarray) -> float:
    one, two = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(one @ two)
    gap = a.mean(0) - b.mean(0)
    return float(gap @ gap + np.trace(one) + np.trace(two) - 2 * np.trace(root.real))


@pytest.mark.parametrize("n", [30, 80, 300])
@pytest.mark.parametrize("m", [40, 200])
def test_the_nuclear_norm_form_equals_the_matrix_square_root(n: int, m: int) -> None:
    rng = np.random.default_rng(n + m)
    mix = rng.standard_normal((24, 24))
    a, b = rng.standard_normal((n, 24)) @ mix, rng.standard_normal((m, 24)) + 0.5
    assert frechet_distance(a, b) == pytest.approx(by_matrix_square_root(a, b), rel=1e-7)


def test_the_distance_is_symmetric_and_zero_to_itself() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((50, 64)), rng.standard_normal((20, 64))
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a))
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)


def test_too_few_samples_and_unequal_dimensions_are_refused() -> None:
    with pytest.raises(ValueError, match="2 samples"):
        frechet_distance(np.ones((1, 3)), np.ones((5, 3)))
    with pytest.raises(ValueError, match=r"\(n, d\)"):
        frechet_distance(np.ones((5, 2)), np.ones((5, 3)))


def images(seed: int, n: int = 128, side: int = 32) -> np.ndarray:
    rng = np.random.default_rng(seed)
    fields = gaussian_filter(rng.standard_normal((n, side, side)), (0, 1.5, 1.5))
    return np.clip(2 * fields[:, None], -1, 1).astype(np.float32)


@pytest.mark.parametrize("side", [32, 64, 96])
def test_scattering_takes_patches_of_every_preset(side: int) -> None:
    features = scattering.features(images(0, 3, side))
    assert features.shape == (3, 26)
    assert np.isfinite(features).all()


def test_scattering_does_not_see_a_shift_and_sees_a_blur() -> None:
    plain = images(0, 8)
    shifted = np.roll(plain, (3, 5), (2, 3))
    blurred = gaussian_filter(plain, (0, 0, 1, 1))
    here, there, soft = (scattering.features(x) for x in (plain, shifted, blurred))
    assert np.allclose(here, there, atol=1e-4)
    assert np.abs(here - soft).max() > 0.05


def test_the_offline_distance_grows_with_noise() -> None:
    real, other = images(0), images(1)
    rng = np.random.default_rng(2)
    noise = rng.standard_normal(other.shape).astype(np.float32)
    far = [offline_distance(real, np.clip(other + s * noise, -1, 1)) for s in (0, 0.1, 0.2, 0.4)]
    assert far == sorted(far)
    assert far[1] > 2 * far[0]
