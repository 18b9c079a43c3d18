"""Distances between real and synthetic images, by two kinds of features."""

from __future__ import annotations

import hashlib
import os
import secrets
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics import inception, scattering
from benchmark.metrics.frechet import frechet_distance
from benchmark.metrics.kid import kernel_distance
from benchmark.metrics.weights import digest

Images = NDArray[np.float32]


class Fid(NamedTuple):
    """A Fréchet Inception distance. It is biased upwards, visibly for n below 2,048.

    Attributes:
        value: The Fréchet distance.
        n: The number of synthetic images.
        dims: The number of features.
        kid: The kernel distance of the same features, which is unbiased.
    """

    value: float
    n: int
    dims: int
    kid: float


def offline_distance(real: Images, synthetic: Images, *, device: str = "cpu") -> float:
    """Compute the Fréchet distance of scattering features. It is not FID and is never called so.

    Args:
        real: ``(n, 1, H, W)`` in [-1, 1].
        synthetic: ``(m, 1, H, W)`` in [-1, 1].
        device: A torch device's name.
    """
    return frechet_distance(*(scattering.features(n, device=device) for n in (real, synthetic)))


def fid(
    real: Images,
    synthetic: Images,
    *,
    dims: int,
    weights: Path,
    cache: Path,
    real_key: str,
    device: str = "cpu",
) -> Fid:
    """Compute FID as the ``pytorch-fid`` command does. The real images' features are cached.

    Args:
        real: ``(n, 1, H, W)`` in [-1, 1].
        synthetic: ``(m, 1, H, W)`` in [-1, 1].
        dims: 64, 192, 768 or 2048.
        weights: The file of Inception weights.
        cache: The folder for the real images' features.
        real_key: Names the real images; the same key must mean the same images.
        device: A torch device's name.

    Raises:
        UsageError: If the weights cannot be used.
    """
    network = inception.load_network(weights, dims)
    name = hashlib.sha256(f"{real_key}:{dims}:{digest(weights)}".encode()).hexdigest()[:16]
    kept = cache / f"{name}.npy"
    theirs = _read(kept, (len(real), dims))
    if theirs is None:
        theirs = inception.features(network, real, device=device)
        _write(kept, theirs)
    ours = inception.features(network, synthetic, device=device)
    kid = kernel_distance(theirs, ours)
    return Fid(frechet_distance(theirs, ours), len(synthetic), dims, kid)


def _read(file: Path, shape: tuple[int, int]) -> NDArray[np.float32] | None:
    """The kept features; ``None`` where they are missing or damaged."""
    try:
        found: NDArray[np.float32] = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None
    return found if found.shape == shape and found.dtype == np.float32 else None


def _write(file: Path, features: NDArray[np.float32]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}-{secrets.token_hex(4)}")
    with temporary.open("wb") as out:
        np.save(out, features)
    temporary.replace(file)
