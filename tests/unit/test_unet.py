"""The U-Net: its shapes, its threshold, its augmentation."""

import numpy as np
import pytest
import torch

from benchmark.core.patches import Patches
from benchmark.core.segmenter import TrainContext
from segmenters.nets.training import affine, best_threshold, flips, soft_dice
from segmenters.unet import Unet, UnetParams


def tubes(n: int) -> Patches:
    rng = np.random.default_rng(0)
    masks = np.zeros((n, 1, 32, 32), np.uint8)
    for mask in masks:
        column = rng.integers(4, 28)
        mask[0, :, column : column + 2] = 1
    images = np.clip(masks + 0.2 * rng.standard_normal(masks.shape) - 0.6, -1, 1)
    return Patches(images=images.astype(np.float32), masks=masks)


def dice(found: np.ndarray, truth: np.ndarray) -> float:
    return 2 * (found & truth).sum() / (found.sum() + truth.sum())


def test_the_paper_preset_has_the_papers_widths_and_takes_a_step() -> None:
    params = Unet.presets["paper"]
    assert isinstance(params, UnetParams)
    net = Unet(params).network()
    widths = {m.out_channels for m in net.modules() if isinstance(m, torch.nn.Conv2d)}
    assert widths == {32, 64, 128, 256, 512, 1}
    assert not [m for m in net.modules() if "Norm" in type(m).__name__]
    loss = soft_dice(net(torch.rand(2, 1, 96, 96)), torch.ones(2, 1, 96, 96))
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)


def test_a_learnable_task_is_learned() -> None:
    unet = Unet(UnetParams(iterations=60))
    unet.fit(tubes(128), TrainContext(seed=0))
    unseen = tubes(140)
    volume = np.ascontiguousarray(unseen.images[128:, 0].transpose(1, 2, 0))
    truth = unseen.masks[128:, 0].transpose(1, 2, 0) > 0
    assert dice(unet.predict(volume, (1.0, 1.0, 1.0)), truth) > 0.9


def test_a_low_rate_is_saved_by_the_chosen_threshold() -> None:
    """After few steps every probability may lie below one half although the order is right."""
    scores = {}
    for rule in ("half", "chosen"):
        unet = Unet(UnetParams(iterations=25, learning_rate=1e-3, threshold=rule))
        unet.fit(tubes(128), TrainContext(seed=0))
        scores[rule] = unet.threshold
    assert scores["half"] == 0.5
    assert scores["chosen"] != 0.5


def test_the_threshold_has_the_highest_dice_of_all() -> None:
    rng = torch.Generator().manual_seed(0)
    masks = (torch.rand(4, 1, 16, 16, generator=rng) < 0.1).float()
    probabilities = (0.2 * masks + 0.15 * torch.rand(masks.shape, generator=rng)).clamp(0, 1)
    chosen = best_threshold(probabilities, masks)
    truth = masks.numpy() > 0
    best = max(dice(probabilities.numpy() > t, truth) for t in np.linspace(0.001, 0.999, 999))
    assert dice(probabilities.numpy() > chosen, truth) >= best - 0.01
    assert dice(probabilities.numpy() > 0.5, truth) == 0


@pytest.mark.parametrize("augment", [flips, affine])
def test_augmentation_moves_image_and_mask_together(augment) -> None:
    rng = torch.Generator().manual_seed(1)
    masks = torch.zeros(16, 1, 32, 32)
    masks[:, :, 12:20, 6:14] = 1
    moved, marks = augment(masks * 2 - 1, masks, rng)
    agreement = ((moved > 0).float() == marks).float().mean()
    assert not torch.equal(marks, masks)
    assert agreement > 0.99
