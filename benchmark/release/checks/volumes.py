"""The volumes of a received release: each holds the patches that the statement says, and no more.

A header must be the one that these patches have, to the byte that matters, before any voxel is
read. Voxels are then unpacked a piece at a time, and not one byte more than the header promises. So
no file needs more memory than a piece, however much its gzip stream could unpack to.
"""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmark.core.protocol import NATIVE, spacing_of
from benchmark.release.checks.files import Received
from benchmark.release.checks.layout import volumes_of
from benchmark.release.naming import names_of
from benchmark.release.statement import Samples, Statement
from benchmark.release.wording import stamp
from benchmark.sweep.inputs import Progress

WHITE = 4095
"""The largest value of an image, which has 12 bits."""

SLICE_MM = 10.0
UNDEFINED_MM = 1.0
"""A pixel's side in a header whose patches have no defined pixel size."""

MOST_PIXELS, MOST_SLICES = 1024, 32_767
HEADER_BYTES, VOXELS_AT = 348, 352
PIECE_BYTES = 1 << 20


class Due(NamedTuple):
    """What one file must hold.

    Attributes:
        shape: Its voxels.
        dtype: Their type: ``uint16`` or ``uint8``.
        most: The largest value.
        mm: A pixel's side.
        stamp: The words in its header.
    """

    shape: tuple[int, int, int]
    dtype: str
    most: int
    mm: float
    stamp: str

    @property
    def bytes(self) -> int:
        """The size of the voxels."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


def of_samples(statement: Statement) -> Iterator[str]:
    """Yield faults of what is said of the volumes, before any is opened.

    Args:
        statement: The release's.
    """
    said, rules = statement.samples, statement.spec.protocol
    if said.size > MOST_PIXELS or said.per_volume > MOST_SLICES:
        yield f"it has volumes of more than {MOST_PIXELS} pixels or {MOST_SLICES} slices"
    if (said.size, said.spacing_mm) != (int(rules["patch_size"]), spacing_of(rules)):
        yield "its patches have not the size or the spacing that the run's rules give"


def of_volumes(files: Received, statement: Statement, progress: Progress) -> Iterator[str]:
    """Yield faults of the volumes: of their headers, their values, and their copies.

    Args:
        files: What was received.
        statement: The release's, of which ``of_samples`` found nothing.
        progress: Called for every volume.
    """
    samples, words = statement.samples, stamp(statement)
    whole = volumes_of(samples)
    for number in range(1, min(whole, len(files.digests)) + 1):
        names = names_of(samples, number)
        image, mask = _due(samples, number, words)
        for name, due in ((names.image, image), (names.mask, mask)):
            if files.has(name) and (fault := fault_of(files.folder / name, due)):
                yield f"{name} {fault}"
        for name, copy in ((names.image, names.bids_image), (names.mask, names.bids_mask)):
            if files.has(name, copy) and files.digests[name] != files.digests[copy]:
                yield f"{copy} has other bytes than {name}"
        progress("Checking volumes", number, whole)


def fault_of(file: Path, due: Due) -> str:
    """Say what is wrong with a volume, as the end of a sentence; empty if nothing is.

    Args:
        file: A regular file.
        due: What it must hold.
    """
    try:
        with gzip.open(file, "rb") as stream:
            start = stream.read(VOXELS_AT)
            return _of_header(start, due) or _of_voxels(stream, _order(start), due)
    except (OSError, EOFError, zlib.error):
        return "is damaged, or no gzip file"


def _due(samples: Samples, number: int, words: str) -> tuple[Due, Due]:
    """What the image and the mask of a volume must hold."""
    slices = min(samples.per_volume, samples.n - (number - 1) * samples.per_volume)
    image = Due(
        shape=(samples.size, samples.size, slices),
        dtype="uint16",
        most=WHITE,
        mm=UNDEFINED_MM if samples.spacing_mm == NATIVE else samples.spacing_mm,
        stamp=words,
    )
    return image, image._replace(dtype="uint8", most=1)


def _of_header(start: bytes, due: Due) -> str:
    import nibabel as nib

    if len(start) < VOXELS_AT:
        return "is too short for a header"
    header: Any = nib.Nifti1Header(start[:HEADER_BYTES], check=False)
    type_ = np.dtype(due.dtype)
    layout = {
        "sizeof_hdr": HEADER_BYTES,
        "magic": b"n+1",
        "vox_offset": VOXELS_AT,
        "datatype": nib.nifti1.data_type_codes.code[type_],
        "bitpix": 8 * type_.itemsize,
    }
    if any(header[name].item() != value for name, value in layout.items()) or any(start[-4:]):
        return f"is no plain NIfTI-1 file of {due.dtype}"
    if (dim := tuple(header["dim"][:4].tolist())) != (3, *due.shape):
        return f"has the shape {dim[1:]}, and not {due.shape}"
    if not _is_unscaled(header["scl_slope"].item(), header["scl_inter"].item()):
        return "scales its values"
    if not np.allclose(header["pixdim"][1:4], (due.mm, due.mm, SLICE_MM), rtol=1e-6, atol=0):
        return f"has not pixels of {due.mm:g} mm"
    if header["descrip"].item() != due.stamp.encode():
        return f"does not bear the words {due.stamp!r}"
    return ""


def _is_unscaled(slope: float, inter: float) -> bool:
    """Whether a reader takes the values as they are."""
    return math.isnan(slope) or slope == 0 or (slope, inter) == (1, 0)


def _order(start: bytes) -> str:
    """The order of bytes, which the header's own size tells."""
    return "<" if int.from_bytes(start[:4], "little") == HEADER_BYTES else ">"


def _of_voxels(stream: gzip.GzipFile, order: str, due: Due) -> str:
    """Reads all voxels, and one byte more, which must not be there."""
    rest, stored = due.bytes, np.dtype(due.dtype).newbyteorder(order)  # type: ignore[arg-type]
    while rest:
        piece = stream.read(min(PIECE_BYTES, rest))
        if not piece or len(piece) % stored.itemsize:
            return "ends before its last voxel"
        if np.frombuffer(piece, stored).max() > due.most:
            return f"has values above {due.most}"
        rest -= len(piece)
    return "holds more than its voxels" if stream.read(1) else ""
