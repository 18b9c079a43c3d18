"""A patient's head: how large it is, how it lies, and where each voxel is in it.

Anatomy is written in an adult's millimetres: x to the right, y forwards, z upwards, with the
origin in the circle of Willis. A pose carries it to the scanner's millimetres:
world = centre + scale · R · adult.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.data.phantom.settings import Size, Triple

BRAIN_CENTRE_MM = np.array([0.0, -20.0, 8.0])
BRAIN_RADII_MM = np.array([66.0, 82.0, 66.0])


@dataclass(frozen=True, kw_only=True)
class Pose:
    """Where and how the head lies; ``stretch`` is per axis and holds the size's scale."""

    rotation: NDArray[np.float64]
    stretch: NDArray[np.float64]
    centre_mm: NDArray[np.float64]

    def to_world(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Adult's mm ``(n, 3)`` to the scanner's mm ``(n, 3)``."""
        moved = [
            sum(self.rotation[i, j] * self._scaled(points, j) for j in range(3)) for i in range(3)
        ]
        return np.stack(moved, axis=-1) + self.centre_mm

    def _scaled(self, points: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        return points[..., axis] * self.stretch[axis]

    def adult_grid(
        self, shape: tuple[int, int, int], spacing_mm: Triple
    ) -> list[NDArray[np.float32]]:
        """The three coordinates of every voxel's centre, in an adult's mm."""
        axes = [
            np.arange(n) * s - c for n, s, c in zip(shape, spacing_mm, self.centre_mm, strict=True)
        ]
        x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
        back = self.rotation.T / self.stretch[:, None]
        return [(b[0] * x + b[1] * y + b[2] * z).astype(np.float32) for b in back]


def draw_pose(rng: np.random.Generator, size: Size, spacing_mm: Triple) -> Pose:
    """A head of the size's scale, a little turned and a little off the centre."""
    stretch = size.head_scale * rng.normal(1.0, 0.025) * rng.normal(1.0, 0.015, 3)
    roll, pitch, yaw = np.deg2rad(rng.normal(0.0, (2.5, 4.0, 2.5)))
    extent = np.array(size.shape) * spacing_mm
    centre = 0.5 * extent - stretch * BRAIN_CENTRE_MM + rng.normal(0.0, 1.0, 3)
    centre[2] = -stretch[2] * size.slab_bottom_mm + rng.normal(0.0, 1.0)
    return Pose(rotation=_rotation(roll, pitch, yaw), stretch=stretch, centre_mm=centre)


def _rotation(roll: float, pitch: float, yaw: float) -> NDArray[np.float64]:
    turns = []
    for axis, angle in ((1, roll), (0, pitch), (2, yaw)):
        turn = np.eye(3)
        i, j = (axis + 1) % 3, (axis + 2) % 3
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        turns.append(turn)
    return np.asarray(turns[0] @ turns[1] @ turns[2])
