"""The grid of a volume's voxels, and interpolation from a coarser grid."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.data.phantom.settings import Triple

Field = NDArray[np.float32]


class Grid(NamedTuple):
    """The number of voxels along x, y and z, and their sides.

    All grids of a patient begin at the same point.
    """

    shape: tuple[int, int, int]
    spacing_mm: Triple

    def coarse(self, side_mm: float) -> Grid:
        """Return a grid of cubes that covers this one."""
        ends = (n * s for n, s in zip(self.shape, self.spacing_mm, strict=True))
        x, y, z = (int(np.ceil(end / side_mm)) + 1 for end in ends)
        return Grid((x, y, z), (side_mm, side_mm, side_mm))

    def lifted(self, field: Field, own: Grid) -> Field:
        """Interpolate a field from its ``own`` grid to this one, linearly along each axis."""
        if own == self:
            return field
        for axis in (2, 1, 0):
            pace = self.spacing_mm[axis] / own.spacing_mm[axis]
            field = _between(field, np.arange(self.shape[axis], dtype=np.float64) * pace, axis)
        return field


def _between(field: Field, places: NDArray[np.float64], axis: int) -> Field:
    first = np.floor(places).astype(np.intp)
    sides = [-1 if a == axis else 1 for a in range(3)]
    share = (places - first).astype(np.float32).reshape(sides)
    low = np.take(field, first, axis=axis)
    rise = np.take(field, first + 1, axis=axis)
    rise -= low
    rise *= share
    rise += low
    return rise
