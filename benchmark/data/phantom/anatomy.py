"""The head around the vessels: brain, fluid, skull, scalp and air, with their texture.

Brain tissue depends on its depth: the distance beneath the inner surface of the skull, of the
fissures and of the sulci, whichever is nearest. From the surface inwards come fluid, the grey
ribbon and white matter.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.data.phantom.head import BRAIN, SKIN, Ellipsoid
from benchmark.data.phantom.portable import power
from benchmark.data.phantom.settings import Anatomy, Scanner, Size, Triple
from benchmark.data.phantom.texture import noise_at, smooth_noise

Field = NDArray[np.float32]

SKULL_MM = 7.0
SCALP_MM = 4.5

TEMPORAL = Ellipsoid(centre_mm=(38, -4, -8), radii_mm=(26, 44, 24))
HINDBRAIN = Ellipsoid(centre_mm=(0, -60, -20), radii_mm=(54, 43, 34))
SELLA = Ellipsoid(centre_mm=(0, -14, -22), radii_mm=(36, 30, 28))
CORE = Ellipsoid(centre_mm=(0, -16, 20), radii_mm=(22, 40, 15))
STEM = Ellipsoid(centre_mm=(0, -29, -14), radii_mm=(16, 14, 34))
CISTERN = Ellipsoid(centre_mm=(0, -2, -4), radii_mm=(19, 15, 9))
CLIVUS = Ellipsoid(centre_mm=(0, -3, -26), radii_mm=(24, 13, 19))
MARROW = Ellipsoid(centre_mm=(0, -9, -24), radii_mm=(10, 5, 13))
HORN = Ellipsoid(centre_mm=(11, -8, 24), radii_mm=(6, 32, 8))
ATRIUM = Ellipsoid(centre_mm=(23, -50, 14), radii_mm=(7, 17, 11))
THIRD = Ellipsoid(centre_mm=(0, -14, 9), radii_mm=(2.5, 15, 10))
FOURTH = Ellipsoid(centre_mm=(0, -48, -20), radii_mm=(7, 6, 10))
THALAMUS = Ellipsoid(centre_mm=(11, -20, 10), radii_mm=(9, 15, 10))
PUTAMEN = Ellipsoid(centre_mm=(25, 3, 8), radii_mm=(7, 19, 11))
PLEXUS = 1.4
"""The signal of the choroid plexus, which is bright for its blood but not an artery."""
ORBIT = Ellipsoid(centre_mm=(31, 46, -24), radii_mm=(17, 26, 16))
EYE = Ellipsoid(centre_mm=(32, 57, -24), radii_mm=(12, 12, 12))
NOSE = Ellipsoid(centre_mm=(0, 44, -26), radii_mm=(12, 26, 24))
SPHENOID = Ellipsoid(centre_mm=(0, 16, -22), radii_mm=(13, 12, 10))
MASTOID = Ellipsoid(centre_mm=(54, -44, -34), radii_mm=(15, 16, 16))


class Head(NamedTuple):
    """The tissue of a head.

    Attributes:
        signal: Relative to white matter's 1.
        depth: The depth beneath the skull; above 0 inside the brain mask.
    """

    signal: Field
    depth: Field


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
    size: Size,
) -> Head:
    """Fill the grid with tissue.

    Args:
        rng: The random generator.
        adult: The coordinates of the grid in an adult's mm.
        spacing_mm: The sides of its cells.
        scanner: The scanner, with the tissues' signals.
        size: The size of the head and its anatomy.
    """
    noise = _Noise(rng, adult[0].shape, spacing_mm, size.head_scale)
    folded = [np.abs(adult[0]), adult[1], adult[2]]
    inside = _inside_skull(adult, folded) + 1.0 * noise(30.0)
    signal = _outside(adult, folded, inside, noise, scanner)
    brain = _brain(adult, folded, inside, noise, scanner)
    brain = _with_bright(brain, adult, folded, noise, scanner, size.anatomy)
    brain += scanner.texture * (1.0 * noise(16.0) + 0.5 * noise(5.0) + 0.4 * noise(1.6))
    _blend(signal, inside, brain)
    return Head(np.maximum(signal, 0), inside)


def _inside_skull(adult: list[Field], folded: list[Field]) -> Field:
    """Depth beneath the inner face of the skull."""
    inside = BRAIN.depth_mm(adult)
    # The brain's ellipsoid ends at the base, where the lobes below hang from it.
    orbit_roof = 5 * np.maximum(1 - ((folded[0] - 32) / 20) ** 2, 0)
    floor = adult[2] + 14 - orbit_roof - 0.25 * np.maximum(adult[1], 0)
    inside = np.minimum(inside, floor)
    for lobe in (TEMPORAL, HINDBRAIN, SELLA):
        inside = np.maximum(inside, lobe.depth_mm(folded))
    return np.asarray(inside, np.float32)


def _brain(
    adult: list[Field], folded: list[Field], inside: Field, noise: _Noise, scanner: Scanner
) -> Field:
    """Fluid, grey and white matter by depth; deep nuclei; what lies at the base; ventricles."""
    depth = np.minimum(inside - 2.0, _to_fissures(adult, folded, noise))
    depth = np.minimum(depth, _to_sulci(adult, depth, noise))
    levels = (scanner.fluid, scanner.grey, scanner.grey, 1.0)
    signal: Field = np.interp(depth, (0.0, 1.6, 3.2, 4.6), levels).astype(np.float32)
    for nucleus in (THALAMUS, PUTAMEN):
        _blend(signal, nucleus.depth_mm(folded), 0.4 * scanner.grey + 0.6)
    _blend(signal, CLIVUS.depth_mm(adult) + 1.5 * noise(9.0), 0.9 * scanner.fluid)
    return signal


def _with_bright(
    signal: Field,
    adult: list[Field],
    folded: list[Field],
    noise: _Noise,
    scanner: Scanner,
    anatomy: Anatomy,
) -> Field:
    """Marrow where it is asked for; ventricles, and the plexus in them where veins are drawn."""
    if anatomy.marrow:
        _blend(signal, MARROW.depth_mm(adult) + noise(9.0), 0.6 * scanner.fat)
    for ventricle in (HORN, ATRIUM, THIRD, FOURTH, CISTERN):
        _blend(signal, ventricle.depth_mm(folded) + 0.6 * noise(12.0), scanner.fluid)
    if anatomy.veins:
        tufts = np.minimum(ATRIUM.depth_mm(folded) - 2.0, 2.0 * noise(3.0) - 1.0)
        _blend(signal, tufts, PLEXUS)
    return signal


def _to_sulci(adult: list[Field], depth: Field, noise: _Noise) -> Field:
    """Distance to the sulci: sheets that run inwards from the surface and end by and by."""
    ball = [
        (a - np.float32(c)) / np.float32(r)
        for a, c, r in zip(adult, BRAIN.centre_mm, BRAIN.radii_mm, strict=True)
    ]
    outwards = power(ball[0] ** 2 + ball[1] ** 2 + ball[2] ** 2 + np.float32(0.01), -0.35)
    places = [b * outwards * np.float32(r) for b, r in zip(ball, BRAIN.radii_mm, strict=True)]
    sheet = np.abs(noise_at(noise.rng, places, grain_mm=8.5) + 0.25 * noise(5.0))
    ends = np.maximum(1.1 * noise(14.0), 0) + 0.6 * np.maximum(depth - 12, 0)
    return np.asarray(7.0 * sheet + ends - 0.5, np.float32)


def _to_fissures(adult: list[Field], folded: list[Field], noise: _Noise) -> Field:
    """Distance to the fissures between the hemispheres, lobes, cerebellum and brain stem."""
    x, y, z = folded
    core = np.maximum(CORE.depth_mm(adult), STEM.depth_mm(adult))
    midline = np.maximum(np.abs(adult[0] + 1.3 * noise(35.0)) - 0.6, core)
    bend = noise(20.0)
    fold = 0.8 * (z - 1 - 0.4 * (x - 32) + 0.4 * np.minimum(y, 0) + 3 * bend)
    sylvian = np.maximum(np.maximum(np.abs(fold) - 0.8, 18 - x), np.abs(y + 12) - 36)
    tent = np.maximum(0.8 * np.abs(z + 7 + 0.55 * (x - 20) + 2 * bend) - 0.8, y + 36)
    around = np.abs(STEM.depth_mm(adult) + 2 + 1.5 * bend) - 0.8 - 0.6 * noise(12.0)
    ambient = np.maximum(around, np.maximum(z - 12, -45 - y))
    nearest = np.minimum(np.minimum(midline, sylvian), np.minimum(tent, ambient))
    return np.asarray(nearest, np.float32)


def _outside(
    adult: list[Field], folded: list[Field], inside: Field, noise: _Noise, scanner: Scanner
) -> Field:
    """Skull with its marrow, soft tissue, orbits, sinuses, a rim of fat, air."""
    skin = SKIN.depth_mm(adult) + 1.0 * noise(25.0)
    marrow = scanner.bone * (1 + 0.5 * noise(4.0))
    signal = np.where(inside > -SKULL_MM, marrow, scanner.muscle * (1 + 0.25 * noise(5.0)))
    for part, value in (
        (ORBIT, 0.8 * scanner.fat),
        (EYE, scanner.fluid),
        (NOSE, 0.05),
        (SPHENOID, 0.05),
        (MASTOID, 0.15),
    ):
        _blend(signal, part.depth_mm(folded) + noise(9.0), value)
    _blend(signal, SCALP_MM + 1.2 * noise(25.0) - skin, scanner.fat * (1 + 0.12 * noise(6.0)))
    _blend(signal, -skin, 0.0)
    return signal


def _blend(signal: Field, depth: Field, value: Field | float) -> None:
    """Fills where the depth is positive, with a soft edge of one mm."""
    share = np.clip(depth + 0.5, 0, 1)
    signal += share * (value - signal)
