"""Version 1 of the data-free simulator: random bright arcs on a textured ground, in two dimensions.

It is kept so that boards drawn with it can be drawn again. Sizes are in pixels, whatever a pixel's
size.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Array = NDArray[np.float64]

MOST_VESSELS, VESSELS, IN_PLANE = 5, 1.5, 0.5
RADIUS, BEND = (0.5, 3.0), 0.3
GROUND, CONTRAST = (-0.8, 0.2), (0.3, 1.6)
TEXTURE, NOISE = 0.2, 0.15
CURVE_POINTS = 24


def draw(
    n: int, size: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Draw images ``(n, 1, size, size)`` in [-1, 1] and masks of that shape."""
    drawn = [_patch(rng, size) for _ in range(n)]
    images = np.stack([image for image, _ in drawn])[:, None].astype(np.float32)
    return images, np.stack([mask for _, mask in drawn])[:, None].astype(np.uint8)


def _patch(rng: np.random.Generator, size: int) -> tuple[Array, NDArray[np.bool_]]:
    image = rng.uniform(*GROUND) + _texture(rng, size)
    mask = np.zeros((size, size), bool)
    for _ in range(min(MOST_VESSELS, rng.poisson(VESSELS))):
        inside = _vessel(rng, size)
        image = image + inside * rng.uniform(*CONTRAST)
        mask |= inside >= 0.5
    image = image + rng.uniform(0, NOISE) * rng.standard_normal((size, size))
    return np.clip(image, -1, 1), mask


def _vessel(rng: np.random.Generator, size: int) -> Array:
    """How much of each pixel lies in one vessel, in [0, 1], the wall one pixel wide."""
    radius = rng.uniform(*RADIUS)
    middle = rng.uniform(0, size, 2)
    curve = _arc(rng, middle, size) if rng.random() < IN_PLANE else middle[None]
    grid = np.stack(np.meshgrid(*2 * [np.arange(size) + 0.5], indexing="ij"), axis=-1)
    distance = np.linalg.norm(grid[:, :, None] - curve, axis=-1).min(-1)
    inside: Array = np.clip(radius - distance + 0.5, 0, 1)
    return inside


def _arc(rng: np.random.Generator, middle: Array, size: int) -> Array:
    """Points ``(k, 2)`` of a parabola through ``middle``."""
    angle = rng.uniform(0, 2 * np.pi)
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]])
    t = np.linspace(-1, 1, CURVE_POINTS * max(1, size // 32))[:, None]
    bow = rng.uniform(-BEND, BEND)
    curve: Array = middle + size * (t * rng.uniform(0.2, 1.0) * along + bow * t**2 * across)
    return curve


def _texture(rng: np.random.Generator, size: int) -> Array:
    white = rng.standard_normal((size, size))
    smooth = gaussian_filter(white, rng.uniform(1.0, size / 6), mode="wrap")
    field: Array = smooth / smooth.std() * rng.uniform(0, TEXTURE)
    return field
