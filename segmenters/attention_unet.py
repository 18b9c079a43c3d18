"""Attention U-Net on axial slices: skip connections are weighted by the coarser level's features.

Reference: Oktay et al. (2018), arXiv:1804.03999.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from benchmark.core.settings import Settings
from segmenters.nets.slices import SliceParams, SliceSegmenter


@dataclass(frozen=True, kw_only=True)
class AttentionUnetParams(SliceParams):
    """Settings of the attention U-Net."""


class AttentionUnet(SliceSegmenter):
    """Marks vessels slice by slice with an attention U-Net.

    It uses batch normalisation, which is possible because it is trained on synthetic patches alone.
    """

    name: ClassVar[str] = "attention-unet"
    version: ClassVar[int] = 1
    citation: ClassVar[str] = "Oktay et al. (2018), arXiv:1804.03999"
    Params: ClassVar[type[Settings]] = AttentionUnetParams
    presets: ClassVar[Mapping[str, Settings]] = {
        "quick": AttentionUnetParams(width=8),
        "standard": AttentionUnetParams(width=16, levels=4, iterations=600),
        "paper": AttentionUnetParams(width=32, levels=5, learning_rate=1e-3, iterations=9_609),
    }
    smoke: ClassVar[Settings] = AttentionUnetParams(width=2, batch=8, iterations=3)

    def network(self) -> nn.Module:
        """Return MONAI's AttentionUnet."""
        from monai.networks.nets.attentionunet import AttentionUnet as Network

        p = self.params
        net: nn.Module = Network(
            spatial_dims=2,
            in_channels=1,
            out_channels=1,
            channels=p.widths,
            strides=[2] * (p.levels - 1),
            dropout=p.dropout,
        )
        return net
