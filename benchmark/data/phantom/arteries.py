"""The landmarks of the large vessels and the region that each of them feeds.

All points are in an adult's millimetres on the right side (x > 0). The left is its mirror image;
each patient's random jitter makes the two differ. The positions follow textbook proportions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from benchmark.data.phantom.head import BRAIN, SKIN

Points = NDArray[np.float64]
Span = tuple[float, float]


class Ground(Protocol):
    """The region that an artery feeds: the positions and the number of its ends."""

    @property
    def leaves(self) -> int:
        """The number of ends in a tree of richness 1."""

    def draw(self, rng: np.random.Generator, count: int, side: int) -> Points:
        """Draw the ends ``(count, 3)`` in an adult's mm; ``side`` is 1 (right) or -1."""


@dataclass(frozen=True, kw_only=True)
class Convexity:
    """A region on the outside of a hemisphere, in the brain's unit ball.

    Attributes:
        leaves: The number of ends in a tree of richness 1.
        azimuth_deg: From the front (0) over the side (90) to the back (180).
        elevation_deg: From the base (-90) to the crown (90).
        depth: The ball's radius at which the ends lie.
    """

    leaves: int
    azimuth_deg: Span
    elevation_deg: Span
    depth: Span

    def draw(self, rng: np.random.Generator, count: int, side: int) -> Points:
        """Draw ends spread evenly over the azimuth and at random otherwise."""
        azimuth = np.deg2rad(_evenly(rng, self.azimuth_deg, count))
        elevation = np.deg2rad(rng.uniform(*self.elevation_deg, count))
        level = np.cos(elevation)
        ball = (side * level * np.sin(azimuth), level * np.cos(azimuth), np.sin(elevation))
        return BRAIN.from_ball(rng.uniform(*self.depth, (count, 1)) * np.stack(ball, axis=1))


@dataclass(frozen=True, kw_only=True)
class Medial:
    """A region on the inner face of a hemisphere.

    Attributes:
        leaves: The number of ends in a tree of richness 1.
        angle_deg: From the front (0) over the crown (90) to the back (180).
        depth: The radius in the brain's unit ball at which the ends lie.
        gap_mm: The distance from the midline.
    """

    leaves: int
    angle_deg: Span
    depth: Span
    gap_mm: Span = (2.0, 8.0)

    def draw(self, rng: np.random.Generator, count: int, side: int) -> Points:
        """Draw ends spread evenly over the angle and at random otherwise."""
        angle = np.deg2rad(_evenly(rng, self.angle_deg, count))
        ball = np.stack([np.zeros_like(angle), np.cos(angle), np.sin(angle)], axis=1)
        points = BRAIN.from_ball(ball * rng.uniform(*self.depth, (count, 1)))
        points[:, 0] = side * rng.uniform(*self.gap_mm, count)
        return points


def _evenly(rng: np.random.Generator, span: Span, count: int) -> Points:
    edges = np.linspace(*span, count + 1)
    return rng.uniform(edges[:-1], edges[1:])


def _points(*rows: tuple[float, float, float]) -> Points:
    return np.array(rows, dtype=np.float64)


def _in_scalp(*rows: tuple[float, float, float]) -> Points:
    """The points moved along the head's radius to just beneath the skin."""
    ball = SKIN.to_ball(_points(*rows))
    return SKIN.from_ball(0.965 * ball / np.linalg.norm(ball, axis=1, keepdims=True))


CAROTID = _points(
    (29, -26, -60),
    (30, -27, -40),
    (29, -25, -30),
    (25, -20, -24),
    (18, -11, -23),
    (13, -3, -20),
    (12, 4, -14),
    (13, 9, -8),
    (13, 6, -3),
    (11, 0, -1),
    (12, -3, 3),
)
MIDDLE_1 = _points((12, -3, 3), (19, 1, 5), (28, 4, 3), (36, 3, 1))
MIDDLE_UPPER = _points((36, 3, 1), (41, 3, 8), (44, -2, 17))
MIDDLE_LOWER = _points((36, 3, 1), (42, -4, 2), (45, -14, 6))
ANTERIOR_1 = _points((12, -3, 3), (9, 2, 6), (5, 7, 6), (2.5, 10, 7))
ANTERIOR_2 = _points((2.5, 10, 7), (2, 18, 7), (2, 26, 10), (2, 30, 16))
PERICALLOSAL = _points((2, 30, 16), (2, 30, 23), (2, 23, 31), (2, 10, 36))
BASILAR = _points((1, -28, -60), (1, -26, -48), (-1, -23, -34), (1, -19, -20), (0, -16, -4))
POSTERIOR_1 = _points((0, -16, -4), (5, -14, 0), (11, -16, 1))
POSTERIOR_2 = _points((11, -16, 1), (17, -23, 2), (19, -33, 4), (16, -43, 8))
CEREBELLAR = _points((0, -16, -4), (7, -17, -7), (15, -24, -8), (19, -34, -7))
COMMUNICATING_FRONT = _points((2.5, 10, 7), (0, 11, 7.5), (-2.5, 10, 7))
COMMUNICATING_BACK = _points((12, -3, 3), (11, -8, -1), (11, -16, 1))

INTERNAL_VEIN = _points((3, -6, 15), (3.5, -18, 19), (3, -34, 17), (1, -46, 14))
GALEN = _points((0, -46, 14), (0, -52, 15), (0, -58, 20))
BASAL_VEIN = _points((9, -6, -6), (15, -16, -3), (15, -30, 3), (3, -46, 12))
CORTICAL_VEINS = (
    _points((3, 34, 56), (9, 33, 56)),
    _points((3, 4, 71), (10, 3, 69)),
    _points((3, -38, 70), (10, -38, 68)),
    _points((40, -76, -5), (43, -72, 2)),
)
"""The places where cortical veins end in a sinus."""
VEIN_GROUND = Convexity(leaves=3, azimuth_deg=(20, 165), elevation_deg=(0, 50), depth=(0.96, 1.0))

UPPER_GROUND = Convexity(
    leaves=17, azimuth_deg=(35, 130), elevation_deg=(8, 65), depth=(0.86, 0.97)
)
LOWER_GROUND = Convexity(
    leaves=15, azimuth_deg=(80, 155), elevation_deg=(-18, 30), depth=(0.86, 0.97)
)
FRONTAL_GROUND = Medial(leaves=8, angle_deg=(5, 85), depth=(0.80, 0.97))
CALLOSAL_GROUND = Medial(leaves=7, angle_deg=(85, 150), depth=(0.55, 0.95))
OCCIPITAL_GROUND = Convexity(
    leaves=13, azimuth_deg=(135, 178), elevation_deg=(-16, 28), depth=(0.70, 0.95)
)
CEREBELLAR_GROUND = Convexity(
    leaves=5, azimuth_deg=(130, 175), elevation_deg=(-48, -26), depth=(0.75, 0.95)
)

SCALP_TRUNK = _in_scalp((90, -3, -60), (90, -3, -40), (90, -2, -24), (90, 0, -8))
SCALP_BACK = _in_scalp((90, 0, -8), (86, 6, 18), (72, 12, 44), (55, 20, 64))
SCALP_FRONT = _in_scalp((90, 0, -8), (82, 26, 8), (68, 50, 22), (45, 75, 30))
SAGITTAL_SINUS = _points(
    (0, 58, 20), (0, 40, 52), (0, 5, 72), (0, -40, 71), (0, -78, 52), (0, -98, 25), (0, -101, 2)
)
TRANSVERSE_SINUS = _points(
    (0, -101, 2), (25, -93, -4), (47, -72, -8), (56, -50, -14), (52, -42, -30)
)
STRAIGHT_SINUS = _points((0, -101, 2), (0, -80, 10), (0, -58, 20))
