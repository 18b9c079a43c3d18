"""The search for copies: does a synthetic patch lie nearer to a fitted patient than strangers do?

How near strangers come is measured on held-out patients: each of their patches is compared with all
patches of the fitted patients. Synthetic patches are compared in the same way. A copy is likely
where they come much nearer. But a smooth or simple patch is more like anybody's. So synthetic
patches are compared with the held-out patients' patches too: who copied nobody is no nearer to the
fitted patients than to as many others. All limits are fixed here, before anything is looked at:

* *Many.* At most ``SHARE`` of the synthetic patches may be more like a fitted patient's than
  ``STRANGERS`` of the held-out patients' patches are, unless as many are so like a held-out
  patient's. Both "more" and "as many" are exact binomial tests at ``MISTAKE``.
* *One.* None (by masks, no more than two) may be nearer than ``NEAREST`` of the least distance
  (1 - likeness) of any held-out patch, unless it is as near to a held-out patient's.

Likeness is taken in three ways, over all eight orientations: of images, by their correlation; of
vessel masks, by Dice; and of both at once, by the lesser of the two with one and the same patch.
Masks are compared because a copied vessel tree reveals a patient under another texture too
(RELICT-NI, PMC12602640). Masks of few pixels are alike by chance: those under ``FEWEST_PIXELS`` do
not count, and those under ``LARGE_PIXELS`` do not count for *one*.
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
FEWEST_PIXELS, LARGE_PIXELS = 20, 60
"""Vessel pixels of a mask, at the side that is compared."""

ALIKE = {"images": 0, "masks": 2, "both": 0}
"""How many synthetic patches may be so near by chance: simple vessels look alike."""

LEAST = 2000
"""The least number of synthetic patches that are looked at, however few are released, and the most
held-out ones. The fitted patients' are all looked at."""

SIDE, CHUNK = 32, 2048
"""Larger patches are reduced to this side; so many are compared with so many at a time."""

LAWS = (
    f"By images, by vessel masks and by both, at most {SHARE:.0%} of the synthetic patches may be "
    f"more like a fitted patient's than {STRANGERS:.0%} of the held-out patients' patches are "
    f"(exact binomial test, p < {MISTAKE:g}), unless as many are so like a held-out patient's.",
    f"None may be nearer to a fitted patient's than {NEAREST:g} of the least distance of a "
    "held-out patient's patch by images or by both, and no more than two by large vessel masks, "
    "unless they are as near to a held-out patient's.",
)


class Likeness(NamedTuple):
    """How alike patches are to the nearest patch of some others, each ``(n,)`` in [-1, 1].

    Attributes:
        images: By the correlation of their pixels.
        masks: By Dice; NaN for masks of few pixels.
        both: The lesser of the two with one patch; NaN for masks of few pixels.
        pixels: The vessel pixels of each patch.
    """

    images: NDArray[np.float64]
    masks: NDArray[np.float64]
    both: NDArray[np.float64]
    pixels: NDArray[np.float64]

    def of(self, kind: str, *, large: bool = False) -> NDArray[np.float64]:
        """Return the likeness by one of ``KINDS``; with ``large``, NaN for masks of some pixels."""
        found: NDArray[np.float64] = getattr(self, kind)
        few = large and kind == "masks"
        return np.where(self.pixels < LARGE_PIXELS, np.nan, found) if few else found


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
        synthetic: The patches to be released, and enough others of the generator.
        fitted: The fitted patients' patches.
        held_out: Held-out patients' patches, cut in the same way.
        seed: Chooses among patches where there are more than are compared.

    Raises:
        DataError: If there is no held-out patch.
    """
    if not len(held_out):
        raise DataError(
            "There is no held-out patient, so nobody knows how near strangers come; give some "
            "patients of the cohort the split test in participants.tsv."
        )
    even = min(len(fitted), len(held_out))
    ours = likeness(synthetic, fitted)
    theirs = likeness(_some(held_out, LEAST, seed), fitted)
    evenly = likeness(synthetic, _some(fitted, even, seed))
    others = likeness(synthetic, _some(held_out, even, seed))
    figures: dict[str, float] = {}
    for kind in KINDS:
        for name, value in _many(kind, ours, theirs, evenly, others).items():
            figures[f"{name} by {kind}"] = value
        figures[f"copies by {kind}"] = _copies(kind, ours, theirs, others)
    return Nearness(_holds(figures), len(synthetic), figures)


def _many(
    kind: str, ours: Likeness, theirs: Likeness, evenly: Likeness, others: Likeness
) -> dict[str, float]:
    """The share of ours beyond the strangers' limit, and the p-values of both tests."""
    mine, limits = _there(ours.of(kind)), _there(theirs.of(kind))
    if not (len(mine) and len(limits)):
        return {"share beyond strangers": 0.0, "p of the share": 1.0, "p of the fitted": 1.0}
    limit = np.quantile(limits, STRANGERS)
    beyond = int((mine > limit).sum())
    near, far = (int((_there(one.of(kind)) > limit).sum()) for one in (evenly, others))
    return {
        "share beyond strangers": beyond / len(mine),
        "p of the share": float(binom.sf(beyond - 1, len(mine), SHARE)),
        "p of the fitted": float(binom.sf(near - 1, near + far, 0.5)) if near + far else 1.0,
    }


def _copies(kind: str, ours: Likeness, theirs: Likeness, others: Likeness) -> float:
    """How many of ours are far nearer to a fitted patient than strangers, and they to others."""
    limits = _there(theirs.of(kind, large=True))
    if not len(limits):
        return 0.0
    distance, elsewhere = 1 - ours.of(kind, large=True), 1 - others.of(kind, large=True)
    near = distance < NEAREST * max(0.0, 1 - float(limits.max()))
    return float((near & (distance < NEAREST * elsewhere)).sum())


def _there(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values[~np.isnan(values)]


def _holds(figures: Mapping[str, float]) -> bool:
    many = any(
        max(figures[f"p of the share by {kind}"], figures[f"p of the fitted by {kind}"]) < MISTAKE
        for kind in KINDS
    )
    return not many and all(figures[f"copies by {kind}"] <= ALIKE[kind] for kind in KINDS)


def likeness(patches: Patches, others: Patches) -> Likeness:
    """Find how alike each patch is to the nearest of others, in any orientation.

    Args:
        patches: The patches.
        others: Those that they are compared with; at least one.
    """
    parts = [_likeness(some, others) for some in _parts(patches)]
    columns = zip(*parts, strict=True)
    return Likeness(*(np.concatenate([*column, np.empty(0)]) for column in columns))


def _likeness(patches: Patches, others: Patches) -> Likeness:
    images, masks = _pixels(patches)
    best = torch.full((3, len(patches)), -1.0)
    turned = [*zip(_turned(images), _turned(masks), strict=True)]
    for some in _parts(others):
        theirs, their_masks = (part.flatten(1) for part in _pixels(some))
        for ours, our_masks in turned:
            correlation = ours @ theirs.T
            sizes = our_masks.sum(1)[:, None] + their_masks.sum(1)[None]
            dice = 2 * (our_masks @ their_masks.T) / sizes.clamp(min=1e-6)
            both = torch.minimum(correlation, dice)
            found = torch.stack([one.amax(1) for one in (correlation, dice, both)])
            best = torch.maximum(best, found)
    pixels = masks.flatten(1).sum(1)
    best[1:, pixels < FEWEST_PIXELS] = torch.nan
    by_images, by_masks, by_both = best.double().numpy()
    return Likeness(by_images, by_masks, by_both, pixels.double().numpy())


def _parts(patches: Patches) -> Iterator[Patches]:
    """The patches, some at a time; the last part may be empty."""
    for start in range(0, max(1, len(patches)), CHUNK):
        part = slice(start, start + CHUNK)
        yield Patches(images=patches.images[part], masks=patches.masks[part])


def _pixels(patches: Patches) -> tuple[Tensor, Tensor]:
    """Images without their mean and of length 1, and masks, ``(n, side, side)``."""
    images, masks = (
        torch.from_numpy(np.array(part, np.float32)) for part in (patches.images, patches.masks)
    )
    if patches.size > SIDE:
        images, masks = F.adaptive_avg_pool2d(images, SIDE), F.adaptive_max_pool2d(masks, SIDE)
    images = images - images.mean((2, 3), keepdim=True)
    length = images.flatten(1).norm(dim=1).clamp(min=1e-6)
    return (images / length[:, None, None, None])[:, 0], masks[:, 0]


def _turned(pixels: Tensor) -> list[Tensor]:
    """All eight orientations, each ``(n, side²)``."""
    mirrored = (pixels, pixels.transpose(1, 2))
    return [torch.rot90(one, k, (1, 2)).flatten(1) for one in mirrored for k in range(4)]


def _some(patches: Patches, most: int, seed: int) -> Patches:
    """At most so many of them."""
    if len(patches) <= most:
        return patches
    rows = np.random.default_rng(stream(seed, "nearest real")).choice(len(patches), most, False)
    return Patches(images=patches.images[rows], masks=patches.masks[rows])
