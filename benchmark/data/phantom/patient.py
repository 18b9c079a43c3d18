"""One simulated patient, as a pure function of seed, patient, scanner and size."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from benchmark.data.phantom.acquisition import acquire
from benchmark.data.phantom.anatomy import build_head
from benchmark.data.phantom.grid import Grid
from benchmark.data.phantom.head import draw_pose
from benchmark.data.phantom.raster import draw
from benchmark.data.phantom.settings import Scanner, Size, Triple, shape_of, spacing_mm
from benchmark.data.phantom.streams import Purpose, stream
from benchmark.data.phantom.vessels import grow_vessels


class Phantom(NamedTuple):
    """A patient's volumes ``(X, Y, Z)``.

    Attributes:
        image: int16.
        vessels: uint8 in {0, 1}.
        brain: uint8 in {0, 1}.
        spacing_mm: A voxel's sides.
    """

    image: NDArray[np.int16]
    vessels: NDArray[np.uint8]
    brain: NDArray[np.uint8]
    spacing_mm: Triple


def simulate(seed: int, patient: int, scanner: Scanner, size: Size) -> Phantom:
    """Grow a patient's head and vessels, and scan them.

    Args:
        seed: The cohort's seed.
        patient: The patient's number, from 0.
        scanner: The scanner.
        size: The size of the volume and the anatomy.
    """
    spacing = spacing_mm(size, scanner)
    grid = Grid(shape_of(size, spacing), spacing)
    pose = draw_pose(stream(seed, Purpose.HEAD, patient), size, grid)
    coarse = grid if size.tissue_mm is None else grid.coarse(size.tissue_mm)
    adult = pose.adult_grid(coarse)
    tissue = stream(seed, Purpose.TISSUE, patient)
    head = build_head(tissue, adult, coarse.spacing_mm, scanner, size)
    brain = grid.lifted(head.depth, coarse) > 0
    segments = grow_vessels(stream(seed, Purpose.VESSELS, patient), size.anatomy)
    drawn = draw(
        segments,
        pose,
        grid,
        slow_radius_mm=scanner.slow_radius_mm,
        labelled_signal=size.anatomy.labelled_signal,
        labelled_step=size.anatomy.labelled_step,
    )
    scan = stream(seed, Purpose.SCAN, patient)
    image = acquire(scan, head.signal, drawn, adult, scanner, lambda f: grid.lifted(f, coarse))
    if scanner.stripped:
        image[~brain] = 0
    vessels = _broader(drawn.label, size.anatomy.labelled_margin) & brain
    return Phantom(image, vessels.astype(np.uint8), brain.astype(np.uint8), spacing)


def _broader(label: NDArray[np.bool_], voxels: int) -> NDArray[np.bool_]:
    """The label grown by so many voxels along each axis."""
    return binary_dilation(label, iterations=voxels) if voxels else label
