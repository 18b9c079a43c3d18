"""Recognition of equal and similar volumes by their voxels alone, whatever their files and names.

An *exact* likeness is a digest. A *near* one is a sketch: the side of each of ``PLANES`` random
planes on which the volume lies, at low resolution and independent of the unit of intensities. Two
volumes at an angle of a differ in a / π of the signs (Charikar 2002, doi 10.1145/509907.509965). So
near 1 the sketches give their correlation, cos a, to about 0.01. The planes are derived from this
machine's secret, so a sketch tells others nothing.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.data.intensities import canonical, whole_numbers

CELLS = (16, 16, 8)
"""The number of parts along each axis of the body whose means make up the low resolution."""

PLANES = 512
NEAR = 0.97
"""The correlation from which two volumes are probably of one person."""

_PORTION = 1 << 18
SLABS = 16
"""How many planes are put into the order of a digest at a time: a line of the processor's
memory."""


class Likeness(NamedTuple):
    """The record by which an image is recognised.

    Attributes:
        unordered: A digest of its voxels. It does not depend on the order and direction of the
            axes, on the linear unit of the intensities, or on a margin of the least value.
        sketch: Signs, as hexadecimal digits.
    """

    unordered: str
    sketch: str


def likeness(image: NDArray[np.float32], secret: bytes) -> Likeness:
    """Compute the likeness of an image.

    Args:
        image: ``(X, Y, Z)`` in RAS order.
        secret: Decides the random planes of the sketch.
    """
    return Likeness(_unordered(image), _sketch(image, secret))


def voxels_digest(image: NDArray[np.float32]) -> str:
    """SHA-256 of an image's shape and its voxels in RAS order."""
    digest = hashlib.sha256(str(image.shape).encode())
    for slab in slabs(image):
        digest.update(slab)
    return digest.hexdigest()


def slabs(image: NDArray[np.float32]) -> Iterator[memoryview]:
    """Yield an image's voxels in C order, a few planes at a time to avoid a copy of the whole."""
    for start in range(0, len(image), SLABS):
        yield np.ascontiguousarray(image[start : start + SLABS]).data


def _unordered(image: NDArray[np.float32]) -> str:
    """A sum over all voxels above the least of what a mixing function makes of each."""
    if whole := whole_numbers(image):
        values, counts = whole  # each is mixed once
        mixed = _mixed(canonical(values[None, None])[0, 0, 1:]) * counts[1:].astype(np.uint64)
        return _said(int(counts[1:].sum()), int(mixed.sum()))
    flat = canonical(image).ravel(order="K")
    portions = [flat[start : start + _PORTION] for start in range(0, flat.size, _PORTION)]
    total = sum(int(_mixed(some[some > 0]).sum(dtype=np.uint64)) for some in portions)
    return _said(int(np.count_nonzero(flat)), total)


def _said(voxels: int, total: int) -> str:
    return f"{voxels} {total % 2**64:016x}"


def _mixed(values: NDArray[np.float32]) -> NDArray[np.uint64]:
    """splitmix64 of their bits."""
    bits = values.view(np.uint32).astype(np.uint64)
    bits += np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(bits ^ (bits >> np.uint64(31)))


def _sketch(image: NDArray[np.float32], secret: bytes) -> str:
    low = coarse(image)
    signs = _planes(secret) @ (low - low.mean()).ravel() >= 0
    return np.packbits(signs).tobytes().hex()


def coarse(image: NDArray[np.float32]) -> NDArray[np.float64]:
    """Compute the means over the ``CELLS``.

    Where an axis has fewer voxels, the nearest are repeated.
    """
    found = image.astype(np.float64) if image.size < _PORTION else image
    for axis in sorted(range(3), key=lambda axis: -abs(image.strides[axis])):  # fewest jumps
        cells, side = CELLS[axis], image.shape[axis]
        many = min(side, cells)
        starts = np.arange(many) * side // many
        parts = np.split(found, starts[1:], axis=axis)
        sums = np.stack([part.sum(axis=axis, dtype=np.float64) for part in parts], axis=axis)
        widths = np.diff([*starts, side]).reshape([-1 if a == axis else 1 for a in range(3)])
        found = np.take(sums / widths, np.arange(cells) * many // cells, axis=axis)
    return np.asarray(found, np.float64)


@lru_cache(maxsize=4)
def _planes(secret: bytes) -> NDArray[np.float32]:
    seed = hashlib.sha256(b"sketch " + secret).digest()
    rng = np.random.default_rng(list(seed))
    return rng.standard_normal((PLANES, math.prod(CELLS)), dtype=np.float32)
