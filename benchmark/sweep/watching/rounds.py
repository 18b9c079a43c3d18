"""The display of a federated fit while it runs. It uses only post-processing of private steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.core.budget import Budget, PublicNumbers
from benchmark.core.coarse import coarse
from benchmark.core.generator import FitContext, Generator
from benchmark.core.patches import Patches
from benchmark.core.registry import generators
from benchmark.metrics.distances import offline_distance
from benchmark.privacy.randomness import SystemNoise
from benchmark.sweep.watching.pictures import save_picture, strip
from benchmark.sweep.watching.stages import Watch

FOLDER = "rounds"
LOOKS = 10
"""About how often, over all rounds, samples of the generator are drawn."""

LOOKED_AT = 256
PRIOR, LARGEST_DELTA = "simulator", 1e-5


class RoundWatch:
    """Forwards progress, records the cost of rounds, and draws samples now and then.

    Args:
        folder: The cell's; strips of samples go below it.
        watch: Hears of every round.
        seed: Of the samples that are looked at.
        private: Whether the patients are anything but phantoms: seconds are coarse then.
        may_be_seen: Whether samples may be looked at: private data allow it at a finite ε only.
    """

    def __init__(
        self,
        folder: Path,
        watch: Watch,
        *,
        seed: int,
        private: bool,
        may_be_seen: bool,
    ) -> None:
        self._folder, self._watch, self._seed = folder, watch, seed
        self._private, self._may_be_seen = private, may_be_seen
        self._seconds = 0.0
        self._bytes = 0
        self._rounds = 0

    def __call__(self, turn: Any, now: Callable[[], Generator]) -> None:
        """Record a finished round.

        Args:
            turn: The ``federation.strategy.Round``.
            now: Returns the generator as it is now.
        """
        self._seconds += turn.seconds
        self._bytes += turn.sent + turn.received
        self._rounds += 1
        seconds = self._shown(turn.seconds)
        curves = {"round_seconds": seconds, "round_bytes": float(turn.sent + turn.received)}
        if self._may_be_seen and turn.number % max(1, turn.total // LOOKS) == 0:
            curves |= self._look(turn.number, now())
        self._watch.hears("rounds")(turn.number, turn.total, curves)

    def totals(self) -> dict[str, float]:
        """For the result: all rounds, also those before a kill."""
        seconds = self._shown(self._seconds)
        return {"rounds": self._rounds, "seconds": seconds, "bytes": self._bytes}

    def seen(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        totals = [self._rounds, self._seconds, self._bytes]
        return {"totals": totals, **self._watch.seen()}

    def recall(self, said: Mapping[str, Any]) -> None:
        """Goes on from what a checkpoint kept."""
        self._rounds, self._seconds, self._bytes = said["totals"]
        self._watch.recall(said)

    def _shown(self, seconds: float) -> float:
        return coarse(seconds) if self._private else seconds

    def _look(self, number: int, generator: Generator) -> dict[str, float]:
        """A strip of samples, and how far they lie from the data-free prior."""
        samples = generator.sample(LOOKED_AT, seed=self._seed)
        (self._folder / FOLDER).mkdir(exist_ok=True)
        save_picture(self._folder / FOLDER / f"round-{number:04d}.png", strip(samples))
        prior = _prior(samples.images.shape[-1], self._seed)
        return {"distance_to_prior": offline_distance(prior, samples.images)}


@lru_cache(maxsize=1)
def _prior(size: int, seed: int) -> NDArray[np.float32]:
    """Images of the data-free simulator."""
    kind = generators.get(PRIOR)
    nobody = np.zeros((1, 1, size, size))
    blank = Patches(images=nobody.astype(np.float32), masks=nobody.astype(np.uint8))
    public = PublicNumbers(patients=1, patches_per_patient=1, patch_size=size)
    simulator: Generator = kind(kind.presets["quick"])
    budget = Budget(epsilon=0.0, delta=LARGEST_DELTA, unit="patient")
    context = FitContext(seed=seed, noise=SystemNoise(), charge=lambda charged: None)
    simulator.fit(blank, simulator.plan(public, budget), context)
    return simulator.sample(LOOKED_AT, seed=seed).images
