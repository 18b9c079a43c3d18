"""The rest of the line: patching, a U-Net step and prediction, the Fréchet distance."""

from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch

from benchmark.core.patches import Patches
from benchmark.core.protocol import Recipe
from benchmark.core.segmenter import TrainContext
from benchmark.data.layouts import read_cohort
from benchmark.data.patching import extract
from benchmark.metrics.frechet import frechet_distance
from benchmark.metrics.scattering import features
from generators.simulation import appearance, blocks
from segmenters.unet import Unet, UnetParams


def _patches(n: int) -> Patches:
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (n, 1, 32, 32)).astype(np.float32)
    return Patches(images=images, masks=(images > 0.8).astype(np.uint8))


def test_patching_a_patient(benchmark, tiny_cohort: Path) -> None:
    patients = read_cohort(tiny_cohort).split("train")[:1]
    patches = benchmark(extract, patients, Recipe(size=32, per_patient=1000), seed=0)
    assert patches.size == 32


def test_simulated_patches(benchmark) -> None:
    rng = np.random.default_rng(0)

    def shown() -> int:
        images, _ = appearance.photographed(blocks.draw(20, 32, 0.8, rng), rng)
        return len(images)

    assert benchmark(shown) == 20 * blocks.CUT


def test_unet_steps(benchmark) -> None:
    torch.set_num_threads(1)
    unet = Unet(UnetParams(iterations=10))
    benchmark(unet.fit, _patches(64), TrainContext(seed=0))
    assert 0 < unet.threshold < 1


def test_unet_prediction_of_a_volume(benchmark) -> None:
    torch.set_num_threads(1)
    unet = Unet(UnetParams(iterations=1))
    unet.fit(_patches(64), TrainContext(seed=0))
    volume = np.zeros((160, 192, 16), np.float32)
    assert benchmark(unet.predict, volume, (0.5, 0.5, 0.8)).shape == volume.shape


def test_scattering(benchmark) -> None:
    torch.set_num_threads(1)
    assert len(benchmark(features, _patches(256).images)) == 256


@pytest.mark.parametrize("dims", [256, 2048])
def test_frechet_distance(benchmark, dims: int) -> None:
    one, other = np.random.default_rng(0).standard_normal((2, 512, dims))
    benchmark.group = f"Fréchet distance, n = 512, {dims} dims"
    assert benchmark(frechet_distance, one, other) > 0


def test_frechet_distance_by_the_usual_square_root(benchmark) -> None:
    one, other = np.random.default_rng(0).standard_normal((2, 512, 256))
    benchmark.group = "Fréchet distance, n = 512, 256 dims"

    def usual() -> float:
        covariances = [np.cov(features, rowvar=False) for features in (one, other)]
        root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
        gap = one.mean(0) - other.mean(0)
        return float(gap @ gap + np.trace(covariances[0] + covariances[1] - 2 * root))

    assert benchmark(usual) == pytest.approx(frechet_distance(one, other), rel=1e-6)
