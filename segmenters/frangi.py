"""Frangi's vesselness: no network, only a scale and a threshold chosen on the synthetic pairs.

What it reaches says how much of a segmenter's score the synthetic set is needed for at all.

Reference: Frangi et al. (1998), MICCAI, LNCS 1496:130.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from optuna.distributions import FloatDistribution, IntDistribution

from benchmark.core.errors import NotFittedError
from benchmark.core.patches import Patches
from benchmark.core.segmenter import Segmenter, TrainContext
from benchmark.core.settings import Settings
from segmenters.nets.training import best_threshold, dice_at

GAMMA = 0.5
"""Structures of this Hessian norm count half: public, so that slices of any volume compare."""


@dataclass(frozen=True, kw_only=True)
class FrangiParams(Settings):
    """Which scales (pixels) are tried, and on how many patches ."""

    smallest: Annotated[float, FloatDistribution(0.3, 3.0)] = 0.6
    scales: Annotated[int, IntDistribution(1, 8)] = 4
    patches: Annotated[int, IntDistribution(1, 100_000, log=True)] = 1024


class Frangi(Segmenter):
    """Marks bright tubes in axial slices, at one scale and above one threshold."""

    name: ClassVar[str] = "frangi"
    version: ClassVar[int] = 1
    citation: ClassVar[str] = "Frangi et al. (1998), MICCAI, LNCS 1496:130"
    Params: ClassVar[type[Settings]] = FrangiParams
    presets: ClassVar[Mapping[str, Settings]] = {
        "quick": FrangiParams(),
        "standard": FrangiParams(),
        "paper": FrangiParams(scales=6),
    }
    smoke: ClassVar[Settings] = FrangiParams(scales=2, patches=32)

    params: FrangiParams

    def __init__(self, params: Settings) -> None:
        if not isinstance(params, FrangiParams):
            raise TypeError(f"frangi takes FrangiParams, got {type(params).__name__}.")
        self.params = params
        self.scale: float | None = None
        self.threshold = 0.5

    def fit(self, patches: Patches, context: TrainContext) -> None:
        """Chooses scale and threshold with the highest Dice over the first patches."""
        images = patches.images[: self.params.patches, 0]
        masks = torch.from_numpy(patches.masks[: self.params.patches]).float()
        best = -1.0
        scales = [self.params.smallest * 2 ** (step / 2) for step in range(self.params.scales)]
        for done, scale in enumerate(scales, 1):
            found = torch.from_numpy(vesselness(images, scale))[:, None]
            threshold = best_threshold(found, masks).threshold
            score = dice_at(threshold, found, masks)
            if score > best:
                best, self.scale, self.threshold = score, scale, threshold
            context.progress(done, len(scales), {"segmenter_dice": score})

    def predict(
        self, volume: NDArray[np.float32], spacing_mm: tuple[float, float, float]
    ) -> NDArray[np.bool_]:
        """Marks vessels in every axial slice."""
        if self.scale is None:
            raise NotFittedError("frangi must be fitted before it can predict.")
        slices = np.ascontiguousarray(volume.transpose(2, 0, 1))
        marked = vesselness(slices, self.scale) > self.threshold
        return np.asarray(marked.transpose(1, 2, 0))


def vesselness(slices: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    """Frangi's measure of bright tubes at one scale, float32 ``(n, H, W)`` in [0, 1].

    Args:
        slices: ``(n, H, W)``.
        scale: Standard deviation of the Gaussian, in pixels.
    """
    from skimage.filters import frangi

    ridges = partial(frangi, sigmas=[scale], black_ridges=False, gamma=GAMMA, mode="nearest")
    found = [ridges(image) for image in slices]
    return np.stack(found).astype(np.float32)
