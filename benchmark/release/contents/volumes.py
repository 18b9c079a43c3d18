"""The released patches as NIfTI pairs, under nnU-Net's names and, the same files, under BIDS's.

A volume is a stack of independent patches: its slices have nothing to do with each other, so they
lie 10 mm apart. Tools that look at the spacing (nnU-Net does) then take the slices one by one.
Rounding to 12 bits is post-processing, and spends no privacy.

A file is a function of its voxels, a pixel's size and the stamp. The pictures are made of the
rounded voxels. So a receiver can make every file again, and nothing else has room in one.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import math
import os
import shutil
from pathlib import Path
from typing import BinaryIO

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from benchmark.core.patches import Patches
from benchmark.release.contents.pictures import PREVIEWED, SHOWN, contact_sheet, preview
from benchmark.release.naming import VolumeNames, volume_names
from benchmark.release.statement import SHEET, Samples, Statement
from benchmark.release.wording import pixel_mm, stamp

WHITE = 4095
"""The value of 1; that of -1 is 0. Scanners store 12 bits, too."""

LEVELS = (np.arange(WHITE + 1) / WHITE * 2 - 1).astype(np.float32)
"""The intensity that each value stands for."""

SLICE_MM = 10.0
HASHED = 1000
"""So many patches are rounded at a time."""

PIECE_BYTES = 1 << 20
"""So much is packed at a time, by whoever writes and by whoever checks."""


def write_data(folder: Path, patches: Patches, statement: Statement) -> None:
    """Write the volumes, their previews and the contact sheet.

    The same patches give the same bytes.

    Args:
        folder: The release's; it exists, and none of the files does.
        patches: The synthetic patches.
        statement: The release's. Its ``samples`` describe the patches, and every file bears its
            stamp.

    Raises:
        ValueError: If the statement describes other patches.
    """
    samples, text = statement.samples, stamp(statement)
    _check(patches, samples)
    for number, files in enumerate(volume_names(samples)):
        rows = slice(number * samples.per_volume, (number + 1) * samples.per_volume)
        held = Patches(images=patches.images[rows], masks=patches.masks[rows])
        _write(folder, files, held, mm=pixel_mm(samples), text=text)
    first = as_stored(patches, SHOWN)
    (folder / SHEET).write_bytes(contact_sheet(first, text, many=len(patches)))


def stored(images: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Round intensities in [-1, 1] to whole numbers from 0 to ``WHITE``."""
    return np.rint((images.astype(np.float64) + 1) / 2 * WHITE).astype(np.uint16)


def unstored(voxels: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Return the intensities in [-1, 1] that whole numbers from 0 to ``WHITE`` stand for."""
    return LEVELS[voxels]


def as_stored(patches: Patches, most: int) -> Patches:
    """Return the first patches as whoever reads their volumes gets them.

    Args:
        patches: The synthetic patches.
        most: How many of them, if there are so many.
    """
    return Patches(images=unstored(stored(patches.images[:most])), masks=patches.masks[:most])


def sum_of_voxels(patches: Patches) -> str:
    """Return the SHA-256 over all voxels in the order of the files: of images, then of masks.

    It does not depend on how many patches are the slices of one volume.

    Args:
        patches: The synthetic patches.
    """
    whole = hashlib.sha256()
    for start in range(0, len(patches), HASHED):
        whole.update(_content(stored(patches.images[start : start + HASHED])))
    whole.update(_content(patches.masks))
    return whole.hexdigest()


def header_of(shape: tuple[int, int, int], dtype: str, *, mm: float, text: str) -> bytes:
    """Return what a volume begins with: a NIfTI-1 header, and that no extension follows.

    Args:
        shape: ``(H, W, k)``.
        dtype: Of the voxels: ``uint16`` or ``uint8``.
        mm: A pixel's side.
        text: The release's stamp.

    Returns:
        352 bytes; the voxels follow in the order of Fortran.
    """
    affine = np.diag([mm, mm, SLICE_MM, 1.0])
    affine[:3, 3] = -0.5 * (np.array(shape) - 1) * (mm, mm, SLICE_MM)
    volume = nib.Nifti1Image(np.broadcast_to(np.zeros((), dtype), shape), affine)
    volume.set_qform(affine, code="aligned")  # ITK reads this one
    volume.header.set_xyzt_units("mm")
    volume.header["descrip"] = text.encode()
    volume.update_header()
    volume.header.set_slope_inter(1, 0)
    whole = io.BytesIO()
    volume.header.write_to(whole)
    return whole.getvalue()


def packer(file: BinaryIO) -> gzip.GzipFile:
    """Open a gzip stream that stores neither a clock nor a name.

    Args:
        file: Where the packed bytes go.
    """
    return gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=file, mtime=0)


def _check(patches: Patches, samples: Samples) -> None:
    """Refuses a statement of other patches."""
    if (len(patches), patches.size) != (samples.n, samples.size):
        raise ValueError(
            f"Expected {samples.n} patches of side {samples.size}, as the statement says, got "
            f"{len(patches)} of side {patches.size}."
        )
    needed = math.ceil(samples.n / samples.per_volume)
    if samples.volumes != needed:
        raise ValueError(
            f"Expected {needed} volumes for {samples.n} patches, {samples.per_volume} in each, got "
            f"{samples.volumes}."
        )


def _write(folder: Path, files: VolumeNames, patches: Patches, *, mm: float, text: str) -> None:
    """One volume's files. A BIDS name is a second name of the same file."""
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
    (folder / files.image).write_bytes(_encoded(stored(patches.images), mm, text))
    (folder / files.mask).write_bytes(_encoded(patches.masks, mm, text))
    shown = as_stored(patches, PREVIEWED)
    (folder / files.preview).write_bytes(preview(shown, text, many=len(patches)))
    _link(folder / files.image, folder / files.bids_image)
    _link(folder / files.mask, folder / files.bids_mask)


def _encoded(stack: NDArray[np.integer], mm: float, text: str) -> bytes:
    """A packed RAS NIfTI-1 volume ``(H, W, k)`` of patches ``(k, 1, H, W)``."""
    voxels = np.moveaxis(stack[:, 0], 0, 2)
    header = header_of(voxels.shape, voxels.dtype.name, mm=mm, text=text)
    content = _content(stack)
    packed = io.BytesIO()
    with packer(packed) as file:
        file.write(header)
        for start in range(0, len(content), PIECE_BYTES):
            file.write(content[start : start + PIECE_BYTES])
    return packed.getvalue()


def _content(stack: NDArray[np.integer]) -> bytes:
    """The voxels of patches ``(k, 1, H, W)`` in the order of a volume ``(H, W, k)``."""
    return np.moveaxis(stack[:, 0], 0, 2).tobytes(order="F")


def _link(file: Path, name: Path) -> None:
    """A second name; a copy on file systems that have no links."""
    try:
        os.link(file, name)
    except OSError:
        shutil.copyfile(file, name)
