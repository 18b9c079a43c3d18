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
    hits, marked, vessel = _counts(prediction, truth)
    return 2 * hits / (marked + vessel) if marked + vessel else 1.0


def precision(prediction: NDArray[np.generic], truth: NDArray[np.generic]) -> float:
    """|P ∩ T| / |P|: how much of what is marked is vessel; 0 for an empty prediction of something.

    Raises:
        ValueError: If the shapes differ.
    """
    hits, marked, vessel = _counts(prediction, truth)
    return hits / marked if marked else float(vessel == 0)


def recall(prediction: NDArray[np.generic], truth: NDArray[np.generic]) -> float:
    """|P ∩ T| / |T|: how much of the vessels is marked; 1 where there are none.

    Raises:
        ValueError: If the shapes differ.
    """
    hits, _, vessel = _counts(prediction, truth)
    return hits / vessel if vessel else 1.0


def _counts(prediction: NDArray[np.generic], truth: NDArray[np.generic]) -> tuple[int, int, int]:
    """|P ∩ T|, |P| and |T|."""
    if prediction.shape != truth.shape:
        raise ValueError(f"Expected masks of one shape, got {prediction.shape} and {truth.shape}.")
    marked, vessel = prediction != 0, truth != 0
    return int((marked & vessel).sum()), int(marked.sum()), int(vessel.sum())
