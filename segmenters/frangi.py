"""Frangi's vesselness: no network, only a scale and a threshold.

Both are chosen on the synthetic pairs, slice by slice. Or else, with a ``share``, nothing is
chosen: the published constants and scales in millimetres, in three dimensions, mark as much of each
brain as vessels are in public whole-brain masks. That needs no patch at all, and is a bookend.

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
"""Structures of this Hessian norm count half: public, so that slices of any volume compare."""


@dataclass(frozen=True, kw_only=True)
class FrangiParams(Settings):
    """Which scales there are, and how the cut is found.

    ``smallest``: in pixels, or with a ``share`` in millimetres; each further of the ``scales`` is
    √2 times the last. ``patches``: on how many scale and threshold are chosen. ``share``: of the
    brain's voxels, those that are marked; 0 to choose on patches.
    """

    smallest: Annotated[float, FloatDistribution(0.3, 3.0)] = 0.6
    scales: Annotated[int, IntDistribution(1, 8)] = 4
    patches: Annotated[int, IntDistribution(1, 100_000, log=True)] = 1024
    share: Annotated[float, FloatDistribution(0.0, 0.5), Later()] = 0.0


class Frangi(FreeSegmenter):
    """Marks bright tubes: in axial slices above a chosen threshold, or the most tube-like share.

    As a bookend it looks at scales of 0.5 to 2 mm. A tube of radius r answers most at about r/√2,
    so these are diameters of 1.4 to 5.7 mm: from the branches of the middle cerebral artery (M2:
    2.4 ± 0.4 mm) to the cavernous carotid (5.0 ± 0.6 mm; Rai et al. 2013, J NeuroIntervent Surg).
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
        """Nothing is to be chosen."""
        self.scale = self.params.smallest

    def fit(self, patches: Patches, context: TrainContext) -> None:
        """Chooses scale and threshold with the highest Dice over the first patches, if it is to."""
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
        """Marks vessels in every axial slice, or in three dimensions."""
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
    """Frangi's measure of bright tubes at one scale, float32 ``(n, H, W)`` in [0, 1].

    Args:
        slices: ``(n, H, W)``.
        scale: Standard deviation of the Gaussian, in pixels.
    """
    from skimage.filters import frangi

    ridges = partial(frangi, sigmas=[scale], black_ridges=False, gamma=GAMMA, mode="nearest")
    found = [ridges(image) for image in slices]
    return np.stack(found).astype(np.float32)
