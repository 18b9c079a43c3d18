"""The brightest share of every brain: no network, no training, nothing synthetic.

Blood is bright in time-of-flight angiography, and vessels fill about the same share of every brain.
A synthetic training set should lead to a higher score than this. Its one number is the share of a
brain that is vessel in public whole-brain masks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import FloatDistribution

from benchmark.core.errors import NotFittedError
from benchmark.core.patches import Patches
from benchmark.core.published import VESSEL_SHARE
from benchmark.core.segmenter import FreeSegmenter, TrainContext
from benchmark.core.settings import Settings
from segmenters.nets.shares import OUTSIDE, brightest


@dataclass(frozen=True, kw_only=True)
class ThresholdParams(Settings):
    """Settings of the threshold.

    Attributes:
        share: The share of the brain's voxels that are marked.
    """

    share: Annotated[float, FloatDistribution(1e-4, 0.5)] = VESSEL_SHARE


class Threshold(FreeSegmenter):
    """Marks the brightest share of each brain, whatever patches it was given."""

    name: ClassVar[str] = "threshold"
    version: ClassVar[int] = 1
    citation: ClassVar[str] = "A baseline of this suite that learns nothing"
    Params: ClassVar[type[Settings]] = ThresholdParams
    presets: ClassVar[Mapping[str, Settings]] = {
        "quick": ThresholdParams(),
        "standard": ThresholdParams(),
        "paper": ThresholdParams(),
    }
    smoke: ClassVar[Settings] = ThresholdParams()
    constants: ClassVar[Settings] = ThresholdParams()

    params: ThresholdParams

    def __init__(self, params: Settings) -> None:
        if not isinstance(params, ThresholdParams):
            raise TypeError(f"threshold takes ThresholdParams, got {type(params).__name__}.")
        self.params = params
        self._is_fitted = False

    def rest_on_constants(self) -> None:
        """Prepare to predict; nothing is needed."""
        self._is_fitted = True

    def fit(self, patches: Patches, context: TrainContext) -> None:
        """Learn nothing."""
        self.rest_on_constants()
        context.progress(1, 1, {})

    def predict(
        self, volume: NDArray[np.float32], spacing_mm: tuple[float, float, float]
    ) -> NDArray[np.bool_]:
        """Mark the brightest share of the brain.

        Raises:
            NotFittedError: Before ``fit`` or ``rest_on_constants``.
        """
        if not self._is_fitted:
            raise NotFittedError("threshold must be fitted before it can predict.")
        return brightest(volume, volume > OUTSIDE, self.params.share, most=BRIGHTEST)


BRIGHTEST = float(np.nextafter(np.float32(1), np.float32(0)))
"""Just below 1. Intensities are cut off at 1, so all voxels at 1 are the brightest and are always
marked."""
