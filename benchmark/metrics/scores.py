"""Every score of one prediction, at the price of one skeleton of the truth."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.overlap import dice, precision, recall
from benchmark.metrics.surface import balanced_average_hausdorff, hausdorff95
from benchmark.metrics.vessels import centre_line, cldice, dice_by_radius


class Scores(NamedTuple):
    """Of one patient; ``None`` where the truth has no vessel of that calibre."""

    dice: float
    hd95_mm: float
    bavd_mm: float
    cldice: float
    precision: float
    recall: float
    dice_thin: float | None
    dice_medium: float | None
    dice_thick: float | None


def score(
    prediction: NDArray[np.bool_],
    truth: NDArray[np.bool_],
    spacing_mm: tuple[float, float, float],
) -> Scores:
    """Scores a prediction ``(X, Y, Z)`` against the truth.

    Raises:
        ValueError: If the shapes differ.
    """
    overlap = dice(prediction, truth), precision(prediction, truth), recall(prediction, truth)
    line = centre_line(truth)
    by_radius = dice_by_radius(prediction, truth, spacing_mm, line)
    return Scores(
        dice=overlap[0],
        hd95_mm=hausdorff95(prediction, truth, spacing_mm),
        bavd_mm=balanced_average_hausdorff(prediction, truth, spacing_mm),
        cldice=cldice(prediction, truth, line),
        precision=overlap[1],
        recall=overlap[2],
        dice_thin=by_radius.thin,
        dice_medium=by_radius.medium,
        dice_thick=by_radius.thick,
    )
