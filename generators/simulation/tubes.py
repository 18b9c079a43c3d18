"""A vessel simulator: labelled patches drawn from a few population parameters, and from no data.

A patch is tissue with a texture and dark folds, bright tubes and noise; some reach beyond the
brain, where volumes are blank. Brightness is in shares of a volume's range, from its darkest tissue
to its brightest blood. Every range is a public guess at time-of-flight angiography with voxels of
half a millimetre to a millimetre: blood is a few times as bright as tissue, arteries are a fraction
of a millimetre to a few millimetres thick, and half of all patches are centred on a vessel (Kossen
et al. 2022).

A tube is a parabola v = a u² in axes (u, v) of its own, with |u| at most half its length. Its
brightness falls over its wall, so it depends only on the distance |v - a u²| / √(1 + 4 a² u²).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

MOST_TUBES = 9
FOLDS = 4
WAVES = 8
CHUNK = 128
CENTRED = 0.5
"""The share of patches that are cut around a vessel voxel."""

ACROSS = 0.04
"""The length, in sides of a patch, of a tube that crosses the slice."""


class Range(NamedTuple):
    """The ends of a parameter's range, and whether it is uniform in its logarithm."""

    low: float
    high: float
    log: bool = False

    def at(self, share: Array) -> Array:
        """Map shares in [0, 1] to the range."""
        if self.log:
            return np.asarray(self.low * (self.high / self.low) ** share, np.float32)
        return np.asarray(self.low + (self.high - self.low) * share, np.float32)


RANGES: dict[str, Range] = {
    "tubes": Range(0.3, 6.0, log=True),  # a patch, besides the one that it is centred on
    "in_plane": Range(0.0, 1.0),  # share of tubes that run within the slice
    "radius": Range(0.4, 2.5, log=True),  # pixels, the median
    "radius_spread": Range(0.1, 0.8),  # of its logarithm
    "length": Range(0.2, 1.2),  # of a tube within the slice, in sides of a patch
    "bend": Range(0.0, 1.0),
    "contrast": Range(0.4, 6.0, log=True),  # of a tube to tissue
    "contrast_spread": Range(0.05, 0.8),  # of its logarithm
    "thin_loss": Range(0.0, 1.0),  # exponent with which thin tubes are darker
    "wall": Range(0.5, 2.5),  # pixels over which brightness falls
    "rim": Range(0.2, 0.8),  # brightness from which a pixel is labelled, in shares of its tube's
    "tissue": Range(0.08, 0.6, log=True),
    "tissue_spread": Range(0.02, 0.4),  # of its logarithm, between patches
    "texture": Range(0.01, 0.4, log=True),
    "texture_scale": Range(2.0, 16.0, log=True),  # pixels
    "folds": Range(0.0, 1.0),  # share of FOLDS that are there
    "fold_depth": Range(0.0, 0.9),
    "border": Range(0.0, 0.8),  # share of patches that reach beyond the brain
    "shade": Range(0.0, 0.5),  # slope of the bias field over a patch
    "noise": Range(0.005, 0.1, log=True),
}
NAMES = tuple(RANGES)

Values = dict[str, Array]
"""Each parameter's value for every patch ``(n,)``."""


def prior(n: int, rng: np.random.Generator) -> Array:
    """Draw parameters ``(n, len(NAMES))``, uniform in [0, 1]."""
    return rng.random((n, len(NAMES)), np.float32)


def draw(theta: Array, size: int, rng: np.random.Generator) -> tuple[Array, NDArray[np.uint8]]:
    """Draw a labelled patch for every row of parameters.

    Args:
        theta: ``(n, len(NAMES))`` in [0, 1]; each is mapped to its range.
        size: The side of a patch.
        rng: The random generator.

    Returns:
        Images float32 ``(n, 1, size, size)`` in [-1, 1] and masks uint8 of that shape.
    """
    images = np.empty((len(theta), 1, size, size), np.float32)
    masks = np.empty(images.shape, np.uint8)
    for start in range(0, len(theta), CHUNK):
        now = slice(start, start + CHUNK)
        images[now, 0], masks[now, 0] = _chunk(theta[now], size, rng)
    return images, masks


def _chunk(theta: Array, size: int, rng: np.random.Generator) -> tuple[Array, NDArray[np.uint8]]:
    p = {name: RANGES[name].at(theta[:, i]) for i, name in enumerate(NAMES)}
    tubes = _tubes(p, size, rng)
    inside = _inside(tubes, size, rng)
    blood = _most(inside * _wide(tubes.bright), tubes.patch, len(theta))
    label = _most(inside >= _wide(p["rim"][tubes.patch]), tubes.patch, len(theta))
    tissue = _tissue(p, size, rng)
    noise = _wide(p["noise"]) * rng.standard_normal(tissue.shape, np.float32)
    brain = _brain(p, size, rng)
    image = np.clip(tissue * (1 + blood) + noise, 0, 1) * brain
    return 2 * image - 1, (label * brain).astype(np.uint8)


class Tubes(NamedTuple):
    """The tubes of several patches, in the patches' order.

    Attributes:
        patch: ``(k,)``, the patch of each.
        half: Half the length along its axis, in pixels; like all that follow ``(k,)``.
        bow: a, per pixel.
        radius: Pixels.
        wall: Pixels over which it ends.
        bright: By what share it exceeds tissue.
        centred: Whether its middle is the patch's.
    """

    patch: NDArray[np.int64]
    half: Array
    bow: Array
    radius: Array
    wall: Array
    bright: Array
    centred: NDArray[np.bool_]


def _tubes(p: Values, size: int, rng: np.random.Generator) -> Tubes:
    centred = rng.random(len(p["tubes"])) < CENTRED
    patch, first = _owners(np.minimum(rng.poisson(p["tubes"]) + centred, MOST_TUBES))
    radius = _lognormal(p["radius"], p["radius_spread"], patch, rng)
    along = rng.random(len(patch)) < p["in_plane"][patch]
    length = np.where(along, p["length"][patch] * _uniform(0.5, 1.0, len(patch), rng), ACROSS)
    bright = _lognormal(p["contrast"], p["contrast_spread"], patch, rng)
    return Tubes(
        patch=patch,
        half=np.asarray(length * size / 2, np.float32),
        bow=_bow(p, patch, size, rng),
        radius=radius,
        wall=p["wall"][patch],
        bright=np.asarray(bright * np.minimum(1, radius / 2) ** p["thin_loss"][patch]),
        centred=centred[patch] & first,
    )


def _folds(p: Values, size: int, rng: np.random.Generator) -> Tubes:
    """Dark lines through a patch."""
    patch, _ = _owners(rng.binomial(FOLDS, p["folds"]))
    k = len(patch)
    return Tubes(
        patch=patch,
        half=np.full(k, 0.45 * size, np.float32),
        bow=_bow(p, patch, size, rng),
        radius=_uniform(0.3, 1.2, k, rng),
        wall=np.full(k, 1.5, np.float32),
        bright=p["fold_depth"][patch],
        centred=np.zeros(k, np.bool_),
    )


def _inside(tubes: Tubes, size: int, rng: np.random.Generator) -> Array:
    """How much of each pixel lies in each tube ``(k, H, W)``: 1, or less over the wall."""
    middle = _uniform(0.0, float(size), (len(tubes.patch), 2), rng)
    middle[tubes.centred] = size / 2 + _uniform(-0.5, 0.5, (tubes.centred.sum(), 2), rng)
    u, v = _axes(middle, size, rng)
    bow = _wide(tubes.bow)
    across = np.abs(v - bow * u**2) / np.sqrt(1 + (2 * bow * u) ** 2)
    beyond = np.maximum(np.abs(u) - _wide(tubes.half), 0)
    depth = (_wide(tubes.radius) - np.hypot(across, beyond)) / _wide(tubes.wall)
    return np.asarray(np.clip(depth + 0.5, 0, 1))


def _tissue(p: Values, size: int, rng: np.random.Generator) -> Array:
    """Brightness in shares of the volume's range: texture, shade and folds."""
    n = len(p["tissue"])
    level = p["tissue"] * np.exp(p["tissue_spread"] * rng.standard_normal(n, np.float32))
    y, x = _grid(size)
    slope = _wide(p["shade"]) / size * rng.standard_normal((2, n, 1, 1), np.float32)
    uneven = _wide(p["texture"]) * _waves(p["texture_scale"], size, rng)
    folds = _folds(p, size, rng)
    dark = _most(_inside(folds, size, rng) * _wide(folds.bright), folds.patch, n)
    return np.asarray(_wide(level) * (1 + uneven + slope[0] * y + slope[1] * x) * (1 - dark))


def _brain(p: Values, size: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which pixels lie within a gently curved border, in patches that have one; else all."""
    n = len(p["border"])
    u, v = _axes(_uniform(0.0, float(size), (n, 2), rng), size, rng)
    bow = rng.normal(0, 0.3, (n, 1, 1)) / size
    return np.asarray((v < bow * u**2) | (rng.random((n, 1, 1)) >= _wide(p["border"])))


def _waves(scale: Array, size: int, rng: np.random.Generator) -> Array:
    """A random field of standard deviation 1 and a given scale: a few plane waves."""
    angle, phase = _uniform(0.0, 2 * np.pi, (2, len(scale), WAVES), rng)
    pace = 2 * np.pi / (scale[:, None] * _uniform(1.0, 3.0, angle.shape, rng))
    y, x = _grid(size)
    down = (pace * np.sin(angle))[:, :, None] * y[:, 0] + phase[:, :, None]
    right = (pace * np.cos(angle))[:, :, None] * x[0]
    rows, columns = (np.stack([np.cos(t), np.sin(t)], 2) for t in (down, right))
    rows[:, :, 1] *= -1
    parts = (t.reshape(len(scale), -1, size) for t in (rows, columns))
    field: Array = np.matmul(next(parts).transpose(0, 2, 1), next(parts))
    return field * np.float32(np.sqrt(2 / WAVES))


def _owners(count: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Each thing's patch, and whether it is the first there."""
    patch = np.repeat(np.arange(len(count)), count)
    return patch, np.diff(patch, prepend=-1) > 0


def _most(values: NDArray[Any], patch: NDArray[np.int64], n: int) -> Array:
    """The largest of a patch's things at every pixel ``(n, H, W)``; 0 without any."""
    found = np.zeros((n, *values.shape[1:]), np.float32)
    owners, starts = np.unique(patch, return_index=True)
    if len(owners):
        found[owners] = np.maximum.reduceat(values, starts, axis=0)
    return found


def _lognormal(
    median: Array, spread: Array, patch: NDArray[np.int64], rng: np.random.Generator
) -> Array:
    draws = rng.standard_normal(len(patch), np.float32)
    return np.asarray(median[patch] * np.exp(spread[patch] * draws))


def _bow(p: Values, patch: NDArray[np.int64], size: int, rng: np.random.Generator) -> Array:
    return np.asarray(p["bend"][patch] * _uniform(-1.0, 1.0, len(patch), rng) / size)


def _uniform(low: float, high: float, shape: Any, rng: np.random.Generator) -> Array:
    return np.asarray(low + (high - low) * rng.random(shape, np.float32), np.float32)


def _axes(middle: Array, size: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Coordinates along and across a random direction ``(k, H, W)``, from each middle."""
    y, x = _grid(size)
    dy, dx = y - _wide(middle[:, 0]), x - _wide(middle[:, 1])
    angle = _uniform(0.0, 2 * np.pi, len(middle), rng)
    sin, cos = _wide(np.sin(angle)), _wide(np.cos(angle))
    return sin * dy + cos * dx, cos * dy - sin * dx


def _wide(values: NDArray[Any]) -> NDArray[Any]:
    """``(n,)`` to ``(n, 1, 1)``."""
    return values[:, None, None]


def _grid(size: int) -> tuple[Array, Array]:
    """Rows and columns of the pixels' middles, ``(H, 1)`` and ``(1, W)``."""
    pixels = np.arange(size, dtype=np.float32) + 0.5
    return pixels[:, None], pixels[None]
