"""Labelled patches from a fitted network."""

from __future__ import annotations

import numpy as np
import torch

from benchmark.core.patches import Patches
from benchmark.core.seeds import stream
from generators.nets.convolutional import PatchGenerator

CHUNK = 256


@torch.no_grad()
def drawn(net: PatchGenerator, n: int, seed: int) -> Patches:
    """Draws ``n`` labelled patches; masks are where the mask channel is above 0."""
    device = next(net.parameters()).device
    rng = torch.Generator(device).manual_seed(stream(seed, "samples"))
    chunks = [net(*net.latents(min(CHUNK, n - start), rng)).cpu() for start in range(0, n, CHUNK)]
    out = torch.cat(chunks).numpy()
    return Patches(images=out[:, :1], masks=(out[:, 1:] > 0).astype(np.uint8))
