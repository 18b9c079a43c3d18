"""The landmarks of the large arteries and the ground that each of them feeds.

All points are an adult's millimetres on the right side (x > 0); the left is its mirror image,
and every patient's own jitter makes the two differ. Read off textbook proportions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Territory:
    """Where an artery's leaves lie, on the brain's unit ball.

    Attributes:
        azimuth_deg: From the front (0) over the right side (90) to the back (180).
        elevation_deg: From the base (-90) to the crown (90).
        depth: The unit ball's radius at which leaves lie.
        leaves: How many.
    """

    azimuth_deg: tuple[float, float]
    elevation_deg: tuple[float, float]
    depth: tuple[float, float]
    leaves: int


def _points(*rows: tuple[float, float, float]) -> Points:
    return np.array(rows)


CAROTID = _points(
    (29, -26, -60),
    (30, -27, -40),
    (29, -25, -29),
    (24, -19, -24),
    (17, -11, -23),
    (13, -4, -20),
    (12, 3, -14),
    (13, 8, -8),
    (13, 6, -3),
    (11, 1, -1),
    (12, -2, 3),
)
MIDDLE_1 = _points((12, -2, 3), (19, 1, 5), (27, 4, 3), (35, 3, 2))
MIDDLE_UPPER = _points((35, 3, 2), (41, 2, 9), (44, -3, 18))
MIDDLE_LOWER = _points((35, 3, 2), (42, -5, 4), (45, -15, 8))
ANTERIOR_1 = _points((12, -2, 3), (8, 2, 6), (4, 7, 6), (2.5, 10, 7))
ANTERIOR_2 = _points((2.5, 10, 7), (2, 16, 9), (2.5, 22, 15), (2, 25, 23))
BASILAR = _points((1, -26, -52), (0, -24, -40), (1, -20, -25), (0, -17, -10), (0, -15, -2))
POSTERIOR_1 = _points((0, -15, -2), (5, -13, 1), (11, -15, 2))
POSTERIOR_2 = _points((11, -15, 2), (17, -22, 3), (18, -32, 5), (15, -42, 8))
CEREBELLAR = _points((0, -15, -3), (6, -16, -5), (14, -23, -6), (18, -33, -5))
COMMUNICATING_ANTERIOR = _points((2.5, 10, 7), (0, 11, 7.5), (-2.5, 10, 7))
COMMUNICATING_POSTERIOR = _points((12, -1, 0), (12, -8, 0), (11, -15, 2))
TEMPORAL_SUPERFICIAL = _points(
    (74, -22, -40), (76, -20, -20), (78, -16, 0), (76, -8, 20), (68, 8, 40), (60, 10, 60)
)

UPPER_GROUND = Territory(
    azimuth_deg=(40, 125), elevation_deg=(5, 68), depth=(0.90, 0.98), leaves=15
)
LOWER_GROUND = Territory(
    azimuth_deg=(85, 150), elevation_deg=(-20, 32), depth=(0.88, 0.98), leaves=13
)
ANTERIOR_GROUND = Territory(
    azimuth_deg=(3, 8), elevation_deg=(-5, 170), depth=(0.55, 0.97), leaves=12
)
POSTERIOR_GROUND = Territory(
    azimuth_deg=(140, 177), elevation_deg=(-22, 25), depth=(0.70, 0.96), leaves=11
)
CEREBELLAR_GROUND = Territory(
    azimuth_deg=(130, 176), elevation_deg=(-45, -22), depth=(0.70, 0.95), leaves=6
)
