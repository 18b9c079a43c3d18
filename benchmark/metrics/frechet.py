"""The Fréchet distance of two samples, each treated as Gaussian.

    d² = |μ₁ - μ₂|² + Tr Σ₁ + Tr Σ₂ - 2 Tr (Σ₁ Σ₂)^½

With centred features A (n x d), B (m x d), Σ₁ = AᵀA/(n - 1) and Σ₂ = BᵀB/(m - 1), the last trace is
the nuclear norm ‖A Bᵀ‖_* / √((n - 1)(m - 1)): no matrix square root is taken, and with few samples
of many dimensions the matrix is small.

Reference: Dowson and Landau (1982), J. Multivariate Analysis 12:450; Heusel et al. (2017),
arXiv:1706.08500, Equation 6.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.floating]


def frechet_distance(one: Features, other: Features) -> float:
    """Compute the squared Fréchet distance, at least 0, as FID is reported.

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
    means = a.mean(axis=0) - b.mean(axis=0)
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    n, m = len(a) - 1, len(b) - 1
    spread = (a**2).sum() / n + (b**2).sum() / m
    return max(0.0, float(means @ means + spread - 2 * _nuclear_norm(a, b) / np.sqrt(n * m)))


def _nuclear_norm(a: Features, b: Features) -> float:
    """‖A Bᵀ‖_*, from factors no larger than min(n, d) by min(m, d)."""
    small_a, small_b = _reduced(a), _reduced(b)
    return float(np.linalg.svd(small_a @ small_b.T, compute_uv=False).sum())


def _reduced(a: Features) -> Features:
    """R of A = QR where A is tall: ‖A Bᵀ‖_* = ‖R Bᵀ‖_*, as Q has orthonormal columns."""
    return np.asarray(np.linalg.qr(a, mode="r")) if a.shape[0] > a.shape[1] else a
