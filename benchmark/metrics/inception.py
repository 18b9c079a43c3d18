"""Features of pytorch-fid's Inception network, up to a chosen block, computed faster.

The network and its preprocessing are pytorch-fid's. Batch norm is folded into the convolutions and
the memory format is channels-last, which changes features by rounding alone.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from benchmark.core.errors import UsageError
from benchmark.metrics.torchvision_shim import import_torchvision

DIMS = (64, 192, 768, 2048)
AT_ONCE, ELSEWHERE = {"cpu": 16}, 256
"""Images at once by device: on a CPU as many as its cache holds, on others more."""


def load_network(weights: Path, dims: int) -> nn.Module:
    """Load the network up to the block with ``dims`` features, ready for inference.

    Args:
        weights: The file of pytorch-fid's Inception weights.
        dims: 64, 192, 768 or 2048.

    Raises:
        UsageError: If the file does not hold these weights, or there is no such block.
    """
    if dims not in DIMS:
        raise UsageError(f"Expected dims to be one of {DIMS}, got {dims}.")
    import_torchvision()
    from pytorch_fid import inception

    def from_file(*_: object, **__: object) -> dict[str, Tensor]:
        state: dict[str, Tensor] = torch.load(weights, map_location="cpu", weights_only=True)
        return state

    try:
        # pytorch-fid can load its weights from its own address alone.
        with patch.object(inception, "load_state_dict_from_url", from_file):
            block = inception.InceptionV3.BLOCK_INDEX_BY_DIM[dims]
            network: nn.Module = inception.InceptionV3([block])
    except (RuntimeError, OSError, EOFError, pickle.UnpicklingError, AttributeError) as error:
        raise UsageError(f"{weights}: the file does not hold FID's Inception weights.") from error
    return _folded(network.eval())


@torch.no_grad()
def features(
    network: nn.Module, images: NDArray[np.float32], *, device: str = "cpu"
) -> NDArray[np.float32]:
    """Compute the features of images as the ``pytorch-fid`` command sees them: 8-bit grey PNGs.

    Args:
        network: From ``load_network``.
        images: ``(n, 1, H, W)`` in [-1, 1].
        device: A torch device's name; the network is moved there.

    Returns:
        ``(n, dims)``.
    """
    network.to(device)
    at_once = AT_ONCE.get(torch.device(device).type, ELSEWHERE)
    pixels = torch.from_numpy(to_8_bit(images)).float() / 255
    chunks = []
    for chunk in torch.split(pixels.expand(-1, 3, -1, -1), at_once):
        out = network(chunk.to(device).contiguous(memory_format=torch.channels_last))[0]
        chunks.append(out.mean((2, 3)).cpu())
    found: NDArray[np.float32] = torch.cat(chunks).numpy()
    return found


def to_8_bit(images: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Scale images from [-1, 1] to integers from 0 to 255, rounded."""
    return np.round((images + 1) * 127.5).astype(np.uint8)


def _folded(network: nn.Module) -> nn.Module:
    """Every convolution that a batch norm follows, as one convolution."""
    for module in network.modules():
        conv, norm = getattr(module, "conv", None), getattr(module, "bn", None)
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            module.conv, module.bn = fuse_conv_bn_eval(conv, norm), nn.Identity()
            weight = module.conv.weight
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)
    return network
