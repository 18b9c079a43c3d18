"""From a head and its vessels to the volume that a scanner stores.

    signal = bias · PSF ∗ (tissue · (1 − c) + blood · flow · c),   stored = gain · |signal + n|

with the vessels' coverage c, complex Gaussian noise n (so that magnitudes are Rician), and
flow = 1 / (1 + (r_slow / r)²) less the inflow lost on the way up.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from benchmark.data.phantom.raster import Drawn
from benchmark.data.phantom.settings import Scanner, Triple
from benchmark.data.phantom.texture import smooth_noise

Field = NDArray[np.float32]
BIAS_GRAIN_MM = 60.0


def acquire(
    rng: np.random.Generator,
    tissue: Field,
    drawn: Drawn,
    height_mm: Field,
    scanner: Scanner,
    spacing_mm: Triple,
) -> NDArray[np.int16]:
    """Scans once. ``height_mm`` is each voxel's height over the circle of Willis."""
    gain = scanner.gain * float(np.exp(scanner.gain_spread * rng.standard_normal()))
    blood = scanner.blood * rng.normal(1, 0.06) * _flow(drawn.radius_mm, height_mm, scanner)
    signal = tissue + drawn.coverage * (blood - tissue)
    gaussian_filter(signal, scanner.blur_voxels, output=signal, truncate=3)
    field = smooth_noise(rng, signal.shape, spacing_mm, grain_mm=BIAS_GRAIN_MM)
    signal *= np.exp(scanner.bias * field)
    return _stored(rng, signal, gain, scanner.noise)


def _flow(radius_mm: Field, height_mm: Field, scanner: Scanner) -> Field:
    slow = 1 + (scanner.slow_radius_mm / np.maximum(radius_mm, 0.05)) ** 2
    inflow = np.exp(-scanner.inflow_loss_per_mm * (height_mm + 20))
    return np.asarray(inflow / slow, np.float32)


def _stored(
    rng: np.random.Generator, signal: Field, gain: float, noise: float
) -> NDArray[np.int16]:
    """Rician magnitudes as 12-bit integers, slice by slice to save memory."""
    out = np.empty(signal.shape, np.int16)
    for z in range(signal.shape[2]):
        real, imaginary = noise * rng.standard_normal((2, *signal.shape[:2]), dtype=np.float32)
        magnitude = np.hypot(signal[:, :, z] + real, imaginary)
        out[:, :, z] = np.clip(np.rint(gain * magnitude), 0, 4095)
    return out
