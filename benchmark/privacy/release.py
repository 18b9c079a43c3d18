"""One noised mean of bounded vectors: what a generator that takes no private steps learns.

Every patch is mapped to a vector; a unit u contributes the mean v_u of its patches' vectors,
clipped to norm C, and what is released is, with the *public* number of units N,

    1/N · ( Σ_u v_u · min(1, C / ‖v_u‖) + σ C N(0, I) ).

Zeroing out a unit moves the sum by C at most: the Gaussian mechanism with noise multiplier σ, which
``accounting`` bounds in closed form (Balle and Wang 2018, arXiv:1805.06530, theorem 8). Several
releases of one fit compose to μ = √T / σ. Whatever is made of them is post-processing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmark.core.budget import Budget, Guarantee, PublicNumbers
from benchmark.core.generator import Noise
from benchmark.core.patches import Patches
from benchmark.privacy.planning import plan_poisson_gaussian

Vectors = NDArray[np.float64]
Features = Callable[[Patches], Vectors]
"""Patches to a vector for each ``(n, d)``; of one patch from that patch alone."""

CHUNK = 512


def plan_releases(
    public: PublicNumbers, budget: Budget, *, clip_norm: float, releases: int = 1
) -> Guarantee:
    """What some releases are for a budget; at ε = ∞ they are unclipped and without noise.

    Raises:
        UsageError: If no noise reaches the target.
    """
    open_ = replace(
        Guarantee.of(public, replace(budget, epsilon=math.inf), epsilon=math.inf), steps=releases
    )
    if math.isinf(budget.epsilon):
        return open_
    return plan_poisson_gaussian(
        open_, epsilon=budget.epsilon, clip_norm=clip_norm, accountant="gaussian"
    )


class Release:
    """The noised means of one fit.

    Args:
        guarantee: Its plan: unit, σ, C and the public numbers.
    """

    def __init__(self, guarantee: Guarantee) -> None:
        self.guarantee = guarantee

    @property
    def units(self) -> int:
        """N, from public numbers alone."""
        each = 1 if self.guarantee.unit == "patient" else self.guarantee.patches_per_patient
        return self.guarantee.patients * each

    @property
    def deviation(self) -> float:
        """The standard deviation of the noise in every number of a mean."""
        if self.guarantee.noise_multiplier == 0:
            return 0.0
        return self.guarantee.noise_multiplier * self.guarantee.clip_norm / self.units

    def mean(self, patches: Patches, features: Features, noise: Noise) -> Vectors:
        """The noised mean ``(d,)`` of the units' clipped vectors; one not finite counts as zero."""
        total: Vectors = features(_taken(patches, np.arange(0))).sum(0, dtype=np.float64)
        for vectors in self._units(patches, features):
            total = total + clipped(vectors, self.guarantee.clip_norm).sum(0)
        mean: Vectors = total / self.units
        return mean if self.deviation == 0 else mean + self.deviation * noise.normal(len(mean))

    def _units(self, patches: Patches, features: Features) -> Iterator[Vectors]:
        """The units' vectors, some at a time."""
        if patches.patient is None:
            raise ValueError("Patches of no known patient cannot be released by unit.")
        if self.guarantee.unit == "patch":
            yield from (features(part) for part in _parts(patches, np.arange(len(patches))))
            return
        for patient in np.unique(patches.patient):
            mine = np.flatnonzero(patches.patient == patient)
            sums = [features(part).sum(0) for part in _parts(patches, mine)]
            yield np.sum(sums, axis=0)[None] / len(mine)


def clipped(vectors: Vectors, clip_norm: float) -> Vectors:
    """Rows at a norm of ``clip_norm`` at most; rows that are not finite become zero."""
    finite = np.isfinite(vectors).all(1, keepdims=True)
    vectors = np.where(finite, vectors, 0.0)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors * np.minimum(1, clip_norm / np.maximum(norms, 1e-300)))


def _parts(patches: Patches, indices: NDArray[np.int64]) -> Iterator[Patches]:
    for start in range(0, len(indices), CHUNK):
        yield _taken(patches, indices[start : start + CHUNK])


def _taken(patches: Patches, indices: NDArray[np.int64]) -> Patches:
    return Patches(images=patches.images[indices], masks=patches.masks[indices])
