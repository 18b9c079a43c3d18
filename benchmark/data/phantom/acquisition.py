"""The scan of a phantom: from a head and its vessels to the volume that a scanner stores.

    signal = bias · PSF ∗ (tissue · (1 − c) + blood · flow · c),   stored = gain · |signal + n|

with the vessels' coverage c, an inflow that is lost on the way up, and complex Gaussian noise n,
so that magnitudes are Rician.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from benchmark.data.phantom.portable import exp
from benchmark.data.phantom.raster import Drawn
from benchmark.data.phantom.settings import Scanner
from benchmark.data.phantom.texture import noise_at

Field = NDArray[np.float32]
BIAS_GRAIN_MM = 55.0
HIGHEST = 4095


def acquire(
    rng: np.random.Generator,
    tissue: Field,
    drawn: Drawn,
    adult: list[Field],
    scanner: Scanner,
    lifted: Callable[[Field], Field],
) -> NDArray[np.int16]:
    """Scan a head once.

    Args:
        rng: The random generator.
        tissue: The head's signal, on the grid of ``adult``.
        drawn: The vessels on the voxels.
        adult: Coordinates in an adult's mm, of the voxels or of a coarser grid.
        scanner: The scanner.
        lifted: Interpolates from that grid to the voxels.
    """
    gain = scanner.gain * float(np.exp(scanner.gain_spread * rng.standard_normal()))
    blood = np.float32(scanner.blood * rng.normal(1, 0.05)) * drawn.flow
    blood *= lifted(exp(np.float32(-scanner.inflow_loss_per_mm) * adult[2]))
    tissue = lifted(tissue)
    signal = tissue + drawn.coverage * (blood - tissue)
    gaussian_filter(signal, scanner.blur_voxels, output=signal, truncate=3)
    field = noise_at(rng, adult, grain_mm=BIAS_GRAIN_MM)
    signal *= lifted(exp(np.float32(scanner.bias) * field))
    return _stored(rng, signal, gain, scanner.noise)


def _stored(
    rng: np.random.Generator, signal: Field, gain: float, noise: float
) -> NDArray[np.int16]:
    """Rician magnitudes as 12-bit integers, slice by slice to save memory."""
    out = np.empty(signal.shape, np.int16)
    for z in range(signal.shape[2]):
        channels = rng.standard_normal((2, *signal.shape[:2]), dtype=np.float32)
        real, imaginary = np.float32(noise) * channels
        magnitude = np.float32(gain) * np.hypot(signal[:, :, z] + real, imaginary)
        out[:, :, z] = np.clip(np.rint(magnitude), 0, HIGHEST)
    return out
