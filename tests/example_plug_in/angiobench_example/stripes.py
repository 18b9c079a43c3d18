"""Stripes: the simplest generator that keeps every law; it knows no patient."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Self

import numpy as np
from optuna.distributions import IntDistribution

from benchmark.core.budget import Budget, Guarantee, PublicNumbers
from benchmark.core.errors import NotFittedError
from benchmark.core.generator import FitContext, Generator
from benchmark.core.patches import Patches
from benchmark.core.seeds import stream
from benchmark.core.settings import Settings


@dataclass(frozen=True, kw_only=True)
class StripesParams(Settings):
    """How wide a stripe is, in pixels."""

    width: Annotated[int, IntDistribution(1, 8)] = 3


class Stripes(Generator):
    """Draws one bright stripe on noise in every patch.

    Guarantees:
        * ε = 0: nothing here depends on any patient.
    """

    name: ClassVar[str] = "stripes"
    version: ClassVar[int] = 1
    is_private: ClassVar[bool] = True
    needs_data: ClassVar[bool] = False
    citation: ClassVar[str] = "An example"
    Params: ClassVar[type[Settings]] = StripesParams
    presets: ClassVar[Mapping[str, Settings]] = {"quick": StripesParams()}
    smoke: ClassVar[Settings] = StripesParams()

    def __init__(self, params: StripesParams) -> None:
        self.params = params
        self._size: int | None = None

    def plan(self, public: PublicNumbers, budget: Budget) -> Guarantee:
        """ε = 0, whatever the budget."""
        return Guarantee.of(public, budget, epsilon=0.0)

    def fit(self, patches: Patches, guarantee: Guarantee, context: FitContext) -> Guarantee:
        """Learns the patches' side, a public number."""
        context.charge(guarantee)
        self._size = patches.size
        return guarantee

    def sample(self, n: int, *, seed: int) -> Patches:
        """Draws ``n`` labelled patches."""
        if self._size is None:
            raise NotFittedError("stripes must be fitted before it can sample.")
        rng = np.random.default_rng(stream(seed, "samples"))
        masks = np.zeros((n, 1, self._size, self._size), np.uint8)
        for mask, start in zip(masks, rng.integers(0, self._size - 8, n), strict=True):
            mask[0, :, start : start + self.params.width] = 1
        images = np.clip(rng.normal(-0.6, 0.15, masks.shape) + 1.2 * masks, -1, 1)
        return Patches(images=images.astype(np.float32), masks=masks)

    def save(self, folder: Path) -> None:
        """Writes ``settings.json``."""
        if self._size is None:
            raise NotFittedError("stripes must be fitted before it can be saved.")
        settings = {"size": self._size, "params": self.params.as_dict()}
        (folder / "settings.json").write_text(json.dumps(settings))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The generator that ``save`` wrote."""
        settings = json.loads((folder / "settings.json").read_text())
        made = cls(StripesParams(**settings["params"]))
        made._size = settings["size"]
        return made
