"""The scores of a prediction on a patient. Every metric is described once, in ``METRICS``.

Result files, their schema, ``summary.csv``, MLflow, the tables of the terminal and the board's
columns are all made from ``METRICS``. To add a metric, add an entry here. Give it ``since``, so
that results of earlier versions, which lack it, can still be read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.nearest import around, cropped
from benchmark.metrics.overlap import check_shapes, dice, precision, recall
from benchmark.metrics.surface import balanced_average_hausdorff, hausdorff95
from benchmark.metrics.vessels import ByRadius, centre_line, cldice, dice_by_radius

Mask = NDArray[np.bool_]
Scores = Mapping[str, float | None]
"""One patient's scores by the names of ``METRICS``; ``None`` for a score that the patient cannot
have."""


@dataclass(frozen=True)
class Prediction:
    """A prediction with the truth. Parts that several metrics need are computed once.

    Attributes:
        marked: The prediction, ``(X, Y, Z)``.
        truth: The true vessels, ``(X, Y, Z)``.
        spacing_mm: A voxel's sides.
    """

    marked: Mask
    truth: Mask
    spacing_mm: tuple[float, float, float]

    @cached_property
    def line(self) -> Mask:
        """The truth's centre line, ``(X, Y, Z)``."""
        return centre_line(self.truth)

    @cached_property
    def by_radius(self) -> ByRadius:
        """Dice of thin, medium and thick vessels."""
        return dice_by_radius(self.marked, self.truth, self.spacing_mm, self.line)


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric of a prediction; never below 0.

    Attributes:
        name: The name in files and for MLflow; it ends with the unit, if there is one.
        heading: The name in tables, without the unit.
        unit: The unit; empty for a share.
        of: Computes the metric.
        most: The upper bound; ``inf`` if there is none.
        higher_is_better: The direction.
        digits: How many digits are printed after the point.
        on_board: Whether it has an interval over seeds, and a column on the board and in ``bench
            score``.
        can_lack: Whether it is undefined for some patients: ``of`` then returns ``None``.
        since: The version of the suite that introduced it; empty if all results have it.
    """

    name: str
    heading: str
    unit: str = ""
    of: Callable[[Prediction], float | None]
    most: float = 1.0
    higher_is_better: bool = True
    digits: int = 3
    on_board: bool = False
    can_lack: bool = False
    since: str = ""

    @property
    def column(self) -> str:
        """The heading with its unit, such as ``95HD mm``."""
        return f"{self.heading} {self.unit}".strip()


DICE = Metric(name="dice", heading="Dice", of=lambda p: dice(p.marked, p.truth), on_board=True)
"""The metric by which generators are ranked."""

HD95 = Metric(
    name="hd95_mm",
    heading="95HD",
    unit="mm",
    of=lambda p: hausdorff95(p.marked, p.truth, p.spacing_mm),
    most=math.inf,
    higher_is_better=False,
    digits=1,
    on_board=True,
)

METRICS = (
    DICE,
    HD95,
    Metric(
        name="bavd_mm",
        heading="bAVD",
        unit="mm",
        of=lambda p: balanced_average_hausdorff(p.marked, p.truth, p.spacing_mm),
        most=math.inf,
        higher_is_better=False,
        digits=2,
        on_board=True,
    ),
    Metric(
        name="cldice",
        heading="clDice",
        of=lambda p: cldice(p.marked, p.truth, p.line),
        on_board=True,
    ),
    Metric(name="precision", heading="precision", of=lambda p: precision(p.marked, p.truth)),
    Metric(name="recall", heading="recall", of=lambda p: recall(p.marked, p.truth)),
    *(
        Metric(
            name=f"dice_{calibre}",
            heading=f"Dice, {calibre}",
            of=lambda p, calibre=calibre: getattr(p.by_radius, calibre),  # type: ignore[misc]
            can_lack=True,
        )
        for calibre in ByRadius._fields
    ),
)
NAMES = tuple(metric.name for metric in METRICS)
ON_BOARD = tuple(metric for metric in METRICS if metric.on_board)
CALIBRES = {calibre: f"dice_{calibre}" for calibre in ByRadius._fields}
"""The names of the metrics for Dice by calibre: thin, medium and thick."""


def score(prediction: Mask, truth: Mask, spacing_mm: tuple[float, float, float]) -> Scores:
    """Score a prediction against the truth by every metric.

    Only the box around both masks is processed: no metric depends on what lies outside it.

    Args:
        prediction: ``(X, Y, Z)``.
        truth: ``(X, Y, Z)``.
        spacing_mm: A voxel's sides.

    Returns:
        The scores by metric name.

    Raises:
        ValueError: If the shapes differ.
    """
    check_shapes(prediction, truth)
    if prediction.any() and truth.any():  # else distances need to know how long the volume is
        box = around(prediction, truth)
        prediction, truth = cropped(prediction, box), cropped(truth, box)
    case = Prediction(prediction, truth, spacing_mm)
    return {metric.name: metric.of(case) for metric in METRICS}
