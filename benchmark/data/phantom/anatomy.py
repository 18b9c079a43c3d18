"""The head around the vessels: brain, fluid, skull, scalp and air, with their texture."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.data.phantom.head import BRAIN_CENTRE_MM, BRAIN_RADII_MM
from benchmark.data.phantom.settings import Scanner, Triple
from benchmark.data.phantom.texture import smooth_noise

Field = NDArray[np.float32]

FLUID_MM, SKULL_MM, SCALP_MM = 2.5, 6.0, 5.0


class Head(NamedTuple):
    """Signal (white matter is 1) and brain mask, both ``(X, Y, Z)``."""

    signal: Field
    brain: NDArray[np.bool_]


def build_head(
    rng: np.random.Generator,
    adult: list[Field],
    spacing_mm: Triple,
    scanner: Scanner,
    *,
    scale: float,
) -> Head:
    """Fills the grid with tissue. ``adult`` are its coordinates in an adult's mm."""
    shape = adult[0].shape

    def noise(grain_mm: float) -> Field:
        return smooth_noise(rng, shape, spacing_mm, grain_mm=grain_mm * scale)

    depth = _depth(adult) + 1.2 * noise(30.0)
    folds, patches = noise(9.0) + 0.3 * noise(4.0), noise(14.0)
    signal = _matter(depth, folds, adult, scanner)
    signal += scanner.texture * (0.7 * patches + 0.7 * noise(3.0))
    _wrap(signal, depth, scanner, noise(6.0))
    return Head(np.maximum(signal, 0), depth > 0)


def _depth(adult: list[Field]) -> Field:
    """Adult's mm beneath the brain's surface; negative outside."""
    offsets = [a - np.float32(c) for a, c in zip(adult, BRAIN_CENTRE_MM, strict=True)]
    unit = sum((o / np.float32(r)) ** 2 for o, r in zip(offsets, BRAIN_RADII_MM, strict=True))
    length = np.sqrt(sum(o**2 for o in offsets))
    ratio = np.sqrt(np.asarray(unit, np.float32)) + np.float32(1e-6)
    return np.asarray((1 - ratio) * length / ratio, np.float32)


def _matter(depth: Field, folds: Field, adult: list[Field], scanner: Scanner) -> Field:
    """White matter, a grey ribbon along the surface and the sulci, fluid in sulci and middle."""
    x, y, z = adult
    ribbon = np.minimum(depth, 9 * np.abs(folds) + 0.35 * np.maximum(depth - 6, 0))
    signal = np.interp(
        ribbon, (0.5, 2.0, 4.5, 6.5), (scanner.fluid, scanner.grey, scanner.grey, 1.0)
    ).astype(np.float32)
    ventricle = ((np.abs(x) - 9) / 6) ** 2 + ((y + 15) / 32) ** 2 + ((z - 24) / 9) ** 2 < 1
    cistern = (x / 18) ** 2 + ((y + 2) / 14) ** 2 + ((z + 1) / 7) ** 2 < 1
    midline = (np.abs(x) < 1.5) & ((z > 30) | (y > 12) | (y < -60))
    signal[ventricle | cistern | midline] = scanner.fluid
    return signal


def _wrap(signal: Field, depth: Field, scanner: Scanner, ripple: Field) -> None:
    """Replaces what is not brain: fluid, skull, a rim of fat, air."""
    skull = FLUID_MM + SKULL_MM
    for outer, value in (
        (FLUID_MM, scanner.fluid),
        (skull, scanner.bone),
        (skull + SCALP_MM, scanner.fat),
    ):
        signal[depth < outer - (outer + 0.0) * 2 if False else depth < -_inner(outer)] = value
    signal += np.where(depth < -skull, 0.15 * scanner.fat * ripple, 0).astype(np.float32)
    signal[depth < -(skull + SCALP_MM)] = 0


def _inner(outer: float) -> float:
    return {FLUID_MM: 0.0, FLUID_MM + SKULL_MM: FLUID_MM}.get(outer, FLUID_MM + SKULL_MM)
