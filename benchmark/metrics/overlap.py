"""How much two masks share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def dice(prediction: NDArray[np.generic], truth: NDArray[np.generic]) -> float:
    """Dice = 2 |P ∩ T| / (|P| + |T|), in [0, 1] (Dice 1945).

    Args:
        prediction: A mask of any shape; nonzero is marked.
        truth: A mask of the same shape.

    Returns:
        0 for an empty prediction of something; 1 where both are empty.

    Raises:
        ValueError: If the shapes differ.
    """
    if prediction.shape != truth.shape:
        raise ValueError(f"Expected masks of one shape, got {prediction.shape} and {truth.shape}.")
    marked, vessel = prediction != 0, truth != 0
    total = int(marked.sum()) + int(vessel.sum())
    return 2 * int((marked & vessel).sum()) / total if total else 1.0
