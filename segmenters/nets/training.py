"""What segmenters share when they learn from patches: losses, augmentation, the threshold."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

ROTATION_DEGREES = 30.0
SHEAR_DEGREES = 20.0
THRESHOLDS = 99


def soft_dice(logits: Tensor, masks: Tensor) -> Tensor:
    """1 - Dice of the whole batch, with probabilities in the place of the prediction."""
    probabilities = logits.sigmoid()
    overlap = (probabilities * masks).sum()
    return 1 - (2 * overlap + 1) / (probabilities.sum() + masks.sum() + 1)


def dice_and_cross_entropy(logits: Tensor, masks: Tensor) -> Tensor:
    """The sum of both, for networks that must leave the all-background start."""
    return soft_dice(logits, masks) + F.binary_cross_entropy_with_logits(logits, masks)


def loss_of_each(logits: Tensor, masks: Tensor) -> Tensor:
    """The same sum for every patch by itself, ``(n,)``: none depends on another patch."""
    logits, masks = logits.flatten(1), masks.flatten(1)
    probabilities = logits.sigmoid()
    overlap = (probabilities * masks).sum(1)
    dice = (2 * overlap + 1) / (probabilities.sum(1) + masks.sum(1) + 1)
    entropy = F.binary_cross_entropy_with_logits(logits, masks, reduction="none").mean(1)
    return 1 - dice + entropy


def flips(images: Tensor, masks: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Flips the whole batch along each side and transposes it, each with probability one half."""
    for dims in ((-1,), (-2,)):
        if torch.rand((), generator=rng) < 0.5:
            images, masks = images.flip(dims), masks.flip(dims)
    if torch.rand((), generator=rng) < 0.5:
        images, masks = images.mT, masks.mT
    return images, masks


def affine(images: Tensor, masks: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Rotation ±30°, shear ±20° and a vertical flip, sample by sample, as the paper does."""
    n = len(images)
    turn, shear = (
        math.radians(most) * (2 * torch.rand(n, generator=rng) - 1)
        for most in (ROTATION_DEGREES, SHEAR_DEGREES)
    )
    flip = 1 - 2 * (torch.rand(n, generator=rng) < 0.5).float()
    rows = [
        [turn.cos(), -turn.sin() + shear.tan(), torch.zeros(n)],
        [flip * turn.sin(), flip * turn.cos(), torch.zeros(n)],
    ]
    theta = torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    return moved, F.grid_sample(masks, grid, mode="nearest", align_corners=False)


LOSSES = {"dice": soft_dice, "dice+bce": dice_and_cross_entropy}
AUGMENTATIONS = {"flips": flips, "affine": affine}


def best_threshold(probabilities: Tensor, masks: Tensor) -> float:
    """The probability in (0, 1) above which marking gives the highest Dice over all pixels.

    A network that separates well may put every probability below one half; at one half its Dice
    would be zero.
    """
    edges = torch.cat([torch.logspace(-4, -1.3, 30), torch.linspace(0.05, 0.99, THRESHOLDS)])
    vessel = masks > 0.5
    hits = torch.bucketize(probabilities[vessel], edges)
    false = torch.bucketize(probabilities[~vessel], edges)
    size = len(edges) + 1
    true_positive = hits.bincount(minlength=size).flip(0).cumsum(0).flip(0)[1:]
    false_positive = false.bincount(minlength=size).flip(0).cumsum(0).flip(0)[1:]
    dice = 2 * true_positive / (true_positive + false_positive + vessel.sum()).clamp(min=1)
    return float(edges[dice.argmax()])


def dice_at(threshold: float, probabilities: Tensor, masks: Tensor) -> float:
    """Dice of what lies above a threshold, over all pixels."""
    marked, vessel = probabilities > threshold, masks > 0.5
    total = int(marked.sum()) + int(vessel.sum())
    return 2 * int((marked & vessel).sum()) / total if total else 1.0
