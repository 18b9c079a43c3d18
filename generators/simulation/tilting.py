"""The mixture of simulated patches with a given mean of statistics that narrows the prior least.

Patches are drawn from populations of a wide family, and each is kept with a weight

    w ∝ exp(λ · z),    λ = argmin log E exp(λ · (z - z*)) + τ²/2 ‖λ‖²,

so that the mean of their vectors z is z* within about τ² λ. Of all mixtures with that mean, this
one has the least divergence from what was drawn (Csiszár 1975, Ann Probab 3, p. 146; relaxed as in
Dudík et al. 2007, JMLR 8, p. 1217). So nothing is narrowed without evidence from the patients. z*
is the released mean after denoising by the prior's populations. With h and C the mean and the
covariance of what they release and s the noise,

    z* = h + C (C + s² I)⁻¹ (ẑ - h).

To waste few patches, the centre of the parameters that they are drawn around is moved to the
weighted mean before λ is found again; their spread stays the prior's. All of it is made from the
released mean and public draws, so it is post-processing.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.core.budget import Unit
from benchmark.core.seeds import stream
from benchmark.privacy.mechanisms.release import clipped
from generators.simulation import statistics
from generators.simulation.families import trees
from generators.simulation.family import Family
from generators.simulation.populations import Populations, Posterior, logits

Array = NDArray[np.float64]

LOOKS, TRIED = 3, 4096
"""How often λ is found, and from how many patches, drawn around the last mixture's mean."""

OFFERED = 4
"""How many patches are drawn for each one that is kept."""

AT_ONCE = 256
TOLERANCE = 0.05
"""τ, in standard deviations of the prior's populations."""

NEWTON_STEPS = 30
LONGEST_STEP = 1.0
LEAST = 1e-3
"""The least variance."""


class Tilted(NamedTuple):
    """A mixture of populations, with the weights by which patches are kept.

    Attributes:
        mean: The mean of the logits of their parameters ``(p,)``.
        root: ``(p, p)``; their covariance is root · rootᵀ.
        tilt: λ over the statistics' scale ``(d,)``.
        missing: The value of a statistic that a patch lacks ``(d,)``.
    """

    mean: Array
    root: Array
    tilt: Array
    missing: Array

    def patches(
        self, n: int, spread: float, family: Family, size: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Draw patches ``(n, 1, H, W)`` and masks; fewer of them are the first of more."""
        images = np.empty((n, 1, size, size), np.float32)
        masks = np.empty(images.shape, np.uint8)
        for start in range(0, n, AT_ONCE):
            theta = Posterior(self.mean, self.root).draw(OFFERED * AT_ONCE, spread, rng)
            shown, marked = family.draw(theta, size, rng)
            kept = rng.permutation(_resampled(self._logs(shown, marked), AT_ONCE, rng))
            now = slice(start, min(start + AT_ONCE, n))
            images[now], masks[now] = (part[kept[: n - start]] for part in (shown, marked))
        return images, masks

    def _logs(self, images: NDArray[np.float32], masks: NDArray[np.uint8]) -> Array:
        seen = statistics.measure(images, masks)
        return np.asarray(np.where(np.isnan(seen), self.missing, seen) @ self.tilt)


class TiltedPopulations(Populations):
    """Populations of a wide family, fitted by the mixture that narrows them least."""

    def fitted(
        self, released: Array, *, clip_norm: float, deviation: float, spread: float
    ) -> Tilted:
        """Return the mixture for a released mean.

        Args:
            released: ẑ ``(d,)``.
            clip_norm: C of the units' vectors.
            deviation: s, the noise's standard deviation in each number.
            spread: The spread of the patches that will be drawn, in standard deviations of the
                prior.
        """
        known = self.prior()
        height, covariance = self._told(clip_norm)
        noisy = covariance + deviation**2 * np.eye(len(height))
        target = height + covariance @ np.linalg.solve(noisy, released - height)
        rng = np.random.default_rng(0)
        for look in range(LOOKS):
            theta = known.draw(TRIED, spread, rng)
            shown = self._family.draw(theta, self._size, rng)
            vectors = self._standard(self._filled(statistics.measure(*shown))) - target
            found = tilt(vectors)
            if look + 1 < LOOKS:
                known = known._replace(mean=weights_of(vectors @ found) @ logits(theta))
        return Tilted(*known, found / self._scale, self._missing.astype(float))

    def _told(self, clip_norm: float) -> tuple[Array, Array]:
        """The mean h and the covariance C of what the prior's populations release."""
        units = self._standard(self._vectors)
        means = np.stack([clipped(some, clip_norm).mean(0) for some in units])
        values, axes = np.linalg.eigh(np.cov(means.T) - self._chance(clip_norm))
        return means.mean(0), axes * np.maximum(values, LEAST) @ axes.T

    def _chance(self, clip_norm: float) -> Array:
        """What of C is due to populations' few patches."""
        patches = self._standard(self._drawn)
        shorter = 1.0
        if self._by_patch:
            patches = np.stack([clipped(some, clip_norm) for some in patches])
        else:
            norms = np.linalg.norm(patches.mean(1), axis=1)
            shorter = float(np.square(np.minimum(1, clip_norm / norms)).mean())
        each = (patches - patches.mean(1, keepdims=True)).reshape(-1, patches.shape[2])
        count, n = patches.shape[:2]
        return np.asarray(shorter * (each.T @ each) / (count * (n - 1) * n))


@lru_cache(maxsize=2)
def populations_of(
    pixel_mm: float, count: int, patches: int, size: int, unit: Unit
) -> TiltedPopulations:
    """Return populations of the data-free simulator, the same for every fit, kept for the process.

    Args:
        pixel_mm: A pixel's nominal side.
        count: How many.
        patches: How many patches of each.
        size: The side of a patch.
        unit: As in ``Populations``.
    """
    rng = np.random.default_rng(stream(0, "simulated populations"))
    made = {"count": count, "patches": patches, "size": size}
    return TiltedPopulations(**made, unit=unit, rng=rng, family=trees(pixel_mm))


def tilt(vectors: Array) -> Array:
    """Find λ that brings the weighted mean of vectors ``(n, d)`` near 0, by damped Newton steps.

    Examples:
        >>> draws = np.random.default_rng(0).standard_normal((20_000, 2)) + [0.5, 0.0]
        >>> tilt(draws).round(1) + 0.0
        array([-0.5,  0. ])
    """
    found = np.zeros(vectors.shape[1])
    for _ in range(NEWTON_STEPS):
        weights = weights_of(vectors @ found)
        mean = weights @ vectors
        slope = (vectors * weights[:, None]).T @ vectors - np.outer(mean, mean)
        curved = slope + TOLERANCE**2 * np.eye(len(found))
        step = np.linalg.solve(curved, mean + TOLERANCE**2 * found)
        found = found - step * min(1, LONGEST_STEP / max(float(np.linalg.norm(step)), 1e-9))
    return found


def weights_of(logs: Array) -> Array:
    """Convert logarithms to weights that sum to 1."""
    weights = np.exp(logs - logs.max())
    return np.asarray(weights / weights.sum())


def _resampled(logs: Array, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Systematic draws by weights: of any row as many as its weight, up to one."""
    ends = np.cumsum(weights_of(logs))
    places = (np.arange(count) + rng.random()) / count
    return np.minimum(np.searchsorted(ends, places), len(ends) - 1)
