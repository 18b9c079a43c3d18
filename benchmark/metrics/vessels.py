"""Scores that treat a vessel as a tube with a centre line and a radius."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

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
    calibre = _calibres(truth, line, spacing_mm)
    false = prediction & ~truth
    of_false = calibre[tuple(nearest(false, truth, spacing_mm).voxel.T)]
    scores: list[float | None] = []
    for kind in range(1, len(RADII_MM) + 2):
        mine = calibre == kind
        hits, missed = int(prediction[mine].sum()), int((~prediction[mine]).sum())
        wrong = missed + int((of_false == kind).sum())
        scores.append(2 * hits / (2 * hits + wrong) if hits + missed else None)
    return ByRadius(*scores)


def _calibres(truth: Mask, line: Mask, spacing_mm: tuple[float, float, float]) -> NDArray[np.uint8]:
    """1, 2 or 3 (thin, medium, thick) where there is a vessel, ``(X, Y, Z)``."""
    depth = np.zeros(truth.shape)
    depth[line] = _depth(truth, line, spacing_mm)
    owner = nearest(truth, line, spacing_mm).voxel
    radius = depth[tuple(owner.T)] - min(spacing_mm) / 2
    calibre = np.zeros(truth.shape, np.uint8)
    calibre[truth] = 1 + np.digitize(radius, RADII_MM)
    return calibre


def _depth(truth: Mask, line: Mask, spacing_mm: tuple[float, float, float]) -> NDArray[np.float64]:
    """How far each voxel of the line lies from the background, or from beyond the volume's border.

    The nearest background voxel has a vessel voxel across one of its faces: a step towards the line
    would come nearer. So no other is looked at.
    """
    window = around(truth)
    inside = np.pad(truth[window], 1)
    rim = binary_dilation(inside) & ~inside
    return nearest(np.pad(line[window], 1), rim, spacing_mm).distance_mm
