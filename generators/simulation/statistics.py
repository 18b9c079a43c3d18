"""Statistics of a labelled patch: a few bounded numbers that distinguish simulators.

For vessels: how many pixels, how thick (what erosion leaves), in how many pieces, how bright, how
sharp their rims. For the ground: quantiles, and the standard deviation at three scales. A patch
without vessels has no vessel brightness. Such numbers are missing (nan), and become a public
constant later.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

NAMES = (
    "sqrt_fraction",
    "has_vessel",
    "thicker_than_2",
    "thicker_than_4",
    "pieces",
    "brightness",
    "brightness_spread",
    "rim",
    "halo",
    "low",
    "median",
    "high",
    "noise",
    "grain",
    "texture",
)
CHUNK = 512
LEAST = 1e-3


def measure(images: Array, masks: NDArray[np.uint8]) -> Array:
    """Compute the statistics ``(n, len(NAMES))`` of images ``(n, 1, H, W)`` in [-1, 1] and masks.

    Missing numbers are nan.
    """
    parts = [
        _measured(images[i : i + CHUNK, 0], masks[i : i + CHUNK, 0] > 0)
        for i in range(0, len(images), CHUNK)
    ]
    return np.concatenate([np.empty((0, len(NAMES)), np.float32), *parts])


def _measured(images: Array, masks: Mask) -> Array:
    area = masks.sum((1, 2))
    core = eroded(masks)
    bright = mean_of(images, masks)
    spread = np.sqrt(np.maximum(mean_of(images**2, masks) - bright**2, 0))
    low, median, high = np.quantile(images.reshape(len(images), -1), (0.1, 0.5, 0.9), axis=1)
    columns = (
        np.sqrt(area / masks[0].size),
        area > 0,
        _share(core, area),
        _share(eroded(core), area),
        np.where(area > 0, np.clip(_euler(masks) / 8, -1, 1), np.nan),
        bright,
        spread,
        mean_of(images, masks & ~core),
        mean_of(images, ~eroded(~masks) & ~masks),
        low,
        median,
        high,
        *(_log_std(detail, masks) for detail in _details(images)),
    )
    return np.stack([np.asarray(c, np.float32) for c in columns], axis=1)


def eroded(masks: Mask) -> Mask:
    """Remove every pixel with one of its four neighbours outside the mask.

    What lies beyond the border counts as inside.
    """
    out = masks.copy()
    out[:, 1:] &= masks[:, :-1]
    out[:, :-1] &= masks[:, 1:]
    out[:, :, 1:] &= masks[:, :, :-1]
    out[:, :, :-1] &= masks[:, :, 1:]
    return out


def _euler(masks: Mask) -> NDArray[np.int64]:
    """Pieces less holes (8-neighbours), from the corners, sides and pixels that are covered."""
    padded = np.pad(masks, ((0, 0), (1, 1), (1, 1)))
    rows, columns = padded[:, :-1] | padded[:, 1:], padded[:, :, :-1] | padded[:, :, 1:]
    corners = rows[:, :, :-1] | rows[:, :, 1:]
    sides = rows.sum((1, 2)) + columns.sum((1, 2))
    euler: NDArray[np.int64] = corners.sum((1, 2)) - sides + masks.sum((1, 2))
    return euler


def _details(images: Array) -> tuple[Array, Array, Array]:
    """What is lost from each halving of the side to the next, twice, and what is left."""
    half = _pooled(images)
    quarter = _pooled(half)
    return images - _doubled(half), _doubled(half - _doubled(quarter)), _doubled(_doubled(quarter))


def _pooled(images: Array) -> Array:
    n, h, w = images.shape
    pooled: Array = images.reshape(n, h // 2, 2, w // 2, 2).mean((2, 4))
    return pooled


def _doubled(images: Array) -> Array:
    return images.repeat(2, 1).repeat(2, 2)


def _log_std(detail: Array, masks: Mask) -> Array:
    """log₁₀ of the standard deviation away from vessels, over three decades to [0, 1]."""
    ground = ~masks
    mean = mean_of(detail, ground)
    variance = mean_of(detail**2, ground) - mean**2
    logs = np.log10(np.sqrt(np.maximum(variance, LEAST**2)))
    return np.asarray(np.clip(1 + logs / 3, 0, 1), np.float32)


def mean_of(values: Array, where: Mask) -> Array:
    """Compute the mean over some pixels of each patch; nan where there are none."""
    count = where.sum((1, 2))
    sums = (values * where).sum((1, 2))
    return _ratio(sums, count)


def _share(part: Mask, area: NDArray[np.int64]) -> Array:
    return _ratio(part.sum((1, 2)), area)


def _ratio(sums: NDArray[Any], counts: NDArray[np.int64]) -> Array:
    found = np.full(len(sums), np.nan, np.float32)
    np.divide(sums, counts, out=found, where=counts > 0)
    return found
