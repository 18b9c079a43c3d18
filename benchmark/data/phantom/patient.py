"""One simulated patient: a pure function of (seed, patient, scanner, size)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.data.phantom.acquisition import acquire
from benchmark.data.phantom.anatomy import build_head
from benchmark.data.phantom.head import draw_pose
from benchmark.data.phantom.raster import draw
from benchmark.data.phantom.settings import Scanner, Size, Triple, spacing_mm
from benchmark.data.phantom.streams import Purpose, stream
from benchmark.data.phantom.vessels import grow_vessels


class Phantom(NamedTuple):
    """A patient's volumes ``(X, Y, Z)``: int16, uint8 in {0, 1} and uint8 in {0, 1}."""

    image: NDArray[np.int16]
    vessels: NDArray[np.uint8]
    brain: NDArray[np.uint8]
    spacing_mm: Triple


def simulate(seed: int, patient: int, scanner: Scanner, size: Size) -> Phantom:
    """Grows a patient and scans it."""
    spacing = spacing_mm(size, scanner)
    pose = draw_pose(stream(seed, Purpose.HEAD, patient), size, spacing)
    adult = pose.adult_grid(size.shape, spacing)
    tissue = stream(seed, Purpose.TISSUE, patient)
    head = build_head(tissue, adult, spacing, scanner, scale=size.head_scale)
    segments = grow_vessels(stream(seed, Purpose.VESSELS, patient), size)
    slow = scanner.slow_radius_mm
    drawn = draw(segments, pose, size.shape, spacing, slow_radius_mm=slow)
    scan = stream(seed, Purpose.SCAN, patient)
    image = acquire(scan, head.signal, drawn, adult, scanner)
    vessels = (drawn.label & head.brain).astype(np.uint8)
    return Phantom(image, vessels, head.brain.astype(np.uint8), spacing)
