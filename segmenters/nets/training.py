"""The parts that segmenters share when they learn from patches: losses, augmentation, threshold."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.core.patches import Patches

ROTATION_DEGREES = 30.0
SHEAR_DEGREES = 20.0
THRESHOLDS = 99
HIGH = (0.993, 0.995, 0.997, 0.998, 0.999)
"""Further thresholds that are tried where patches are weighted to a brain."""


def soft_dice(logits: Tensor, masks: Tensor) -> Tensor:
    """Compute 1 - Dice of the whole batch, with probabilities as the prediction."""
    probabilities = logits.sigmoid()
    overlap = (probabilities * masks).sum()
    return 1 - (2 * overlap + 1) / (probabilities.sum() + masks.sum() + 1)


def dice_and_cross_entropy(logits: Tensor, masks: Tensor) -> Tensor:
    """Compute the sum of both losses, for networks that must leave the all-background start."""
    return soft_dice(logits, masks) + F.binary_cross_entropy_with_logits(logits, masks)


def loss_of_each(logits: Tensor, masks: Tensor) -> Tensor:
    """Compute the same sum for every patch by itself, ``(n,)``; none depends on another patch."""
    logits, masks = logits.flatten(1), masks.flatten(1)
    probabilities = logits.sigmoid()
    overlap = (probabilities * masks).sum(1)
    dice = (2 * overlap + 1) / (probabilities.sum(1) + masks.sum(1) + 1)
    entropy = F.binary_cross_entropy_with_logits(logits, masks, reduction="none").mean(1)
    return 1 - dice + entropy


def flips(images: Tensor, masks: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Flip the whole batch along each side and transpose it, each with probability one half."""
    for dims in ((-1,), (-2,)):
        if torch.rand((), generator=rng) < 0.5:
            images, masks = images.flip(dims), masks.flip(dims)
    if torch.rand((), generator=rng) < 0.5:
        images, masks = images.mT, masks.mT
    return images, masks


def affine(images: Tensor, masks: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Rotate by up to ±30°, shear by up to ±20° and flip vertically, sample by sample.

    This is the paper's augmentation.
    """
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


class Batches:
    """Draws patches with repeats.

    Args:
        patches: All patches.
        size: The size of a batch.
        share: The share of a batch that has a vessel in the middle; 0 to take patches as they come.
        rng: The random generator.
    """

    def __init__(self, patches: Patches, size: int, share: float, rng: torch.Generator) -> None:
        self.rng = rng
        self._images = torch.from_numpy(patches.images)
        self._masks = torch.from_numpy(patches.masks).float()
        self._size, self._share = size, share
        centred = torch.from_numpy(patches.centred)
        self._kinds = [torch.nonzero(kind)[:, 0] for kind in (centred, ~centred)]
        if not all(map(len, self._kinds)):
            self._share = 0.0  # there is nothing to choose between

    def next(self) -> tuple[Tensor, Tensor]:
        """Draw the images and masks of one batch."""
        if not self._share:
            chosen = self._any(torch.arange(len(self._images)), self._size)
        else:
            extra = float(torch.rand((), generator=self.rng))
            many = min(self._size, int(self._share * self._size + extra))
            parts = zip(self._kinds, (many, self._size - many), strict=True)
            chosen = torch.cat([self._any(kind, count) for kind, count in parts])
        return self._images[chosen], self._masks[chosen]

    def _any(self, among: Tensor, many: int) -> Tensor:
        return among[torch.randint(len(among), (many,), generator=self.rng)]


def weights_of(patches: Patches, brain_share: float) -> Tensor | None:
    """Compute weights of patches that make them represent a brain.

    In a brain, ``brain_share`` of all patches around its voxels have a vessel in the middle; among
    the given patches another share has. The weights are the ratio of the two (importance weighting,
    Horvitz and Thompson 1952, JASA 47, p. 663).

    Args:
        patches: The patches.
        brain_share: The share in a brain; 0 for no weights.

    Returns:
        ``(n,)``, of mean 1; ``None`` if all are 1.
    """
    centred = torch.from_numpy(patches.centred)
    have = float(centred.double().mean())
    if not brain_share or not 0 < have < 1:
        return None
    return torch.where(centred, brain_share / have, (1 - brain_share) / (1 - have)).double()


class Threshold(NamedTuple):
    """A threshold, with its Dice and the Dice of marking everything.

    Attributes:
        threshold: The probability above which a pixel is marked.
        dice: Its Dice.
        constant: The Dice of marking everything.
    """

    threshold: float
    dice: float
    constant: float


def best_threshold(
    probabilities: Tensor, masks: Tensor, weights: Tensor | None = None
) -> Threshold:
    """Find the probability in (0, 1) above which marking gives the highest Dice over all pixels.

    A network that separates well may put every probability below one half. At one half its Dice
    would then be zero.

    Args:
        probabilities: ``(n, 1, H, W)``.
        masks: Of that shape.
        weights: The weight of each patch, ``(n,)``; all the same if ``None``.
    """
    edges = torch.cat([torch.logspace(-4, -1.3, 30), torch.linspace(0.05, 0.99, THRESHOLDS)])
    if weights is not None:  # rare vessels are marked from higher probabilities on
        edges = torch.cat([edges, torch.tensor(HIGH)])
    vessel, place = masks > 0.5, torch.bucketize(probabilities, edges, out_int32=True)
    pixels = None if weights is None else weights.view(-1, 1, 1, 1).expand(masks.shape)

    def counts(some: Tensor) -> Tensor:
        each = None if pixels is None else pixels[some]
        return torch.bincount(place[some], each, minlength=len(edges) + 1)

    hits, false = counts(vessel), counts(~vessel)
    total, others = hits.sum(), false.sum()
    above, wrong = (found.flip(0).cumsum(0).flip(0)[1:] for found in (hits, false))
    dice = 2 * above / (above + wrong + total).clamp(min=1)
    best, constant = int(dice.argmax()), 2 * total / (2 * total + others).clamp(min=1)
    return Threshold(float(edges[best]), float(dice[best]), float(constant))


def dice_at(threshold: float, probabilities: Tensor, masks: Tensor) -> float:
    """Compute the Dice of marking what is above a threshold, over all pixels."""
    marked, vessel = probabilities > threshold, masks > 0.5
    total = int(marked.sum()) + int(vessel.sum())
    return 2 * int((marked & vessel).sum()) / total if total else 1.0
