"""A patient's head: its size, its pose, and each voxel's position in it.

Anatomy is written in an adult's millimetres: x to the right, y forwards, z upwards, with the
origin in the circle of Willis. A pose carries it to the scanner's millimetres:
world = centre + R · stretch · egg(adult), where the egg narrows the forehead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.data.phantom.grid import Grid
from benchmark.data.phantom.settings import Size, Triple

Points = NDArray[np.float64]
Field = NDArray[np.float32]

EGG_PER_MM = 0.0012
EGG_MIDDLE_MM = -20.0


@dataclass(frozen=True, kw_only=True)
class Ellipsoid:
    """An ellipsoid in an adult's mm, as the image of the unit ball.

    Attributes:
        centre_mm: The centre.
        radii_mm: The half axes along x, y and z.
    """

    centre_mm: Triple
    radii_mm: Triple

    def to_ball(self, points: Points) -> Points:
        """Map points ``(..., 3)`` from an adult's mm to the unit ball."""
        return np.asarray((points - self.centre_mm) / self.radii_mm)

    def from_ball(self, points: Points) -> Points:
        """Map points ``(..., 3)`` from the unit ball to an adult's mm."""
        return np.asarray(points * self.radii_mm + self.centre_mm)

    def depth_mm(self, adult: list[Field]) -> Field:
        """Return each voxel's depth beneath the surface, along the radius; negative outside."""
        squared = ratio = np.full_like(adult[0], 1e-6)
        for a, c, r in zip(adult, self.centre_mm, self.radii_mm, strict=True):
            offset = (a - np.float32(c)) ** 2
            squared = squared + offset
            ratio = ratio + offset * np.float32(r**-2)
        return np.asarray((1 / np.sqrt(ratio) - 1) * np.sqrt(squared), np.float32)


BRAIN = Ellipsoid(centre_mm=(0, -20, 10), radii_mm=(67, 83, 64))
SKIN = Ellipsoid(centre_mm=(0, -18, 0), radii_mm=(80, 98, 92))


@dataclass(frozen=True, kw_only=True)
class Pose:
    """The position and direction of a head.

    Attributes:
        rotation: ``(3, 3)``.
        stretch: The scale of each axis, with the size's scale.
        centre_mm: The origin in the scanner's mm.
    """

    rotation: Points
    stretch: Points
    centre_mm: Points

    def to_world(self, points: Points) -> Points:
        """Map points ``(n, 3)`` from an adult's mm to the scanner's mm."""
        scaled = points * self.stretch
        scaled[:, 0] /= 1 + EGG_PER_MM * (points[:, 1] - EGG_MIDDLE_MM)
        return np.asarray((scaled[:, None] * self.rotation).sum(axis=-1) + self.centre_mm)

    def adult_grid(self, grid: Grid) -> list[Field]:
        """Return the three coordinates of every voxel's centre, in an adult's mm."""
        world = [
            (np.arange(n) * s - c).astype(np.float32)
            for n, s, c in zip(*grid, self.centre_mm, strict=True)
        ]
        x, y, z = np.meshgrid(*world, indexing="ij", sparse=True)
        back = (self.rotation.T / self.stretch[:, None]).astype(np.float32)
        adult: list[Field] = [b[0] * x + b[1] * y + b[2] * z for b in back]
        adult[0] *= 1 + np.float32(EGG_PER_MM) * (adult[1] - np.float32(EGG_MIDDLE_MM))
        return adult


def draw_pose(rng: np.random.Generator, size: Size, grid: Grid) -> Pose:
    """Draw the pose of a head of the size's scale, slightly turned and off the centre."""
    stretch = size.head_scale * rng.normal(1.0, 0.025) * rng.normal(1.0, 0.02, 3)
    roll, pitch, yaw = np.deg2rad(rng.normal(0.0, (2.5, 4.0, 2.5)))
    extent = np.array(grid.shape) * grid.spacing_mm
    centre = 0.5 * extent - stretch * SKIN.centre_mm + rng.normal(0.0, 0.8, 3)
    centre[2] = -stretch[2] * size.slab_bottom_mm + rng.normal(0.0, 1.0)
    return Pose(rotation=_rotation(roll, pitch, yaw), stretch=stretch, centre_mm=centre)


def _rotation(roll: float, pitch: float, yaw: float) -> Points:
    turns = []
    for axis, angle in ((1, roll), (0, pitch), (2, yaw)):
        turn = np.eye(3)
        i, j = (axis + 1) % 3, (axis + 2) % 3
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        turns.append(turn)
    return np.asarray(turns[0] @ turns[1] @ turns[2])
