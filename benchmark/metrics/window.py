"""The part of a volume that matters: distances and skeletons there cost less than everywhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def around(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """The smallest box that holds a mask ``(X, Y, Z)``; empty slices for an empty mask."""
    sides = [np.flatnonzero(mask.any(axis=other)) for other in ((1, 2), (0, 2), (0, 1))]
    return tuple(slice(int(s[0]), int(s[-1]) + 1) if len(s) else slice(0, 0) for s in sides)
