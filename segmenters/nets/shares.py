"""The highest share of each brain: a cut that is published, and fitted to nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

OUTSIDE = -1.0
"""What a volume holds outside of the brain; see ``benchmark.data.cohort.PatientVolume``."""


def brightest(
    values: NDArray[np.float32], brain: NDArray[np.bool_], share: float, *, most: float
) -> NDArray[np.bool_]:
    """Marks what is above all but the share of the brain.

    Args:
        values: ``(X, Y, Z)``.
        brain: The voxels to mark among, ``(X, Y, Z)``.
        share: Of the brain's voxels, those to mark.
        most: What is above that is always marked.
    """
    inside = values[brain]
    if not len(inside):
        return np.zeros(values.shape, np.bool_)
    least = float(np.quantile(inside, 1 - share))
    return np.asarray((values > min(least, most)) & brain)
