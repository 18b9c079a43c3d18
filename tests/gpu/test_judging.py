"""What judges synthetic patches on a card: the U-Net, features, and a whole cell."""

import copy
from pathlib import Path

import numpy as np
import pytest
from command import SMALL, STEPS, UNTRACKED, bench, results
from random_weights import write_random_weights

from benchmark.core.patches import Patches
from benchmark.core.segmenter import TrainContext
from benchmark.metrics import inception, scattering
from benchmark.privacy.arithmetic import BF16, EXACT, has_bf16
from segmenters.attention_unet import AttentionUnet, AttentionUnetParams
from segmenters.unet import Unet, UnetParams

MM = (1.0, 1.0, 1.0)


def bars(n: int, seed: int) -> Patches:
    rng = np.random.default_rng(seed)
    masks = np.zeros((n, 1, 32, 32), np.uint8)
    for mask, column in zip(masks, rng.integers(4, 28, n), strict=True):
        mask[0, :, column : column + 2] = 1
    images = np.clip(masks + 0.2 * rng.standard_normal(masks.shape) - 0.6, -1, 1)
    return Patches(images=images.astype(np.float32), masks=masks)


@pytest.mark.parametrize("arithmetic", [EXACT, BF16])
def test_a_unet_learns_and_marks_on_a_card_as_on_a_cpu(device: str, arithmetic: str) -> None:
    if arithmetic == BF16 and not has_bf16(device):
        pytest.skip("this device has no bf16 arithmetic")
    unet = Unet(UnetParams(iterations=60, arithmetic=arithmetic))
    unet.fit(bars(128, 0), TrainContext(seed=0, device=device))
    unseen = bars(16, 1)
    volume = np.ascontiguousarray(unseen.images[:, 0].transpose(1, 2, 0))
    truth = unseen.masks[:, 0].transpose(1, 2, 0) > 0
    found = unet.predict(volume, MM)
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.9
    other = copy.deepcopy(unet)
    other._net, other._device = other._net.cpu(), "cpu"
    tolerance = 1e-3 if arithmetic == EXACT else 0.1
    assert np.abs(other.margin(volume, MM) - unet.margin(volume, MM)).max() < tolerance


def test_an_attention_unet_marks_on_a_card(device: str) -> None:
    unet = AttentionUnet(AttentionUnetParams(width=4, iterations=5, batch=8))
    unet.fit(bars(32, 0), TrainContext(seed=0, device=device))
    volume = np.random.default_rng(1).uniform(-1, 1, (50, 61, 5)).astype(np.float32)
    assert unet.predict(volume, MM).shape == volume.shape


@pytest.mark.parametrize("size", [32, 96])
def test_scattering_features_are_the_cpus(device: str, size: int) -> None:
    images = np.random.default_rng(0).uniform(-1, 1, (70, 1, size, size)).astype(np.float32)
    here, there = scattering.features(images), scattering.features(images, device=device)
    assert np.allclose(here, there, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dims", [64, 2048])
def test_inception_features_are_the_cpus(device: str, dims: int, tmp_path: Path) -> None:
    file = write_random_weights(tmp_path / "hub" / "weights.pth")
    images = np.random.default_rng(0).uniform(-1, 1, (20, 1, 32, 32)).astype(np.float32)
    here, there = (
        inception.features(inception.load_network(file, dims), images, device=place)
        for place in ("cpu", device)
    )
    assert np.allclose(here, there, rtol=1e-3, atol=1e-4 * np.abs(here).max())


def test_a_cell_runs_from_patches_to_scores(
    device: str, tested_cohort: Path, tmp_path: Path
) -> None:
    asked = ["run", "--generator", "dp-wgan,dp-merf", "--epsilon", "5", "--no-bookends"]
    asked += ["--dp-segmenter", "--set", "dp-segmenter.steps=4", "--set", "dp-segmenter.batch=16"]
    asked += ["--data", str(tested_cohort), "--device", device, "--set", "dp-merf.steps=3"]
    done = bench(*asked, *STEPS, *SMALL, *UNTRACKED, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    found = results(tmp_path)
    assert {one["spec"]["generator"]["name"] for one in found} == {
        "dp-wgan",
        "dp-merf",
        "dp-segmenter",
    }
    assert all(one["status"] == "done" for one in found)
