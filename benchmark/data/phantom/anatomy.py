"""The head around the vessels: brain, fluid, skull, scalp and air, with their texture.

Brain tissue is told by its depth: the distance beneath the surface of the skull's inside, of the
fissures and of the sulci, whichever is nearest. From the surface inwards come fluid, the grey
ribbon and white matter.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.data.phantom.head import BRAIN, SKIN, Ellipsoid
from benchmark.data.phantom.settings import Scanner, Triple
from benchmark.data.phantom.texture import smooth_noise

Field = NDArray[np.float32]

SKULL_MM = 7.0
SCALP_MM = 4.5

TEMPORAL = Ellipsoid(centre_mm=(38, -4, -8), radii_mm=(26, 44, 24))
HINDBRAIN = Ellipsoid(centre_mm=(0, -60, -20), radii_mm=(54, 43, 34))
SELLA = Ellipsoid(centre_mm=(0, -14, -22), radii_mm=(36, 30, 28))
CORE = Ellipsoid(centre_mm=(0, -16, 20), radii_mm=(22, 40, 15))
STEM = Ellipsoid(centre_mm=(0, -29, -14), radii_mm=(16, 14, 34))
CISTERN = Ellipsoid(centre_mm=(0, -2, -4), radii_mm=(19, 15, 9))
HORN = Ellipsoid(centre_mm=(11, -8, 24), radii_mm=(6, 32, 8))
ATRIUM = Ellipsoid(centre_mm=(23, -50, 14), radii_mm=(7, 17, 11))
THIRD = Ellipsoid(centre_mm=(0, -14, 9), radii_mm=(2.5, 15, 10))
FOURTH = Ellipsoid(centre_mm=(0, -48, -20), radii_mm=(7, 6, 10))
THALAMUS = Ellipsoid(centre_mm=(11, -20, 10), radii_mm=(9, 15, 10))
PUTAMEN = Ellipsoid(centre_mm=(25, 3, 8), radii_mm=(7, 19, 11))
ORBIT = Ellipsoid(centre_mm=(31, 46, -24), radii_mm=(17, 26, 16))
EYE = Ellipsoid(centre_mm=(32, 57, -24), radii_mm=(12, 12, 12))
NOSE = Ellipsoid(centre_mm=(0, 44, -26), radii_mm=(12, 26, 24))
SPHENOID = Ellipsoid(centre_mm=(0, 16, -22), radii_mm=(13, 12, 10))
MASTOID = Ellipsoid(centre_mm=(54, -44, -34), radii_mm=(15, 16, 16))


class Head(NamedTuple):
    """Signal (white matter is 1) and what a brain mask would hold, both ``(X, Y, Z)``."""

    signal: Field
    brain: NDArray[np.bool_]


class _Noise(NamedTuple):
    """Smooth fields of one patient, by the grain in an adult's mm."""

    rng: np.random.Generator
    shape: tuple[int, ...]
    spacing_mm: Triple
    scale: float

    def __call__(self, grain_mm: float) -> Field:
        return smooth_noise(self.rng, self.shape, self.spacing_mm, grain_mm=grain_mm * self.scale)


def build_head(
    rng: np.random.Generator,
    adult: list[Field],
    spacing_mm: Triple,
    scanner: Scanner,
    *,
    scale: float,
) -> Head:
    """Fills the grid with tissue. ``adult`` are its coordinates in an adult's mm."""
    noise = _Noise(rng, adult[0].shape, spacing_mm, scale)
    folded = [np.abs(adult[0]), adult[1], adult[2]]
    inside = _inside_skull(adult, folded) + 1.0 * noise(30.0)
    signal = _brain(adult, folded, inside, noise, scanner)
    signal += scanner.texture * (0.6 * noise(16.0) + 0.6 * noise(5.0) + 0.5 * noise(1.6))
    _wrap(signal, inside, SKIN.depth_mm(adult) + 1.0 * noise(25.0), folded, noise, scanner)
    return Head(np.maximum(signal, 0), inside > 0)


def _inside_skull(adult: list[Field], folded: list[Field]) -> Field:
    inside = BRAIN.depth_mm(adult)
    # The brain's ellipsoid ends at the base, where the lobes below hang from it.
    inside = np.minimum(inside, adult[2] + 14 - 0.25 * np.maximum(adult[1], 0))
    for depth in (
        TEMPORAL.depth_mm(folded),
        HINDBRAIN.depth_mm(adult),
        SELLA.depth_mm(adult),
    ):
        inside = np.maximum(inside, depth)
    return inside


def _brain(
    adult: list[Field], folded: list[Field], inside: Field, noise: _Noise, scanner: Scanner
) -> Field:
    depth = np.minimum(inside - 2.0, _to_fissures(adult, folded, noise))
    sulci = 6.0 * np.abs(noise(7.0)) + 0.5 * np.maximum(depth - 13, 0)
    depth = np.minimum(depth, sulci - 0.4)
    levels = (scanner.fluid, scanner.grey, scanner.grey, 1.0)
    signal = np.interp(depth, (0.0, 1.6, 3.2, 4.6), levels).astype(np.float32)
    for nucleus in (THALAMUS, PUTAMEN):
        _blend(signal, nucleus.depth_mm(folded), 0.4 * scanner.grey + 0.6)
    for ventricle in (HORN, ATRIUM, THIRD, FOURTH, CISTERN):
        _blend(signal, ventricle.depth_mm(folded) + 0.6 * noise(12.0), scanner.fluid)
    return signal


def _to_fissures(adult: list[Field], folded: list[Field], noise: _Noise) -> Field:
    """Distance to the fissures between the hemispheres, lobes, cerebellum and brain stem."""
    x, y, z = folded
    core = np.maximum(CORE.depth_mm(adult), STEM.depth_mm(adult))
    midline = np.maximum(np.abs(adult[0] + 0.8 * noise(30.0)) - 0.6, core)
    bend = noise(20.0)
    fold = z - 1 - 0.15 * (x - 30) + 0.3 * np.minimum(y, 0) + bend
    sylvian = np.maximum.reduce([np.abs(fold) - 0.8, 18 - x, y - 24, -48 - y])
    tent = np.maximum(np.abs(z + 9 + 0.3 * (x - 20) + bend) - 0.8, y + 36)
    ambient = np.maximum(np.abs(STEM.depth_mm(adult) + 2) - 1.2, np.maximum(z - 12, -45 - y))
    return np.asarray(np.minimum.reduce([midline, sylvian, tent, ambient]), np.float32)


def _blend(signal: Field, depth: Field, value: float) -> None:
    """Fills where the depth is positive, with a soft edge of one mm."""
    share = np.clip(depth + 0.5, 0, 1)
    signal += share * (value - signal)


def _wrap(
    signal: Field,
    inside: Field,
    skin: Field,
    folded: list[Field],
    noise: _Noise,
    scanner: Scanner,
) -> None:
    """Replaces what is not brain: skull, soft tissue, orbits, sinuses, a rim of fat, air."""
    marrow = scanner.bone * (1 + 0.5 * noise(4.0))
    outside = np.where(inside > -SKULL_MM, marrow, scanner.muscle * (1 + 0.25 * noise(5.0)))
    for part, value in (
        (ORBIT, 0.8 * scanner.fat),
        (EYE, scanner.fluid),
        (NOSE, 0.05),
        (SPHENOID, 0.05),
        (MASTOID, 0.15),
    ):
        _blend(outside, part.depth_mm(folded) + noise(9.0), value)
    rim = scanner.fat * (1 + 0.12 * noise(6.0))
    share = np.clip(SCALP_MM + 1.2 * noise(25.0) - skin + 0.5, 0, 1)
    outside += share * (rim - outside)
    _blend(outside, -skin, 0.0)
    share = np.clip(0.5 - inside, 0, 1)
    signal += share * (outside - signal)
