"""The U-Net: its shapes, its threshold, its augmentation."""

import numpy as np
import pytest
import torch

from benchmark.core.errors import NotLearntError
from benchmark.core.patches import Patches
from benchmark.core.segmenter import TrainContext
from segmenters.nets.training import (
    Batches,
    affine,
    best_threshold,
    flips,
    soft_dice,
    weights_of,
)
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
    chosen = best_threshold(probabilities, masks).threshold
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


def labelled(n: int, centred: int, seed: int = 0) -> Patches:
    """Patches, some with a vessel in the middle, the others with one at a corner."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((n, 1, 16, 16), np.uint8)
    masks[:centred, 0, 6:11, 6:11] = 1
    masks[centred:, 0, :2, :2] = 1
    images = np.where(masks, 0.6, -0.4) + 0.1 * rng.standard_normal(masks.shape)
    return Patches(images=images.clip(-1, 1).astype(np.float32), masks=masks)


def test_patches_are_weighted_to_a_brain_by_what_is_in_their_middle() -> None:
    weights = weights_of(labelled(100, 55), 0.01)
    assert weights.mean() == pytest.approx(1)
    assert weights[:55].sum() / weights.sum() == pytest.approx(0.01)
    assert weights_of(labelled(100, 55), 0.0) is None
    assert weights_of(labelled(100, 0), 0.01) is None


def test_a_threshold_for_a_brain_is_higher_where_false_pixels_lie_in_its_rest() -> None:
    patches = labelled(200, 100)
    masks = torch.from_numpy(patches.masks).float()
    probabilities = 0.9 * masks + 0.05
    probabilities[100:, :, 8:, 8:] = 0.7  # where only patches of the rest are wrong
    probabilities[:50][masks[:50] > 0.5] = 0.6
    even = best_threshold(probabilities, masks)
    brain = best_threshold(probabilities, masks, weights_of(patches, 0.01))
    assert even.threshold <= brain.threshold
    assert brain.threshold >= 0.7
    assert brain.dice > brain.constant


def test_a_batch_has_the_share_of_middles_that_was_asked_for() -> None:
    patches = labelled(100, 50)
    rng = torch.Generator().manual_seed(0)
    few, own = Batches(patches, 20, 0.1, rng), Batches(patches, 20, 0.0, rng)
    for batches, low, high in ((few, 1.5, 2.5), (own, 8, 12)):
        counts = [int(batches.next()[1][:, 0, 8, 8].sum()) for _ in range(50)]
        assert low <= np.mean(counts) <= high


def test_a_judge_that_learns_nothing_starts_anew_and_then_says_so() -> None:
    masks = np.random.default_rng(0).random((40, 1, 16, 16)) < 0.1
    blank = Patches(images=np.zeros(masks.shape, np.float32), masks=masks.astype(np.uint8))
    params = UnetParams(width=2, levels=3, batch=8, iterations=3, attempts=2)
    started: list[int] = []

    def progress(step: int, total: int, curves: object, /) -> None:
        started.extend([step] if step == 1 else [])

    with pytest.raises(NotLearntError, match="unet did not learn in 3 trainings"):
        Unet(params).fit(blank, TrainContext(seed=0, progress=progress))
    assert len(started) == 3


def test_a_margin_is_positive_where_it_is_marked() -> None:
    patches = labelled(40, 20)
    judge = Unet(UnetParams(width=4, levels=3, batch=16, iterations=60, brain_share=0.05))
    judge.fit(patches, TrainContext(seed=0))
    shown = patches.images[:6, 0].transpose(1, 2, 0)
    margin = judge.margin(shown, (1.0, 1.0, 1.0))
    assert np.array_equal(margin > 0, judge.predict(shown, (1.0, 1.0, 1.0)))
    assert np.abs(margin).max() <= 1
