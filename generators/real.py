"""The upper bookend: the training patches themselves, returned as if they were synthetic."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from safetensors.numpy import load_file, save_file

from benchmark.core.budget import Budget, Guarantee, PublicNumbers
from benchmark.core.errors import NotFittedError, UsageError
from benchmark.core.generator import FitContext, Generator
from benchmark.core.patches import Patches
from benchmark.core.seeds import stream
from benchmark.core.settings import Settings


@dataclass(frozen=True, kw_only=True)
class RealParams(Settings):
    """There is nothing to set."""


class Real(Generator):
    """Draws the real training patches: what a segmenter reaches without any privacy."""

    name: ClassVar[str] = "real"
    version: ClassVar[int] = 1
    is_private: ClassVar[bool] = False
    holds_patients: ClassVar[bool] = True
    citation: ClassVar[str] = "The patches of the training patients"
    Params: ClassVar[type[Settings]] = RealParams
    presets: ClassVar[Mapping[str, Settings]] = {
        "quick": RealParams(),
        "standard": RealParams(),
        "paper": RealParams(),
    }
    smoke: ClassVar[Settings] = RealParams()

    def __init__(self, params: Settings) -> None:
        self.params = params
        self._patches: Patches | None = None

    def plan(self, public: PublicNumbers, budget: Budget) -> Guarantee:
        """Return a guarantee of no privacy.

        Raises:
            UsageError: For a finite ε.
        """
        if math.isfinite(budget.epsilon):
            raise UsageError(f"{self.name} is not private: it can honour ε = inf alone.")
        return Guarantee.of(public, budget, epsilon=math.inf)

    def fit(self, patches: Patches, guarantee: Guarantee, context: FitContext) -> Guarantee:
        """Keep the patches."""
        context.charge(guarantee)
        self._patches = patches
        return replace(guarantee, seeded=context.noise.seeded)

    def sample(self, n: int, *, seed: int) -> Patches:
        """Draw ``n`` training patches, without repeats while there are enough.

        Raises:
            NotFittedError: Before ``fit`` or ``load``.
        """
        if self._patches is None:
            raise NotFittedError("real must be fitted before it can sample.")
        rng = np.random.default_rng(stream(seed, "samples"))
        have = len(self._patches)
        rounds = [rng.permutation(have) for _ in range(math.ceil(n / have))]
        chosen = np.concatenate(rounds)[:n]
        return Patches(images=self._patches.images[chosen], masks=self._patches.masks[chosen])

    def save(self, folder: Path) -> None:
        """Write the patches. This is only ever done for data that are not private.

        Raises:
            NotFittedError: Before ``fit`` or ``load``.
        """
        if self._patches is None:
            raise NotFittedError("real must be fitted before it can be saved.")
        save_file(
            {"images": self._patches.images, "masks": self._patches.masks},
            folder / "weights.safetensors",
        )

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the generator that ``save`` wrote."""
        arrays = load_file(folder / "weights.safetensors")
        made = cls(RealParams())
        made._patches = Patches(images=arrays["images"], masks=arrays["masks"])
        return made
