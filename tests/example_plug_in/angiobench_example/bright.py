"""Bright: marks what is brighter than a threshold chosen on the synthetic pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmark.core.errors import NotFittedError
from benchmark.core.patches import Patches
from benchmark.core.segmenter import Segmenter, TrainContext
from benchmark.core.settings import Settings
from benchmark.metrics.overlap import dice


@dataclass(frozen=True, kw_only=True)
class BrightParams(Settings):
    """There is nothing to set."""


class Bright(Segmenter):
    """Marks bright voxels."""

    name: ClassVar[str] = "bright"
    version: ClassVar[int] = 1
    citation: ClassVar[str] = "An example"
    Params: ClassVar[type[Settings]] = BrightParams
    presets: ClassVar[Mapping[str, Settings]] = {"quick": BrightParams()}
    smoke: ClassVar[Settings] = BrightParams()

    def __init__(self, params: Settings) -> None:
        self.threshold: float | None = None

    def fit(self, patches: Patches, context: TrainContext) -> None:
        """Tries thresholds and keeps the one with the highest Dice."""
        tried = np.linspace(-0.9, 0.9, 37)
        self.threshold = float(max(tried, key=lambda t: dice(patches.images > t, patches.masks)))

    def predict(
        self, volume: NDArray[np.float32], spacing_mm: tuple[float, float, float]
    ) -> NDArray[np.bool_]:
        """Marks what is brighter than the threshold."""
        if self.threshold is None:
            raise NotFittedError("bright must be fitted before it can predict.")
        return np.asarray(volume > self.threshold)
