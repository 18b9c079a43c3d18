"""The positions of voxels in the world, in millimetres, from the header's affine alone.

nibabel's rule chooses the affine: the sform where it is set, else the qform. ``pixdim``, and a
qform beside an sform, are only compared with it.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from benchmark.core.errors import DataError
from benchmark.data.nifti_file import NiftiFile, times

Affine = NDArray[np.float64]

UNITS_MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
"""Millimetres in the units of ``xyzt_units``: unknown, metre, millimetre, micron."""

POSSIBLE_MM = (1e-5, 1e5)
PLAUSIBLE_MM = (0.01, 20.0)
"""The range of a voxel's side in images of patients and of specimens."""

PIXDIM_TOLERANCE = 0.01
FLATTEST = 1e-3
"""The least volume spanned by the axes' unit vectors; it is 1 where they are at right angles."""

LARGEST_COSINE = float(np.sin(np.deg2rad(1)))


class VoxelGrid(NamedTuple):
    """The positions of a file's voxels.

    Attributes:
        affine: From the file's voxels to the world in mm, ``(4, 4)``.
        to_ras: nibabel's orientation, ``(3, 2)``: for each of the file's axes, the world's axis and
            the direction.
        notes: Contradictions in the header.
    """

    affine: Affine
    to_ras: NDArray[np.float64]
    notes: tuple[str, ...]

    @property
    def orientation(self) -> str:
        """The directions of the file's axes, such as ``LPS``."""
        return "".join(str(axis) for axis in nib.orientations.ornt2axcodes(self.to_ras))


def voxel_grid_of(path: Path, file: NiftiFile) -> VoxelGrid:
    """Return the positions of a file's voxels.

    Args:
        path: The file, for messages.
        file: Its content.

    Raises:
        DataError: If the header has no affine, or one that no grid of voxels can have.
    """
    stored = _stored_affine(path, file)
    factor, notes = _unit(file.header)
    affine = stored.copy()
    affine[:3] *= factor
    _check_affine(path, affine)
    notes += _pixdim_note(file, affine, factor) + _forms_note(file, affine, factor)
    notes += _shape_of_voxel_notes(affine)
    return VoxelGrid(affine, nib.io_orientation(stored), notes)


def sides(affine: Affine) -> tuple[float, float, float]:
    """Return a voxel's sides in mm, to the precision in which NIfTI-1 stores them."""
    x, y, z = (float(np.float32(side)) for side in _lengths(affine))
    return x, y, z


def turned(
    voxels: NDArray[Any], affine: Affine, turn: NDArray[np.float64]
) -> tuple[NDArray[Any], Affine]:
    """Permute and flip the axes of voxels, and adapt the affine so that each keeps its position.

    Args:
        voxels: ``(X, Y, Z)``.
        affine: Their affine.
        turn: nibabel's orientation, ``(3, 2)``.
    """
    to_file = nib.orientations.inv_ornt_aff(turn, voxels.shape)
    return nib.apply_orientation(voxels, turn), np.asarray(affine @ to_file)


def turn_onto(affine: Affine, grid: Affine) -> NDArray[np.float64]:
    """Return the turn that brings voxels nearest to the axes of another grid.

    The two are compared directly and not by way of RAS. Near 45 degrees the least rounding would
    send two copies of one grid to different axes.

    Args:
        affine: The affine of the voxels.
        grid: The affine of the other grid.
    """
    return np.asarray(nib.io_orientation(np.linalg.inv(grid) @ affine))


def check_same_grid(
    path: Path, mask: tuple[tuple[int, ...], Affine], image: tuple[tuple[int, ...], Affine]
) -> None:
    """Check that a mask and an image, each given by shape and affine, have the same voxels.

    Args:
        path: The mask's file, for messages.
        mask: Its shape and affine.
        image: The image's shape and affine.

    Raises:
        DataError: For another shape, or corners more than half a voxel's least side apart.
    """
    if mask[0] != image[0]:
        raise DataError(
            f"{path}: the mask is {times(mask[0])} and the image {times(image[0])}; "
            "they must have one shape."
        )
    apart = _distance(mask[1], image[1], image[0])
    if apart > min(sides(image[1])) / 2:
        raise DataError(
            f"{path}: the mask lies {apart:.1f} mm beside the image; their affines must agree."
        )


def _stored_affine(path: Path, file: NiftiFile) -> Affine:
    """The affine in the file's own units."""
    header = file.header
    if header["sform_code"]:
        return np.asarray(header.get_sform())
    if not header["qform_code"]:
        raise DataError(
            f"{path}: sform_code and qform_code are 0, so nobody knows where its voxels lie; "
            "convert the original anew, with its orientation."
        )
    if not all(0 < abs(side) < np.inf for side in file.pixdim):
        raise _bad_sides(path, file.pixdim)
    try:
        return np.asarray(header.get_qform())
    except ValueError:
        raise DataError(
            f"{path}: the quaternion of its qform is no rotation; write a valid sform or qform."
        ) from None


def _check_affine(path: Path, affine: Affine) -> None:
    lengths = _lengths(affine)
    low, high = POSSIBLE_MM
    if not (np.isfinite(affine).all() and all(low <= side <= high for side in lengths)):
        raise _bad_sides(path, lengths)
    if abs(np.linalg.det(affine[:3, :3] / lengths)) < FLATTEST:
        raise DataError(
            f"{path}: the axes of its affine lie in one plane, so it places no volume; write a "
            "valid sform or qform."
        )


def _bad_sides(path: Path, lengths: Any) -> DataError:
    said = [float(f"{side:g}") for side in lengths]
    return DataError(f"{path}: the voxel sides {said} mm must be finite and above 0.")


def _unit(header: Any) -> tuple[float, tuple[str, ...]]:
    code = int(header["xyzt_units"]) % 8
    if code in UNITS_MM:
        return UNITS_MM[code], ()
    return 1.0, (f"xyzt_units has the unknown unit {code} for lengths; millimetres are assumed.",)


def _pixdim_note(file: NiftiFile, affine: Affine, factor: float) -> tuple[str, ...]:
    said, lengths = factor * np.abs(file.pixdim), _lengths(affine)
    if (np.abs(said - lengths) <= PIXDIM_TOLERANCE * lengths).all():
        return ()
    return (f"pixdim says {_mm(said)} and the affine {_mm(lengths)}; the affine is taken.",)


def _forms_note(file: NiftiFile, affine: Affine, factor: float) -> tuple[str, ...]:
    """Compares a qform with the sform that is taken."""
    header = file.header
    if not (header["sform_code"] and header["qform_code"]):
        return ()
    try:
        other = np.asarray(header.get_qform())
    except ValueError:
        return ("the quaternion of its qform is no rotation; the sform is taken.",)
    other[:3] *= factor
    apart = _distance(affine, other, file.voxels.shape)
    if apart <= min(_lengths(affine)) / 2:
        return ()
    return (f"sform and qform place the volume {apart:.1f} mm apart; the sform is taken.",)


def _shape_of_voxel_notes(affine: Affine) -> tuple[str, ...]:
    lengths = _lengths(affine)
    axes = affine[:3, :3] / lengths
    cosine = float(np.abs(axes.T @ axes - np.eye(3)).max())
    notes = []
    if cosine > LARGEST_COSINE:
        angle = np.rad2deg(np.arccos(min(cosine, 1)))
        notes.append(f"two axes meet at {angle:.0f} degrees; distances are taken as if at 90.")
    low, high = PLAUSIBLE_MM
    if not all(low <= side <= high for side in lengths):
        notes.append(f"its voxels are {_mm(lengths)}; are its affine and xyzt_units right?")
    return tuple(notes)


def _lengths(affine: Affine) -> NDArray[np.float64]:
    return np.asarray(np.sqrt((affine[:3, :3] ** 2).sum(0)))


def _distance(one: Affine, other: Affine, shape: tuple[int, ...]) -> float:
    """The farthest that two affines put one corner of the volume apart, in mm."""
    ends = [(0, side - 1) for side in shape]
    corners = np.array([(*corner, 1) for corner in itertools.product(*ends)])
    return float(np.linalg.norm(corners @ (one - other)[:3].T, axis=1).max())


def _mm(lengths: NDArray[np.float64]) -> str:
    return " x ".join(f"{side:.4g}" for side in lengths) + " mm"
