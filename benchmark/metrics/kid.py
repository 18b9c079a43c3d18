"""The kernel distance of two samples. It is unbiased, so values at different n can be compared."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.floating]


def kernel_distance(one: Features, other: Features) -> float:
    """Compute the squared maximum mean discrepancy of two samples, as KID is reported.

    The kernel is k(x, y) = (x·y / d + 1)³. This is the unbiased estimate over all pairs, which may
    be slightly below 0.

    Reference: Bińkowski et al. (2018), arXiv:1801.01401, Equation 4.

    Args:
        one: ``(n, d)``, n at least 2.
        other: ``(m, d)``, m at least 2.

    Raises:
        ValueError: For fewer than 2 samples, or unequal dimensions.
    """
    if one.ndim != 2 or other.ndim != 2 or one.shape[1] != other.shape[1]:
        raise ValueError(f"Expected (n, d) and (m, d), got {one.shape} and {other.shape}.")
    if min(len(one), len(other)) < 2:
        raise ValueError(f"Expected 2 samples or more, got {len(one)} and {len(other)}.")
    a, b = np.asarray(one, np.float64), np.asarray(other, np.float64)
    return _within(a) + _within(b) - 2 * float(_kernel(a, b).mean())


def _kernel(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    kernel: NDArray[np.float64] = (a @ b.T / a.shape[1] + 1) ** 3
    return kernel


def _within(a: NDArray[np.float64]) -> float:
    """The mean of the kernel over pairs of two different samples."""
    kernel = _kernel(a, a)
    return float((kernel.sum() - np.trace(kernel)) / (len(a) * (len(a) - 1)))
