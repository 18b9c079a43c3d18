"""Scattering features: a description of an image that needs no trained network.

Two layers of Morlet wavelets ψ at 2^j pixels and angle θ, with the modulus between and the mean φ
at the end (Bruna and Mallat 2013, IEEE TPAMI 35:1872):

    S₀ = mean x,   S₁ = mean |x * ψ_{j,θ}|,   S₂ = mean ||x * ψ_{j,θ}| * ψ_{j',θ'}|,  j' > j

The angles of the second layer are averaged, and the standard deviation of x joins S₀. Features are
square roots, which brings their scales together: a mean modulus varies with its own size.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SCALES, ANGLES = 3, 4
FREQUENCY, WIDTH_PIXELS = 3 * math.pi / 4, 0.8
AT_ONCE, ELSEWHERE = {"cpu": 1 << 16}, 1 << 21
"""Pixels at once by device: on a CPU as many as its cache holds, on others more."""


def features(images: NDArray[np.float32], *, device: str = "cpu") -> NDArray[np.float64]:
    """Compute the scattering features of images.

    Args:
        images: ``(n, 1, H, W)`` in [-1, 1], each side at least 16 pixels.
        device: A torch device's name.

    Returns:
        ``(n, 26)``: 2 of order zero, 12 of order one, 12 of order two.
    """
    at_once = max(1, AT_ONCE.get(torch.device(device).type, ELSEWHERE) // images[0].size)
    with torch.no_grad():
        some = torch.split(torch.from_numpy(images[:, 0]), at_once)
        chunks = [_features(chunk.to(device)).cpu() for chunk in some]
    return torch.cat(chunks).double().numpy()


def _features(images: Tensor) -> Tensor:
    bank = _wavelets(images.shape[1], images.shape[2]).to(images.device)
    mean, deviation = images.mean((1, 2)), images.std((1, 2))
    first = _moduli(images, bank)
    second = [
        _moduli(first[:, j], bank[j + 1 :]).mean((-1, -2)).mean(-1).flatten(1)
        for j in range(SCALES - 1)
    ]
    zero = torch.stack([(mean + 1) / 2, deviation], dim=1)
    parts = [zero, first.mean((-1, -2)).flatten(1), *second]
    return torch.cat(parts, dim=1).clamp(min=0).sqrt()


def _moduli(images: Tensor, bank: Tensor) -> Tensor:
    """|x * ψ|: ``(..., H, W)`` and a bank ``(J, L, H, W)`` to ``(..., J, L, H, W)``."""
    spectrum = torch.fft.fft2(images)[..., None, None, :, :]
    moduli: Tensor = torch.fft.ifft2(spectrum * bank).abs()
    return moduli


@lru_cache(maxsize=8)
def _wavelets(height: int, width: int) -> Tensor:
    """The Fourier transforms of ψ_{j,θ}, ``(SCALES, ANGLES, H, W)``; zero at frequency 0."""
    angles = [math.pi * k / ANGLES for k in range(ANGLES)]
    rows = [[_wavelet(height, width, j, angle) for angle in angles] for j in range(SCALES)]
    return torch.stack([torch.stack(row) for row in rows])


def _wavelet(height: int, width: int, scale: int, angle: float) -> Tensor:
    y = 2 * math.pi * torch.fft.fftfreq(height)[:, None]
    x = 2 * math.pi * torch.fft.fftfreq(width)[None]
    along = x * math.cos(angle) + y * math.sin(angle)
    across = y * math.cos(angle) - x * math.sin(angle)
    sigma, centre = WIDTH_PIXELS * 2**scale, FREQUENCY / 2**scale

    def bump(shift: float) -> Tensor:
        return torch.exp(-(sigma**2) / 2 * ((along - shift) ** 2 + (across * ANGLES / 2) ** 2 / 4))

    return bump(centre) - math.exp(-(sigma**2) / 2 * centre**2) * bump(0.0)
