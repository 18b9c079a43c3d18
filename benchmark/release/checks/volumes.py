"""The volumes of a received release: each holds the patches that the statement says, and no more.

A header must be the one that these patches have, to the byte, before any voxel is read. Voxels are
then unpacked a piece at a time, not one byte more than the header promises, and packed again. So no
file needs more memory than a piece, however much its gzip stream could unpack to. And a file's
bytes are a function of its voxels, which leaves no room for anything else.
"""

from __future__ import annotations

import math
import platform
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from benchmark.core.protocol import spacing_of
from benchmark.release.checks.files import Received
from benchmark.release.checks.layout import volumes_of
from benchmark.release.contents.volumes import PIECE_BYTES, SLICE_MM, WHITE, header_of, packer
from benchmark.release.naming import names_of
from benchmark.release.statement import Samples, Statement
from benchmark.release.wording import pixel_mm, stamp
from benchmark.sweep.inputs import Progress

MOST_PIXELS, MOST_SLICES = 256, 32_767
HEADER_BYTES, VOXELS_AT = 348, 352
FRAME = b"\x1f\x8b\x08\0" + bytes(5) + b"\xff"
"""The first bytes of a gzip file of Python's: no flags, no time, level 6, no system."""

OTHERWISE = "is not packed as the suite packs its voxels"


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


def of_volumes(
    files: Received, statement: Statement, progress: Progress
) -> tuple[list[str], list[str]]:
    """Check the volumes: their headers, their values, how they are packed, and their copies.

    Args:
        files: What was received.
        statement: The release's, of which ``of_samples`` found nothing.
        progress: Called for every volume.

    Returns:
        Faults, and what could not be checked, as another Python may pack in another way.
    """
    samples, words = statement.samples, stamp(statement)
    whole, faults, others = volumes_of(samples), [], 0
    for number in range(1, min(whole, len(files.digests)) + 1):
        names = names_of(samples, number)
        image, mask = due_of(samples, number, words)
        for name, due in ((names.image, image), (names.mask, mask)):
            fault = fault_of(files.folder / name, due) if files.has(name) else ""
            if fault == OTHERWISE and not is_packed_here(statement):
                others += 1
            elif fault:
                faults.append(f"{name} {fault}")
        for name, copy in ((names.image, names.bids_image), (names.mask, names.bids_mask)):
            if files.has(name, copy) and files.digests[name] != files.digests[copy]:
                faults.append(f"{copy} has other bytes than {name}")
        progress("Checking volumes", number, whole)
    unmade = [f"how {others} files are packed, as Python differs here"] if others else []
    return faults, unmade


def is_packed_here(statement: Statement) -> bool:
    """Tell whether a release was packed by this Python and zlib, as far as it says.

    Args:
        statement: The release's.
    """
    here = {"python": platform.python_version(), "zlib": zlib.ZLIB_RUNTIME_VERSION}
    return all(statement.versions.get(name) in (None, version) for name, version in here.items())


def fault_of(file: Path, due: Due) -> str:
    """Say what is wrong with a volume, as the end of a sentence; empty if nothing is.

    Args:
        file: A regular file.
        due: What it must hold.

    Returns:
        ``OTHERWISE`` if it holds just that, and this machine packs it into other bytes.
    """
    try:
        with file.open("rb") as opened, file.open("rb") as again:
            member, packing = Member(opened), Packing(again)
            start = member.read(VOXELS_AT)
            return _of_header(start, due) or _of_voxels(member, packing, start, due)
    except (OSError, EOFError, zlib.error):
        return "is damaged, or no gzip file"


def first_voxels(file: Path, due: Due, most: int) -> NDArray[Any]:
    """Return the first slices of a volume in which no fault was found, as ``(k, 1, H, W)``.

    Args:
        file: The volume.
        due: What it holds.
        most: How many slices, if it has so many.
    """
    high, wide, slices = due.shape
    shape = (high, wide, min(most, slices))
    with file.open("rb") as opened:
        member = Member(opened)
        member.read(VOXELS_AT)
        content = member.read(due._replace(shape=shape).bytes)
    voxels = np.frombuffer(content, due.dtype).reshape(shape, order="F")
    return np.moveaxis(voxels, 2, 0)[:, None]


class Member:
    """The content of a file that is one gzip member and nothing else, read a piece at a time.

    Args:
        file: The packed file.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._inner = file, zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)

    def read(self, most: int) -> bytes:
        """Return so many bytes; fewer only where the content ends.

        Raises:
            EOFError: If the file ends before its content does.
            zlib.error: If it is damaged.
        """
        made = bytearray()
        while len(made) < most and not self._inner.eof:
            held = self._inner.unconsumed_tail
            some = self._inner.decompress(held, most - len(made))
            if not (some or held or self._inner.eof):
                packed = self._file.read(PIECE_BYTES)
                if not packed:
                    raise EOFError
                some = self._inner.decompress(packed, most - len(made))
            made += some
        return bytes(made)

    @property
    def is_all(self) -> bool:
        """Whether the content was read to its end, and nothing is behind it."""
        return not self.read(1) and not self._inner.unused_data and not self._file.read(1)


class Packing:
    """What the suite packs, compared with a file a piece at a time.

    Args:
        file: The file that should have these bytes.

    Attributes:
        same: Whether it has had them so far.
        frames: Whether it begins as the suite's files do: without a clock, a name and a comment.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.same = file, True
        self.frames = file.read(len(FRAME)) == FRAME
        file.seek(0)
        self._packer = packer(cast(BinaryIO, self))

    def take(self, content: bytes) -> None:
        """Pack some more."""
        self._packer.write(content)

    def close(self) -> None:
        """Pack the end, behind which the file must have none of its own."""
        self._packer.close()
        self.same = self.same and not self._file.read(1)

    def write(self, packed: bytes) -> int:
        """Compare what was packed; the packer calls it."""
        self.same = self.same and self._file.read(len(packed)) == packed
        return len(packed)

    def flush(self) -> None:
        """Nothing waits."""


def due_of(samples: Samples, number: int, words: str) -> tuple[Due, Due]:
    """Return what the image and the mask of a volume must hold.

    Args:
        samples: What the statement says of the volumes.
        number: The volume's, from 1.
        words: The release's stamp.
    """
    slices = min(samples.per_volume, samples.n - (number - 1) * samples.per_volume)
    image = Due(
        shape=(samples.size, samples.size, slices),
        dtype="uint16",
        most=WHITE,
        mm=pixel_mm(samples),
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
    if start != header_of(due.shape, due.dtype, mm=due.mm, text=due.stamp):
        return "has another header than the suite writes for its voxels"
    return ""


def _is_unscaled(slope: float, inter: float) -> bool:
    """Whether a reader takes the values as they are."""
    return math.isnan(slope) or slope == 0 or (slope, inter) == (1, 0)


def _of_voxels(member: Member, packing: Packing, start: bytes, due: Due) -> str:
    """Reads all voxels, and one byte more, which must not be there."""
    packing.take(start)
    rest = due.bytes
    while rest:
        piece = member.read(min(PIECE_BYTES, rest))
        if len(piece) < min(PIECE_BYTES, rest):
            return "ends before its last voxel"
        if np.frombuffer(piece, due.dtype).max() > due.most:
            return f"has values above {due.most}"
        packing.take(piece)
        rest -= len(piece)
    packing.close()
    if not member.is_all:
        return "holds more than its voxels"
    if not packing.frames:
        return "has a time, a name or a comment in its gzip frame"
    return "" if packing.same else OTHERWISE
