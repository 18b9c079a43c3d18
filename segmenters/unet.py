"""U-Net on axial slices, the suite's default judge of a synthetic training set.

Reference: Ronneberger et al. (2015), arXiv:1505.04597; with the widths, loss and augmentation of
Kossen et al. (2022), Frontiers in AI 5:813842, as the preset ``paper``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from benchmark.core.segmenter import Reach
from benchmark.core.settings import Settings
from segmenters.nets.slices import LEAST_WIDTH, SliceParams, SliceSegmenter


@dataclass(frozen=True, kw_only=True)
class UnetParams(SliceParams):
    """Settings of the U-Net; the preset ``paper`` has the paper's."""


class Unet(SliceSegmenter):
    """Marks vessels slice by slice with a U-Net.

    It has two 3x3 convolutions a level and no normalisation.
    """

    name: ClassVar[str] = "unet"
    version: ClassVar[int] = 1
    citation: ClassVar[str] = "Ronneberger et al. (2015), arXiv:1505.04597"
    Params: ClassVar[type[Settings]] = UnetParams
    presets: ClassVar[Mapping[str, Settings]] = {
        "quick": UnetParams(),
        "standard": UnetParams(width=16, levels=4, iterations=600),
        "paper": UnetParams(
            width=32,
            levels=5,
            dropout=0.1,
            loss="dice",
            schedule="constant",
            learning_rate=1e-4,
            batch=64,
            iterations=9_609,  # 15 epochs of 41,000 patches
            augmentation="affine",
            threshold="half",
        ),
    }
    smoke: ClassVar[Settings] = UnetParams(width=2, levels=3, batch=8, iterations=3)

    @property
    def reach(self) -> Reach | None:
        """That of two 3x3 convolutions a level, down and up, and of the halvings between."""
        p = self.params
        if p.width < LEAST_WIDTH:
            return None
        return Reach(pixels=3 * 2**p.levels - 4, multiple=self.multiple)

    def network(self) -> nn.Module:
        """Return MONAI's DynUNet without normalisation."""
        from monai.networks.nets.dynunet import DynUNet

        p = self.params
        net: nn.Module = DynUNet(
            spatial_dims=2,
            in_channels=1,
            out_channels=1,
            kernel_size=[3] * p.levels,
            strides=[1] + [2] * (p.levels - 1),
            upsample_kernel_size=[2] * (p.levels - 1),
            filters=p.widths,
            dropout=p.dropout or None,
            norm_name="",
            act_name="relu",
        )
        return net
