"""Estimation of the simulated population that a noised mean of statistics comes from.

Many populations are drawn from the prior, some patches of each, and their units' vectors. A vector
is the statistics less a centre, over a scale, both taken over all of these, so public. A statistic
that a patch lacks counts as the centre. A population would release the mean of its clipped vectors.
Parameters (as logits) and noisy means then have a joint covariance. It gives the best linear
estimate of the parameters and the uncertainty that remains (Goldstein and Wooff 2007, *Bayes Linear
Statistics*, equations 1.1 and 1.2),

    E = E θ + Cov(θ, z) (Var z + s² I)⁻¹ (ẑ - E z),
    V = Var θ - Cov(θ, z) (Var z + s² I)⁻¹ Cov(z, θ),

with s the released mean's noise. With much noise the result is the prior.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmark.core.budget import Unit
from benchmark.core.patches import Patches
from benchmark.core.seeds import stream
from benchmark.privacy.mechanisms.release import clipped
from generators.simulation import families
from generators.simulation.family import Family

Array = NDArray[np.float64]

EDGE = 0.02
"""How far shares of a range are kept from its ends before they become logits."""

JITTER = 1e-6


class Mixture(Protocol):
    """A distribution from which patches are drawn."""

    def patches(
        self, n: int, spread: float, family: Family, size: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Draw images ``(n, 1, H, W)`` and their masks."""

    def _asdict(self) -> dict[str, Any]:
        """Its arrays by name."""


class Posterior(NamedTuple):
    """The normal distribution of a population's parameters, as logits.

    Attributes:
        mean: ``(p,)``.
        root: ``(p, p)``; the covariance is root · rootᵀ.
    """

    mean: Array
    root: Array

    def draw(self, n: int, spread: float, rng: np.random.Generator) -> NDArray[np.float32]:
        """Draw parameters ``(n, p)`` in [0, 1], each patch of a population of its own.

        Args:
            n: How many.
            spread: The spread of the draws, in standard deviations of what is unknown.
            rng: The random generator.
        """
        logits = self.mean + spread * rng.standard_normal((n, len(self.mean))) @ self.root.T
        return np.asarray(1 / (1 + np.exp(-logits)), np.float32)

    def patches(
        self, n: int, spread: float, family: Family, size: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Draw images ``(n, 1, H, W)`` and masks; ``spread`` as in ``draw``."""
        return family.draw(self.draw(n, spread, rng), size, rng)


class Populations:
    """Simulated populations of the prior.

    Args:
        count: How many.
        patches: How many patches of each.
        size: The side of a patch.
        unit: Whose vectors are clipped: patches', or the mean of a patient's.
        rng: The random generator.
        family: The family of the populations.
    """

    def __init__(
        self,
        *,
        count: int,
        patches: int,
        size: int,
        unit: Unit,
        rng: np.random.Generator,
        family: Family = families.TUBES,
    ) -> None:
        theta = family.prior(count, rng)
        self._logits = logits(theta)
        seen = np.stack([self._observed(family, one, patches, size, rng) for one in theta])
        self._missing = np.nanmean(seen, axis=(0, 1))
        self._family, self._size, self._by_patch = family, size, unit == "patch"
        self._drawn = self._filled(seen)
        self._vectors = self._drawn if self._by_patch else self._drawn.mean(1, keepdims=True)
        self._centre = self._vectors.mean((0, 1))
        self._scale = self._vectors.std((0, 1))

    def features(self, patches: Patches) -> Array:
        """Compute the vector of every patch ``(n, d)``."""
        seen = self._filled(self._family.measure(patches.images, patches.masks))
        return self._standard(seen)

    def prior(self) -> Posterior:
        """Return the distribution of a population's parameters before anything is released."""
        return _posterior(self._logits.mean(0), np.atleast_2d(np.cov(self._logits.T)))

    def posterior(self, released: Array, *, clip_norm: float, deviation: float) -> Posterior:
        """Return the distribution of a population's parameters, given its released mean.

        Args:
            released: ``(d,)``.
            clip_norm: C of the units' vectors.
            deviation: s, the noise's standard deviation in each number.
        """
        vectors = self._standard(self._vectors)
        means = np.stack([clipped(units, clip_norm).mean(0) for units in vectors])
        both = np.cov(means.T, self._logits.T)
        d = means.shape[1]
        noisy = both[:d, :d] + (deviation**2 + JITTER) * np.eye(d)
        gain = np.linalg.solve(noisy, both[:d, d:]).T
        mean = self._logits.mean(0) + gain @ (released - means.mean(0))
        return _posterior(mean, both[d:, d:] - gain @ both[:d, d:])

    @staticmethod
    def _observed(
        family: Family,
        theta: NDArray[np.float32],
        patches: int,
        size: int,
        rng: np.random.Generator,
    ) -> NDArray[np.float32]:
        """The statistics of a population's patches ``(patches, d)``."""
        return family.measure(*family.draw(np.tile(theta, (patches, 1)), size, rng))

    def fitted(
        self, released: Array, *, clip_norm: float, deviation: float, spread: float
    ) -> Mixture:
        """Return the distribution of patches for a released mean.

        ``spread`` is for families that need it; it is not used here.
        """
        return self.posterior(released, clip_norm=clip_norm, deviation=deviation)

    def _standard(self, seen: Array) -> Array:
        return np.asarray((seen - self._centre) / self._scale)

    def _filled(self, seen: NDArray[np.float32]) -> Array:
        return np.where(np.isnan(seen), self._missing, seen).astype(np.float64)


@lru_cache(maxsize=2)
def populations_of(
    design: str, pixel_mm: float, count: int, patches: int, size: int, unit: Unit
) -> Populations:
    """Return populations of a design, the same for every fit, and kept for the process.

    Args:
        design: One of ``families.DESIGNS``.
        pixel_mm: A pixel's nominal side.
        count: How many.
        patches: How many patches of each.
        size: The side of a patch.
        unit: As in ``Populations``.
    """
    rng = np.random.default_rng(stream(0, f"populations of {design}"))
    made = {"count": count, "patches": patches, "size": size}
    return Populations(**made, unit=unit, rng=rng, family=families.family(design, pixel_mm))


@lru_cache(maxsize=2)
def tubes_of(seed: int, count: int, patches: int, size: int, unit: Unit) -> Populations:
    """Return populations of tubes, kept for the process, as sites and server need the same ones.

    Args:
        seed: The public seed of a fit.
        count: How many.
        patches: How many patches of each.
        size: The side of a patch.
        unit: As in ``Populations``.
    """
    rng = np.random.default_rng(stream(seed, "simulated populations"))
    return Populations(count=count, patches=patches, size=size, unit=unit, rng=rng)


def logits(theta: NDArray[np.float32]) -> Array:
    """Convert parameters in [0, 1] to logits, kept a little from the ends."""
    share = np.clip(theta.astype(np.float64), EDGE, 1 - EDGE)
    return np.asarray(np.log(share / (1 - share)))


def _posterior(mean: Array, covariance: Array) -> Posterior:
    """With the covariance's root; rounding may have left some of its values below zero."""
    values, vectors = np.linalg.eigh(covariance)
    return Posterior(mean, vectors * np.sqrt(np.maximum(values, 0)))
