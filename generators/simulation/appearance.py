"""The appearance of vessels in a scanner: images whose every trait is drawn anew for each patch.

This is domain randomisation in the manner of SynthSeg (Billot et al. 2023, Medical Image Analysis
86, 102789): tissues of random brightness in random smooth regions, folds, borders, shading, blur,
noise and windows, wider than any scanner's. Brightness is relative to the brightest tissue's. No
figure was found for most ranges: unless a source is named, each is a guess, wide on purpose.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from generators.simulation.raster import Drawn
from generators.simulation.traits import FREE, Traits
from generators.simulation.trees import Array, uniform

TISSUES = 4
TISSUE = (0.35, 1.0)  # grey, white and what lies between; the brightest is near 1
FLUID = (0.1, 0.8)  # cerebrospinal fluid is darker than tissue in TOF, by flip angle and TR
EDGE, EDGES = (
    (0.0, 2.0),
    ("edge", "", ""),
)  # of a region map: beyond are about half to a fortieth of all pixels
SOFT = (0.05, 0.4)  # of the edges between tissues, in deviations of a region map
NODES = (3, 5, 9)  # of the smooth fields, along a patch
SULCI, SULCUS_DEPTH, SULCUS_WIDTH = 0.6, (0.1, 0.8), (0.05, 0.35)
TEXTURE = (0.01, 0.15)
CONTRAST = (0.3, 6.0)  # of blood to tissue, log-uniform: barely visible to saturating
BLOTCHES, BLOTCH_LEVEL = 0.15, (0.2, 1.5)  # plexus, haemorrhage, calcified or enhancing tissue
SHADE = (0.0, 0.35)  # deviation of the bias field's logarithm
BLUR = (0.0, 0.9)  # point spread, deviation in pixels
SHARPENED, SHARPENING = 0.3, (0.2, 1.2)  # scanners' filters, and ringing at edges
NOISE = (0.01, 0.2)  # log-uniform
LEAST_CONTRAST_TO_NOISE = 2.0  # below, nobody marks vessels
CORRELATED, CORRELATION = 0.4, (0.4, 0.8)  # noise that was interpolated: share, pixels
BORDERED = 0.35  # share of patches that reach beyond the brain: half a side from it, in an ellipse
BORDER_BEND = 0.3
RIMMED, RIM_WIDTH = 0.5, (0.5, 6.0)  # of those: darker or brighter (fluid, bone; fat), in pixels
RIM_LEVEL = (0.05, 2.5)  # log-uniform
DARKEST = (0.0, 0.95)  # a volume's first percentile, in shares of the darker tissues
BRIGHTEST = (0.35, 1.3)  # its 99.8th, in shares of the brightest blood
LEAST_WINDOW = 1.1  # and no less than this, in shares of bright tissue, as vessels are above that


def photographed(
    drawn: Drawn, rng: np.random.Generator, traits: Traits = FREE
) -> tuple[Array, NDArray[np.uint8]]:
    """Make images and masks of patches.

    Args:
        drawn: Vessels ``(n, H, W)``.
        rng: The random generator.
        traits: Those of ``traits.OF_IMAGES`` that are not to be drawn.

    Returns:
        Images float32 ``(n, 1, H, W)`` in [-1, 1] and masks uint8 of that shape.
    """
    n = len(drawn.blood)
    contrast = _log_uniform("contrast", CONTRAST, n, traits, rng)
    depth = _depth(drawn.blood.shape, traits, rng)
    tissue = _tissue(drawn.blood.shape, traits, rng) * _rim(depth, traits, rng)
    shade = _shade(drawn.blood.shape, traits, rng)
    image = (tissue + contrast * drawn.blood) * shade
    noise = _log_uniform("noise", NOISE, n, traits, rng)
    noise = np.minimum(noise, contrast / LEAST_CONTRAST_TO_NOISE)
    image = _noisy(_sharpened(image, traits, rng), noise, traits, rng)
    brain = depth > 0
    image = np.where(brain, _windowed(image, tissue * shade, contrast, traits, rng), -1)
    return image[:, None].astype(np.float32), (drawn.mask & brain)[:, None].astype(np.uint8)


def _tissue(shape: tuple[int, ...], traits: Traits, rng: np.random.Generator) -> Array:
    """Regions of random brightness with soft edges, folds, blotches and texture."""
    n = shape[0]
    one = (n, 1, 1)
    level = uniform(TISSUE, (TISSUES, *one), rng)
    level[0], level[1] = 1, traits.uniform("fluid", FLUID, one, rng)
    level[2] = traits.replaced("tissue", TISSUE, level[2])
    image = np.broadcast_to(level[0], shape)
    for other, name in zip(level[1:], EDGES, strict=True):
        edge = traits.uniform(name, EDGE, one, rng)
        share = _step((_smooth(shape, rng) - edge) / uniform(SOFT, one, rng))
        image = image + share * (other - image)
    image = image * (1 - _sulci(shape, traits, rng)) + _blotches(shape, rng)
    grain = _smooth(shape, rng) + 0.5 * blurred(_normal(shape, rng), np.full(one, 0.8))
    return np.asarray(
        image * (1 + traits.uniform("texture", TEXTURE, one, rng) * grain), np.float32
    )


def _sulci(shape: tuple[int, ...], traits: Traits, rng: np.random.Generator) -> Array:
    """How much darker the folds are: lines along which a smooth field is 0."""
    one = (shape[0], 1, 1)
    depth = traits.gated("sulci", SULCI, SULCUS_DEPTH, one, rng)
    across = _smooth(shape, rng) / uniform(SULCUS_WIDTH, one, rng)
    return np.asarray(depth * np.exp(-(across**2)), np.float32)


def _blotches(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Speckles within a region, bright and not labelled."""
    one = (shape[0], 1, 1)
    level = uniform(BLOTCH_LEVEL, one, rng) * (rng.random(one) < BLOTCHES)
    region = _step((_smooth(shape, rng) - 1.5) / 0.2)
    speckles = np.maximum(blurred(_normal(shape, rng), uniform((0.5, 0.9), one, rng)), 0)
    return np.asarray(level * region * speckles * 2, np.float32)


def _depth(shape: tuple[int, ...], traits: Traits, rng: np.random.Generator) -> Array:
    """How deep in the brain each pixel lies, in pixels; the middle always does."""
    n, size = shape[0], shape[-1]
    pixels = np.arange(size, dtype=np.float32) - size // 2
    angle = uniform((0.0, 2 * np.pi), (n, 1, 1), rng)
    u = np.cos(angle) * pixels[:, None] + np.sin(angle) * pixels
    v = np.cos(angle) * pixels - np.sin(angle) * pixels[:, None]
    away = uniform((1.0, 0.6 * size), (n, 1, 1), rng)
    bend = uniform((-BORDER_BEND, 3 * BORDER_BEND), (n, 1, 1), rng) / size
    bordered = traits.happens("border", BORDERED, (n, 1, 1), rng)
    return np.where(bordered, away - v - bend * u**2, np.float32(2 * size))


def _rim(depth: Array, traits: Traits, rng: np.random.Generator) -> Array:
    """By what the brain's outer pixels are darker or brighter."""
    one = (len(depth), 1, 1)
    level = traits.between("rim", RIMMED, RIM_LEVEL, one, rng)
    near = _step(2 * (uniform(RIM_WIDTH, one, rng) - depth))
    return np.asarray(1 + near * (level - 1), np.float32)


def _shade(shape: tuple[int, ...], traits: Traits, rng: np.random.Generator) -> Array:
    field = _interpolated(NODES[0], shape, rng)
    deviation = traits.uniform("shade", SHADE, (shape[0], 1, 1), rng)
    return np.asarray(np.exp(deviation * field), np.float32)


def _sharpened(image: Array, traits: Traits, rng: np.random.Generator) -> Array:
    """Blurred by the point spread, and in some patches sharpened."""
    one = (len(image), 1, 1)
    seen = blurred(image, traits.uniform("blur", BLUR, one, rng))
    strength = traits.gated("sharpened", SHARPENED, SHARPENING, one, rng)
    return np.asarray(seen + strength * (seen - blurred(seen, np.full(one, 1.0))), np.float32)


def _noisy(image: Array, level: Array, traits: Traits, rng: np.random.Generator) -> Array:
    """The magnitude of a signal with complex Gaussian noise (Gudbjartsson and Patz 1995)."""
    one = (len(image), 1, 1)
    noise = _normal((2, *image.shape), rng)
    spread = traits.gated("correlated", CORRELATED, CORRELATION, one, rng)
    real, imaginary = (level * blurred(part, spread) for part in noise)
    return np.asarray(np.hypot(image + real, imaginary), np.float32)


def _windowed(
    image: Array, ground: Array, contrast: Array, traits: Traits, rng: np.random.Generator
) -> Array:
    """Scaled to [-1, 1] as if by percentiles of a volume that the patch is a part of."""
    one = (len(image), 1, 1)
    dark, bright = np.quantile(ground, (0.1, 0.95), axis=(1, 2), keepdims=True)
    low = traits.uniform("darkest", DARKEST, one, rng) * dark
    share = traits.uniform("brightest", BRIGHTEST, one, rng)
    high = np.maximum(1 + contrast * share, LEAST_WINDOW * bright)
    return np.asarray(np.clip(2 * (image - low) / (high - low) - 1, -1, 1), np.float32)


def _smooth(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """A random field of deviation about 1, of a random mixture of scales."""
    weights = uniform((0.0, 1.0), (len(NODES), shape[0], 1, 1), rng)
    weights /= np.sqrt((weights**2).sum(0))
    return sum(
        (w * _interpolated(k, shape, rng) for w, k in zip(weights, NODES, strict=True)),
        start=np.zeros(shape, np.float32),
    )


def _interpolated(nodes: int, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Noise on a few nodes, Gaussian-interpolated to a patch's pixels; of deviation 1."""
    place = np.linspace(-0.5, nodes - 0.5, shape[-1], dtype=np.float32)
    spread = np.exp(-((place[:, None] - np.arange(-1, nodes + 1, dtype=np.float32)) ** 2))
    spread /= np.sqrt((spread**2).sum(1, keepdims=True))
    noise = _normal((shape[0], nodes + 2, nodes + 2), rng)
    return np.asarray(spread @ noise @ spread.T, np.float32)


def blurred(image: Array, deviation: NDArray[Any]) -> Array:
    """Blur each patch by its own Gaussian of five taps; borders are repeated."""
    ratio = np.exp(-0.5 / np.maximum(deviation, 0.05) ** 2).astype(np.float32)
    near, far = ratio, ratio**4
    total = 1 + 2 * (near + far)
    for _ in range(2):
        image = np.pad(image, [(0, 0), (2, 2), (0, 0)], "edge").swapaxes(1, 2)
        size = image.shape[2] - 4
        parts = [image[:, :, i : i + size] for i in range(5)]
        image = (parts[2] + near * (parts[1] + parts[3]) + far * (parts[0] + parts[4])) / total
    return image


def _step(values: Array) -> Array:
    """From 0 to 1, smoothly."""
    return np.asarray(0.5 + 0.5 * np.tanh(values), np.float32)


def _log_uniform(
    name: str, ends: tuple[float, float], n: int, traits: Traits, rng: np.random.Generator
) -> Array:
    low, high = np.log(ends)
    return np.exp(traits.uniform(name, (low, high), (n, 1, 1), rng))


def _normal(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    return rng.standard_normal(shape, np.float32)
