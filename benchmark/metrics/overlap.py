"""The overlap of two masks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def dice(prediction: NDArray[np.generic], truth: NDArray[np.generic]) -> float:
    """Compute Dice = 2 |P ∩ T| / (|P| + |T|), in [0, 1] (Dice 1945).

    Args:
        prediction: A mask P of any shape; nonzero is marked.
        truth: A mask T of the same shape.

    Returns:
        The overlap; 1 where both are empty.

    Raises:
        ValueError: If the shapes differ.
    """
    hits, marked, vessel = _counts(prediction, truth)
    return 2 * hits / (marked + vessel) if marked + vessel else 1.0


def precision(prediction: NDArray[np.generic], truth: NDArray[np.generic]) -> float:
    """Compute |P ∩ T| / |P|, the share of the marked voxels that are vessel.

    Args:
        prediction: A mask P of any shape; nonzero is marked.
        truth: A mask T of the same shape.

    Returns:
        In [0, 1]; of an empty prediction 1 if the truth is empty too, else 0.

    Raises:
        ValueError: If the shapes differ.
    """
    hits, marked, vessel = _counts(prediction, truth)
    return hits / marked if marked else float(vessel == 0)


def recall(prediction: NDArray[np.generic], truth: NDArray[np.generic]) -> float:
    """Compute |P ∩ T| / |T|, the share of the vessel voxels that are marked.

    Args:
        prediction: A mask P of any shape; nonzero is marked.
        truth: A mask T of the same shape.

    Returns:
        In [0, 1]; 1 where there are no vessels.

    Raises:
        ValueError: If the shapes differ.
    """
    hits, _, vessel = _counts(prediction, truth)
    return hits / vessel if vessel else 1.0


def as_mask(voxels: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Return which voxels are nonzero; a mask of truth values as it is."""
    return np.asarray(voxels, np.bool_)


def check_shapes(prediction: NDArray[np.generic], truth: NDArray[np.generic]) -> None:
    """Check that two masks have one shape.

    Raises:
        ValueError: If the shapes differ.
    """
    if prediction.shape != truth.shape:
        raise ValueError(f"Expected masks of one shape, got {prediction.shape} and {truth.shape}.")


def _counts(prediction: NDArray[np.generic], truth: NDArray[np.generic]) -> tuple[int, int, int]:
    """|P ∩ T|, |P| and |T|."""
    check_shapes(prediction, truth)
    marked, vessel = as_mask(prediction), as_mask(truth)
    count = np.count_nonzero
    return int(count(marked & vessel)), int(count(marked)), int(count(vessel))
