"""The search for copies: does a synthetic patch lie nearer to a fitted patient than strangers do?

How near strangers come is measured on held-out patients: each of their patches is compared with all
patches of the fitted patients. Synthetic patches are compared in the same way. A copy is likely
where they come much nearer. All limits are fixed here, before anything is looked at:

* at most ``SHARE`` of the synthetic patches may be more alike than ``STRANGERS`` of the held-out
  patients' patches are, of which 1 - ``STRANGERS`` are; more is more if an exact binomial test says
  so at ``MISTAKE``;
* none may be nearer than half of the least distance (1 - likeness) of any held-out patch.

Likeness is taken in three ways, over all eight orientations: of images, by their correlation; of
vessel masks, by Dice; and of both at once, by the lesser of the two with one and the same patch.
Masks are compared because a copied vessel tree reveals a patient under another texture too
(RELICT-NI, PMC12602640). Masks of few pixels are alike by chance, and do not count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.stats import binom
from torch import Tensor

from benchmark.core.errors import DataError
from benchmark.core.patches import Patches
from benchmark.core.seeds import stream

STRANGERS, SHARE, MISTAKE = 0.99, 0.05, 0.01
NEAREST = 0.5
KINDS = ("images", "masks", "both")
BEYOND, P = "share beyond strangers by", "p by"
FEWEST_PIXELS = 20
"""Masks with fewer vessel pixels are alike by chance."""

MOST = 2000
"""How many held-out patches are compared. All synthetic and all fitted ones are."""

SIDE, CHUNK = 32, 4096
"""Larger patches are averaged to this side; so many fitted patches are compared at a time."""

LAWS = (
    f"By images, by vessel masks and by both, at most {SHARE:.0%} of the synthetic patches may be "
    f"more like a fitted patient's than {STRANGERS:.0%} of the held-out patients' patches are "
    f"(exact binomial test, p < {MISTAKE:g}).",
    f"By images and by both, none may be nearer to a fitted patient's than {NEAREST:g} of the "
    "least distance of a held-out patient's patch.",
)


class Likeness(NamedTuple):
    """How alike patches are to the nearest patch of a fitted patient, each ``(n,)`` in [-1, 1].

    Attributes:
        images: By the correlation of their pixels.
        masks: By Dice; NaN for masks of few pixels.
        both: The lesser of the two with one patch; NaN for masks of few pixels.
    """

    images: NDArray[np.float64]
    masks: NDArray[np.float64]
    both: NDArray[np.float64]


class Nearness(NamedTuple):
    """The result of the search.

    Attributes:
        passed: Whether all limits hold.
        samples: How many synthetic patches were compared.
        figures: What was measured, by name: it concerns patients, and no ε covers it.
    """

    passed: bool
    samples: int
    figures: Mapping[str, float]


def nearness(synthetic: Patches, fitted: Patches, held_out: Patches, *, seed: int) -> Nearness:
    """Compare synthetic patches with those of fitted patients, as held-out ones compare.

    Args:
        synthetic: The patches to be released.
        fitted: The fitted patients' patches.
        held_out: Held-out patients' patches, cut in the same way.
        seed: Chooses the held-out patches that are compared where there are many.

    Raises:
        DataError: If there is no held-out patch.
    """
    if not len(held_out):
        raise DataError(
            "There is no held-out patient, so nobody knows how near strangers come; give some "
            "patients of the cohort the split test in participants.tsv."
        )
    ours, theirs = likeness(synthetic, fitted), likeness(_some(held_out, seed), fitted)
    figures = {
        f"{name} {kind}": value
        for kind in KINDS
        for name, value in _compared(getattr(ours, kind), getattr(theirs, kind)).items()
    }
    return Nearness(_holds(figures), len(synthetic), figures)


def _compared(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> dict[str, float]:
    """The share of ours beyond the strangers' limit, its p-value, and both least distances."""
    ours, theirs = ours[~np.isnan(ours)], theirs[~np.isnan(theirs)]
    if not (len(ours) and len(theirs)):
        return {**dict.fromkeys((BEYOND, "of strangers by"), 0.0), P: 1.0, "least distance by": 1.0}
    beyond = ours > np.quantile(theirs, STRANGERS)
    return {
        BEYOND: float(beyond.mean()),
        P: float(binom.sf(beyond.sum() - 1, len(ours), SHARE)),
        "least distance by": max(0.0, 1 - float(ours.max())),
        "of strangers by": max(0.0, 1 - float(theirs.max())),
    }


def _holds(figures: Mapping[str, float]) -> bool:
    few = all(figures[f"{P} {kind}"] >= MISTAKE for kind in KINDS)
    return few and not any(
        figures[f"least distance by {kind}"] < NEAREST * figures[f"of strangers by {kind}"]
        for kind in ("images", "both")
    )


def likeness(patches: Patches, others: Patches) -> Likeness:
    """Find how alike each patch is to the nearest of others, in any orientation.

    Args:
        patches: The patches.
        others: Those that they are compared with; at least one.
    """
    images, masks = _pixels(patches)
    best = torch.full((3, len(patches)), -1.0)
    turned = [*zip(_turned(images), _turned(masks), strict=True)]
    for theirs, their_masks in _parts(others):
        for ours, our_masks in turned:
            correlation = ours @ theirs.T
            sizes = our_masks.sum(1)[:, None] + their_masks.sum(1)[None]
            dice = 2 * (our_masks @ their_masks.T) / sizes.clamp(min=1e-6)
            both = torch.minimum(correlation, dice)
            found = torch.stack([one.amax(1) for one in (correlation, dice, both)])
            best = torch.maximum(best, found)
    best[1:, masks.flatten(1).sum(1) < FEWEST_PIXELS] = torch.nan
    return Likeness(*best.double().numpy())


def _parts(others: Patches) -> Iterator[tuple[Tensor, Tensor]]:
    for start in range(0, len(others), CHUNK):
        part = slice(start, start + CHUNK)
        some = Patches(images=others.images[part], masks=others.masks[part])
        images, masks = _pixels(some)
        yield images.flatten(1), masks.flatten(1)


def _pixels(patches: Patches) -> tuple[Tensor, Tensor]:
    """Images without their mean and of length 1, and masks, ``(n, side, side)``."""
    images, masks = (
        torch.from_numpy(np.array(part, np.float32)) for part in (patches.images, patches.masks)
    )
    if patches.size > SIDE:
        images, masks = (F.adaptive_avg_pool2d(part, SIDE) for part in (images, masks))
    images = images - images.mean((2, 3), keepdim=True)
    length = images.flatten(1).norm(dim=1).clamp(min=1e-6)
    return (images / length[:, None, None, None])[:, 0], masks[:, 0]


def _turned(pixels: Tensor) -> list[Tensor]:
    """All eight orientations, each ``(n, side²)``."""
    mirrored = (pixels, pixels.transpose(1, 2))
    return [torch.rot90(one, k, (1, 2)).flatten(1) for one in mirrored for k in range(4)]


def _some(patches: Patches, seed: int) -> Patches:
    """At most ``MOST`` of them."""
    if len(patches) <= MOST:
        return patches
    rows = np.random.default_rng(stream(seed, "nearest real")).choice(len(patches), MOST, False)
    return Patches(images=patches.images[rows], masks=patches.masks[rows])
