"""Resampling to a coarser grid by the means of blocks, and back by linear interpolation."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]


class Coarse(NamedTuple):
    """The coarsening of a grid.

    Attributes:
        shape: The fine grid's shape.
        block: Voxels per block along each axis.
    """

    shape: tuple[int, ...]
    block: tuple[int, ...]

    @classmethod
    def of(cls, shape: tuple[int, ...], spacing_mm: tuple[float, ...], grid_mm: float) -> Coarse:
        """Choose blocks of about ``grid_mm``. A larger voxel is a block of its own."""
        return cls(shape, tuple(max(1, round(grid_mm / side)) for side in spacing_mm))

    def spacing_mm(self, spacing_mm: tuple[float, ...]) -> tuple[float, ...]:
        """Return a block's sides."""
        return tuple(n * side for n, side in zip(self.block, spacing_mm, strict=True))

    def means(self, image: NDArray[Any]) -> Field:
        """Return each block's mean. Blocks at the far ends may be smaller."""
        slabs = range(0, self.shape[2], self.block[2])
        return np.stack([self._slab(image[:, :, z : z + self.block[2]]) for z in slabs], axis=2)

    def _slab(self, image: NDArray[Any]) -> Field:
        mean = image.mean(axis=2, dtype=np.float64)
        for axis in (0, 1):
            starts = np.arange(0, self.shape[axis], self.block[axis])
            counts = np.diff(np.append(starts, self.shape[axis]))
            mean = np.add.reduceat(mean, starts, axis) / np.expand_dims(counts, 1 - axis)
        return np.asarray(mean, np.float32)

    def spread(self, field: Field) -> Field:
        """Interpolate a field to the fine grid, linearly between the blocks' centres."""
        for axis in range(3):
            field = self._spread(field, axis)
        return field

    def positive(self, field: Field) -> NDArray[np.bool_]:
        """Tell where ``spread`` is above 0, slice by slice to save memory."""
        thin = Coarse((*self.shape[:2], 1), (*self.block[:2], 1))
        out = np.empty(self.shape, np.bool_)
        lower, upper, share = self._between(field.shape[2], 2)
        for z in range(self.shape[2]):
            plane = (1 - share[z]) * field[..., lower[z]] + share[z] * field[..., upper[z]]
            out[:, :, z] = thin.spread(plane[..., None])[..., 0] > 0
        return out

    def _spread(self, field: Field, axis: int) -> Field:
        lower, upper, share = self._between(field.shape[axis], axis)
        share = share.reshape([-1 if a == axis else 1 for a in range(3)])
        return (1 - share) * field.take(lower, axis) + share * field.take(upper, axis)

    def _between(self, blocks: int, axis: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Field]:
        """The blocks whose centres each voxel lies between, and its share of the second."""
        place = (np.arange(self.shape[axis]) + 0.5) / self.block[axis] - 0.5
        place = np.clip(place, 0, blocks - 1)
        lower = np.floor(place).astype(np.intp)
        return lower, np.minimum(lower + 1, blocks - 1), (place - lower).astype(np.float32)
