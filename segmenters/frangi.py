"""Frangi's vesselness: no network, only a scale and a threshold.

Both are chosen on the synthetic pairs, slice by slice. With a ``share``, nothing is chosen. The
published constants and scales in millimetres, in three dimensions, then mark the share of each
brain that vessels have in public whole-brain masks. That needs no patch at all, and is a bookend.

Reference: Frangi et al. (1998), MICCAI, LNCS 1496:130.
"""

from __future__ import annotations

import math
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
from benchmark.core.published import VESSEL_SHARE
from benchmark.core.segmenter import FreeSegmenter, TrainContext
from benchmark.core.settings import Later, Settings
from segmenters.nets.shares import OUTSIDE, brightest
from segmenters.nets.training import best_threshold, dice_at
from segmenters.nets.vesselness import tubes

GAMMA = 0.5
"""The Hessian norm at which a structure counts half. It is public, so that slices of all volumes
are comparable."""


@dataclass(frozen=True, kw_only=True)
class FrangiParams(Settings):
    """Settings of the scales and of the threshold.

    Attributes:
        smallest: The smallest scale, in pixels, or with a ``share`` in millimetres.
        scales: How many scales there are; each is √2 times the one before.
        patches: On how many patches scale and threshold are chosen.
        share: The share of the brain's voxels that are marked; 0 to choose on patches.
    """

    smallest: Annotated[float, FloatDistribution(0.3, 3.0)] = 0.6
    scales: Annotated[int, IntDistribution(1, 8)] = 4
    patches: Annotated[int, IntDistribution(1, 100_000, log=True)] = 1024
    share: Annotated[float, FloatDistribution(0.0, 0.5), Later()] = 0.0


class Frangi(FreeSegmenter):
    """Marks bright tubes by Frangi's vesselness.

    It marks axial slices above a chosen threshold, or, as a bookend, the most tube-like share of
    each brain. As a bookend it uses scales of 0.5 to 2 mm. The response to a tube of radius r is
    largest at about r/√2, so these are diameters of 1.4 to 5.7 mm: from the branches of the middle
    cerebral artery (M2: 2.4 ± 0.4 mm) to the cavernous carotid (5.0 ± 0.6 mm; Rai et al. 2013, J
    NeuroIntervent Surg).
    """

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
    constants: ClassVar[Settings] = FrangiParams(smallest=0.5, scales=5, share=VESSEL_SHARE)

    params: FrangiParams

    def __init__(self, params: Settings) -> None:
        if not isinstance(params, FrangiParams):
            raise TypeError(f"frangi takes FrangiParams, got {type(params).__name__}.")
        self.params = params
        self.scale: float | None = None
        self.threshold = 0.5

    @property
    def scales(self) -> list[float]:
        """The scales, rising by √2."""
        return [self.params.smallest * 2 ** (step / 2) for step in range(self.params.scales)]

    def rest_on_constants(self) -> None:
        """Prepare to predict with the settings as they are; nothing is chosen."""
        self.scale = self.params.smallest

    def fit(self, patches: Patches, context: TrainContext) -> None:
        """Choose the scale and threshold with the highest Dice over the first patches.

        With a ``share``, nothing is chosen.
        """
        if self.params.share:
            self.rest_on_constants()
            return
        images = patches.images[: self.params.patches, 0]
        masks = torch.from_numpy(patches.masks[: self.params.patches]).float()
        best = -1.0
        for done, scale in enumerate(self.scales, 1):
            found = torch.from_numpy(vesselness(images, scale))[:, None]
            threshold = best_threshold(found, masks).threshold
            score = dice_at(threshold, found, masks)
            if score > best:
                best, self.scale, self.threshold = score, scale, threshold
            context.progress(done, self.params.scales, {"segmenter_dice": score})

    def predict(
        self, volume: NDArray[np.float32], spacing_mm: tuple[float, float, float]
    ) -> NDArray[np.bool_]:
        """Mark vessels in every axial slice; with a ``share``, in three dimensions.

        Raises:
            NotFittedError: Before ``fit`` or ``rest_on_constants``.
        """
        if self.scale is None:
            raise NotFittedError("frangi must be fitted before it can predict.")
        if self.params.share:
            brain = volume > OUTSIDE
            found = tubes(volume, brain, spacing_mm, self.scales)
            return brightest(found, brain, self.params.share, most=math.inf)
        slices = np.ascontiguousarray(volume.transpose(2, 0, 1))
        marked = vesselness(slices, self.scale) > self.threshold
        return np.asarray(marked.transpose(1, 2, 0))


def vesselness(slices: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    """Compute Frangi's measure of bright tubes at one scale.

    Args:
        slices: ``(n, H, W)``.
        scale: Standard deviation of the Gaussian, in pixels.

    Returns:
        float32 ``(n, H, W)`` in [0, 1].
    """
    from skimage.filters import frangi

    ridges = partial(frangi, sigmas=[scale], black_ridges=False, gamma=GAMMA, mode="nearest")
    found = [ridges(image) for image in slices]
    return np.stack(found).astype(np.float32)
