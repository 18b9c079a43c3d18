"""Sites that release one noised mean each round, and a server that averages them.

A site's mean is private for its own patients, so the whole exchange is. With w_k the sites' shares
of all patients, each number of the average Σ_k w_k m_k has noise of variance Σ_k w_k² s_k². Sites
and server make the same public numbers from one seed, the only thing that is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from benchmark.core.budget import Guarantee, Unit
from benchmark.core.federation import Arrays
from benchmark.core.generator import FitContext
from benchmark.core.patches import Patches
from benchmark.privacy.mechanisms.release import Features, Release

DESIGNS: Mapping[str, str] = {"one-mean": "every site releases a noised mean, once by default"}
UNITS: tuple[Unit, ...] = ("patch", "patient")

FeaturesOf = Callable[[int, int, Unit], Features]
"""A function that makes features from a seed, the side of a patch and the unit."""


class MeanSite:
    """The site's part: it releases a noised mean.

    Args:
        features: Makes the features from the seed that the server sent.
        patches: The site's own patches.
        guarantee: Its plan for all rounds.
    """

    def __init__(self, features: FeaturesOf, patches: Patches, guarantee: Guarantee) -> None:
        self._features, self._patches, self._guarantee = features, patches, guarantee

    def compute(self, number: int, state: Arrays, context: FitContext) -> Arrays:
        """Return the noised mean, its noise's standard deviation, and the unit as an index.

        The deviation and the unit are public.
        """
        unit = self._guarantee.unit
        features = self._features(int(state["seed"][0]), self._patches.size, unit)
        release = Release(self._guarantee)
        context.inspect(release)
        return {
            "mean": release.mean(self._patches, features, context.noise),
            "deviation": np.array([release.deviation]),
            "unit": np.array([UNITS.index(unit)]),
        }


class MeanServer:
    """The server's part: it averages the means.

    Args:
        length: d, the length of a mean.
        seed: The seed of all that is public.
    """

    def __init__(self, length: int, seed: int) -> None:
        self._length, self._seed = length, seed

    def begin(self) -> Arrays:
        """Return a state with a mean of zeros."""
        return {"seed": np.array([self._seed]), **self._nothing(), "variance": np.zeros(1)}

    def sent(self, state: Arrays) -> Arrays:
        """Return the seed."""
        return {"seed": state["seed"]}

    def returned(self, state: Arrays, share: float) -> Arrays:
        """Return arrays with the names, shapes and types of a reply."""
        return {**self._nothing(), "deviation": np.zeros(1)}

    def combine(
        self, number: int, state: Arrays, replies: Sequence[Arrays], weights: Sequence[float]
    ) -> Arrays:
        """Average the means over sites, and over all rounds so far."""
        mean = sum(w * r["mean"] for w, r in zip(weights, replies, strict=True))
        variance = sum((w * r["deviation"]) ** 2 for w, r in zip(weights, replies, strict=True))
        before = number - 1
        return {
            "seed": state["seed"],
            "mean": np.asarray((before * state["mean"] + mean) / number),
            "variance": np.asarray((before**2 * state["variance"] + variance) / number**2),
            "unit": replies[0]["unit"],
        }

    def _nothing(self) -> Arrays:
        return {"mean": np.zeros(self._length), "unit": np.zeros(1, np.int64)}
