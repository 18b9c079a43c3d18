"""Marking of the highest share of each brain: a threshold that is published, and not fitted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

OUTSIDE = -1.0
"""The value of a volume outside the brain; see ``benchmark.data.cohort.PatientVolume``."""


def brightest(
    values: NDArray[np.float32], brain: NDArray[np.bool_], share: float, *, most: float
) -> NDArray[np.bool_]:
    """Mark the highest values of a brain, as large a share of it as is given.

    Args:
        values: ``(X, Y, Z)``.
        brain: The voxels to mark among, ``(X, Y, Z)``.
        share: The share of the brain's voxels to mark.
        most: Values above this are always marked.

    Returns:
        bool ``(X, Y, Z)``.
    """
    inside = values[brain]
    if not len(inside):
        return np.zeros(values.shape, np.bool_)
    least = float(np.quantile(inside, 1 - share))
    return np.asarray((values > min(least, most)) & brain)
