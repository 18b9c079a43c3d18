"""Scores that treat a vessel as a tube with a centre line and a radius."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.nearest import around, nearest

RADII_MM = (0.75, 1.5)
"""A vessel is thin up to the first radius, and thick from the second on."""

Mask = NDArray[np.bool_]


class ByRadius(NamedTuple):
    """Dice of thin, medium and thick vessels; ``None`` where the truth has none of them."""

    thin: float | None
    medium: float | None
    thick: float | None


def centre_line(mask: Mask) -> Mask:
    """Return the skeleton of a mask ``(X, Y, Z)``, one voxel wide (Lee et al. 1994)."""
    from skimage.morphology import skeletonize

    line = np.zeros_like(mask)
    if mask.any():
        window = around(mask)
        line[window] = skeletonize(mask[window])  # type: ignore[no-untyped-call]
    return line


def cldice(prediction: Mask, truth: Mask, truth_line: Mask | None = None) -> float:
    """Compute clDice: the harmonic mean of the shares of each centre line inside the other mask.

    Reference: Shit et al. (2021), arXiv:2003.07311, Equation 2.

    Args:
        prediction: ``(X, Y, Z)``.
        truth: ``(X, Y, Z)``.
        truth_line: ``centre_line(truth)``, if it is known.

    Returns:
        In [0, 1]: 0 where exactly one mask is empty, 1 where both are.
    """
    if not prediction.any() or not truth.any():
        return float(prediction.any() == truth.any())
    line = centre_line(truth) if truth_line is None else truth_line
    found = centre_line(prediction)
    precision = (found & truth).sum() / max(1, found.sum())
    sensitivity = (line & prediction).sum() / max(1, line.sum())
    total = precision + sensitivity
    return float(2 * precision * sensitivity / total) if total else 0.0


def dice_by_radius(
    prediction: Mask,
    truth: Mask,
    spacing_mm: tuple[float, float, float],
    truth_line: Mask | None = None,
) -> ByRadius:
    """Compute Dice for thin, medium and thick vessels: 2 TP / (2 TP + FN + FP).

    A vessel voxel has the radius at the nearest point of the centre line: that point's distance to
    the background, less half a voxel. A false voxel belongs to its nearest vessel voxel.

    Args:
        prediction: ``(X, Y, Z)``.
        truth: ``(X, Y, Z)``.
        spacing_mm: A voxel's sides.
        truth_line: ``centre_line(truth)``, if it is known.

    Returns:
        Dice of each calibre; ``None`` where the truth has no such vessel.
    """
    if not truth.any():
        return ByRadius(None, None, None)
    line = centre_line(truth) if truth_line is None else truth_line
    of_vessel = _calibres(truth, line, spacing_mm)
    calibre = np.zeros(truth.shape, np.uint8)
    calibre[truth] = of_vessel
    found, false = prediction[truth], prediction & ~truth
    of_false = calibre[tuple(nearest(false, truth, spacing_mm).voxel.T)]
    each = [np.bincount(of, minlength=4) for of in (of_vessel, of_vessel[found], of_false)]
    return ByRadius(*(_dice(*map(int, counts)) for counts in [*zip(*each, strict=True)][1:]))


def _dice(vessel: int, hits: int, false: int) -> float | None:
    """Dice of vessel voxels with the hits among them and false ones; ``None`` without a vessel."""
    return 2 * hits / (2 * hits + vessel - hits + false) if vessel else None


def _calibres(truth: Mask, line: Mask, spacing_mm: tuple[float, float, float]) -> NDArray[np.int64]:
    """1, 2 or 3 (thin, medium, thick) for every vessel voxel, in the order of ``np.argwhere``."""
    depth = np.zeros(truth.shape)
    depth[line] = _depth(truth, line, spacing_mm)
    owner = nearest(truth, line, spacing_mm).voxel
    radius = depth[tuple(owner.T)] - min(spacing_mm) / 2
    return np.asarray(1 + np.digitize(radius, RADII_MM), np.int64)


def _depth(truth: Mask, line: Mask, spacing_mm: tuple[float, float, float]) -> NDArray[np.float64]:
    """How far each voxel of the line lies from the background, or from beyond the volume's border.

    The nearest background voxel has a vessel voxel across one of its faces: a step towards the line
    would come nearer. So no other is looked at.
    """
    window = around(truth)
    inside = np.pad(truth[window], 1)
    rim = _beside(inside) & ~inside
    return nearest(np.pad(line[window], 1), rim, spacing_mm).distance_mm


def _beside(mask: Mask) -> Mask:
    """The voxels with a marked one across one of their faces."""
    beside = np.zeros_like(mask)
    for axis in range(mask.ndim):
        ours, found = np.moveaxis(mask, axis, 0), np.moveaxis(beside, axis, 0)
        found[1:] |= ours[:-1]
        found[:-1] |= ours[1:]
    return beside
