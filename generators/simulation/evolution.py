"""Generations of candidate populations that units vote for.

A candidate is a vector of the simulator's parameters, as logits, and so a distribution of labelled
patches. It is represented by the mean of its patches' statistics, standardised by the prior's
moments. A patch votes for the candidate whose mean is nearest to its own statistics. Only
differences between candidates count, so with S candidates a vote is centred,

    v_j = [j is the nearest] - 1/S.

The mean votes h, with noise of deviation s in each, become weights w ∝ max(0, h - t s); the next
candidate is the mean of k parents drawn by w, plus ``spread`` N(0, I).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.core.patches import Patches
from benchmark.core.seeds import stream
from generators.simulation.families import TUBES
from generators.simulation.family import Family
from generators.simulation.populations import Populations

Array = NDArray[np.float64]

YARDSTICK = {"count": 256, "patches": 8}
"""How many simulated populations give the prior's moments, and how many patches of each."""

REACH = 4.0
"""Logits stay within ± this."""


class Generation(NamedTuple):
    """Candidates, and the weight of each in the mixture of all.

    Attributes:
        logits: ``(S, p)``.
        weights: ``(S,)``, which sum to 1.
    """

    logits: Array
    weights: Array

    @classmethod
    def first(
        cls, count: int, spread: float, rng: np.random.Generator, family: Family = TUBES
    ) -> Generation:
        """Draw candidates around the middle of all parameters' ranges."""
        return cls.alike(spread * rng.standard_normal((count, len(family.names))))

    @classmethod
    def alike(cls, logits: Array) -> Generation:
        """Return candidates with equal weights, before any vote."""
        count = len(logits)
        return cls(np.clip(logits, -REACH, REACH), np.full(count, 1 / count))

    def after(self, votes: Array, deviation: float, threshold: float) -> Generation:
        """Return the same candidates, weighted by their noised votes.

        Args:
            votes: h ``(S,)``.
            deviation: s, the standard deviation of the noise in each of them.
            threshold: t: votes below this many deviations do not count.
        """
        left = np.maximum(votes - threshold * deviation, 0.0)
        if not left.any():
            left = (votes == votes.max()).astype(np.float64)
        return self._replace(weights=left / left.sum())

    def offspring(self, n: int, parents: int, spread: float, rng: np.random.Generator) -> Array:
        """Draw logits, each the mean of some drawn parents plus a variation.

        Args:
            n: How many.
            parents: How many parents each has; they are drawn by weight, with repeats.
            spread: The standard deviation of the variation.
            rng: The random generator.

        Returns:
            ``(n, p)``.
        """
        drawn = rng.choice(len(self.weights), (n, parents), p=self.weights)
        means = self.logits[drawn].mean(1)
        return np.asarray(means + spread * rng.standard_normal(means.shape))


class Ballot:
    """What the voters of a generation need to know; all of it is public.

    Args:
        logits: The candidates' logits.
        patches: How many are simulated for each.
        size: The side of a patch.
        seed: The seed of the prior's moments.
        rng: Draws the candidates' patches.
        family: The candidates' family.
    """

    def __init__(
        self,
        logits: Array,
        *,
        patches: int,
        size: int,
        seed: int,
        rng: np.random.Generator,
        family: Family = TUBES,
    ) -> None:
        self._yardstick = yardstick(size, seed, family)
        images, masks = family.draw(np.repeat(shares(logits), patches, axis=0), size, rng)
        seen = self._yardstick.features(Patches(images=images, masks=masks))
        self._means = seen.reshape(len(logits), patches, -1).mean(1)

    def votes(self, patches: Patches) -> Array:
        """Return the vote of every patch ``(n, S)``, of norm below 1."""
        seen = self._yardstick.features(patches)
        distance = np.square(self._means).sum(1) - 2 * seen @ self._means.T
        count = len(self._means)
        return np.asarray(np.eye(count)[distance.argmin(1)] - 1 / count)


@lru_cache(maxsize=2)
def yardstick(size: int, seed: int, family: Family = TUBES) -> Populations:
    """Return the simulated populations that standardise statistics.

    They are remembered, because every generation uses the same.
    """
    rng = np.random.default_rng(stream(seed, "yardstick"))
    return Populations(**YARDSTICK, size=size, unit="patch", rng=rng, family=family)


def shares(logits: Array) -> NDArray[np.float32]:
    """Convert logits to parameters in [0, 1]."""
    return np.asarray(1 / (1 + np.exp(-logits)), np.float32)
