"""Reading of one NIfTI file to its end: header, voxels, and a check of what follows them.

The file is read once, as a stream. A gzip stream is read to its end, because only there does its
checksum show whether the content is intact; nibabel alone stops at the last voxel.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import nibabel as nib
import numpy as np
from nibabel.arrayproxy import ArrayProxy
from numpy.typing import NDArray

from benchmark.core.errors import DataError

GZIP_MAGIC = b"\x1f\x8b"
GZIP_RATIO = 1032
"""The largest ratio by which deflate can shrink data."""

FORMATS = (nib.Nifti1Header, nib.Nifti2Header)
SINGLE_MAGICS = (b"n+1", b"n+2")
ANALYZE_BYTES = 348
START_BYTES = 552
"""The size of the longer header, the flag of its extensions, and the size of the first of them."""

CHUNK_BYTES = 1 << 20


class NiftiFile(NamedTuple):
    """The content of one file.

    Attributes:
        header: nibabel's header, with nibabel's repairs.
        pixdim: The voxel's sides as the file has them, before those repairs.
        voxels: ``(X, Y, Z)`` in the file's own order, scaled by its slope and intercept.
        notes: What is odd but can still be read.
    """

    header: Any
    pixdim: tuple[float, float, float]
    voxels: NDArray[Any]
    notes: tuple[str, ...] = ()

    @property
    def scaling(self) -> str:
        """The header's slope and intercept in words; empty where it has none."""
        slope, inter = self.header.get_slope_inter()
        plain = slope is None or (slope, inter) == (1, 0)
        return "" if plain else f"scl_slope {slope:g} and scl_inter {inter:g}"


class _Start(NamedTuple):
    header: Any
    pixdim: tuple[float, float, float]
    offset: int


def read_nifti(path: Path, dtype: np.dtype[Any] | None = None) -> NiftiFile:
    """Read a single-file NIfTI-1 or NIfTI-2, compressed with gzip or not, whatever its extension.

    Args:
        path: The file.
        dtype: The type of the voxels. ``None`` keeps whole numbers that the header does not scale,
            and makes all others float32.

    Raises:
        DataError: For a file that is missing, truncated, damaged, not a single NIfTI file, not 3-D,
            or larger or smaller than its header says.
    """
    try:
        with _opened(path) as stream:
            start = _start(path, stream.read(START_BYTES))
            shape = _shape(path, start.header)
            _check_size(path, start.header, shape, packed=isinstance(stream, gzip.GzipFile))
            voxels = _voxels(stream, start, dtype)
            notes = _check_end(path, start.header, shape, _rest(stream))
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file.") from None
    except Exception as error:  # nibabel and zlib answer a damaged file with errors of many kinds
        raise _unreadable(path, error) from error
    return NiftiFile(start.header, start.pixdim, voxels.reshape(shape[:3]), notes)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """The file's content; its first bytes tell whether it is packed, its name does not."""
    with path.open("rb") as raw:
        if raw.peek(2)[:2] != GZIP_MAGIC:
            yield raw
            return
        with gzip.GzipFile(fileobj=raw) as unpacked:
            yield unpacked  # type: ignore[misc]  # typeshed: a GzipFile is no IO[bytes]


def _start(path: Path, start: bytes) -> _Start:
    kind = next((kind for kind in FORMATS if kind.may_contain_header(start)), None)
    if kind is None:
        raise _foreign(path, start)
    header = kind(start[: kind.sizeof_hdr], check=False)
    if bytes(header["magic"].item())[:3] not in SINGLE_MAGICS:
        raise DataError(
            f"{path}: the header says that its voxels lie in a second file (.hdr and .img); a "
            "volume is one file here, so convert the pair to .nii.gz."
        )
    x, y, z = (float(side) for side in header["pixdim"][1:4])
    header.check_fix()
    return _Start(header, (x, y, z), _offset(path, header, start))


def _foreign(path: Path, start: bytes) -> DataError:
    if not start:
        return DataError(f"{path}: the file cannot be read whole (it is empty).")
    if any(int.from_bytes(start[:4], order) == ANALYZE_BYTES for order in ("little", "big")):
        return DataError(
            f"{path}: this is an Analyze header, which does not tell left from right; convert the "
            "original to NIfTI (.nii.gz)."
        )
    return DataError(f"{path}: the file cannot be read whole (it is no NIfTI file).")


def _offset(path: Path, header: Any, start: bytes) -> int:
    """Where the voxels begin. A ``vox_offset`` of 0 means: right behind the header.

    Raises:
        DataError: If that is within an extension of the header.
    """
    least = int(header.single_vox_offset)
    offset = int(header["vox_offset"]) or least
    has_extension = len(start) > least - 4 and start[least - 4] != 0
    if not has_extension:
        return offset
    size = int(np.frombuffer(start[least : least + 4], f"{header.endianness}i4")[0])
    if int(header["vox_offset"]) == 0 or (size > 0 and size % 16 == 0 and offset < least + size):
        raise DataError(
            f"{path}: vox_offset is {int(header['vox_offset'])}, and {size} bytes of a header "
            "extension lie there, not voxels; write the file anew with its true vox_offset."
        )
    return offset


def _shape(path: Path, header: Any) -> tuple[int, ...]:
    """Refuses what the header alone shows to be unusable, before anything is allocated."""
    shape = tuple(int(side) for side in header.get_data_shape())
    if len(shape) < 3 or max(shape[3:], default=1) > 1:
        raise DataError(f"{path}: expected a 3-D volume, got the shape {times(shape)}.")
    if min(shape) < 1:
        raise DataError(f"{path}: the shape {times(shape)} holds no voxel.")
    dtype = header.get_data_dtype()
    if dtype.kind not in "iufb":
        raise DataError(f"{path}: voxels of type {dtype} are no intensities; use whole or real.")
    return shape


def _check_size(path: Path, header: Any, shape: tuple[int, ...], *, packed: bool) -> None:
    voxels = int(np.prod(shape, dtype=object))
    held = path.stat().st_size * (GZIP_RATIO if packed else 1)
    if voxels * header.get_data_dtype().itemsize > held:
        raise DataError(
            f"{path}: the header promises {times(shape)} voxels, more than the file holds."
        )
    needed = 16 * voxels  # the file's type, float64 where scaled, float32, and masks
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > memory:
        raise DataError(
            f"{path}: {times(shape)} voxels need {needed / 2**30:.1f} GiB, "
            f"and this machine has {memory / 2**30:.1f}."
        )


def _voxels(stream: IO[bytes], start: _Start, dtype: np.dtype[Any] | None) -> NDArray[Any]:
    header = start.header
    stored = header.get_data_dtype()
    slope, inter = header.get_slope_inter()
    spec = header.get_data_shape(), stored, start.offset, slope or 1.0, inter or 0.0
    proxy = ArrayProxy(stream, spec, mmap=False)
    if dtype is None and (stored.kind not in "iu" or (proxy.slope, proxy.inter) != (1, 0)):
        dtype = np.dtype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # infinite voxels are refused by name
        return np.asarray(proxy, dtype=dtype)


def _rest(stream: IO[bytes]) -> int:
    """Reads on to the stream's end, where gzip's checksum is checked; counts the bytes."""
    rest = 0
    while chunk := stream.read(CHUNK_BYTES):
        rest += len(chunk)
    return rest


def _check_end(path: Path, header: Any, shape: tuple[int, ...], rest: int) -> tuple[str, ...]:
    """A note for a few bytes behind the voxels.

    Raises:
        DataError: If they would fill a slice: then the header does not describe this file.
    """
    if rest >= shape[0] * shape[1] * header.get_data_dtype().itemsize:
        raise DataError(
            f"{path}: {rest} bytes follow the {times(shape)} voxels of type "
            f"{header.get_data_dtype().name} that the header promises; mend its shape or its type."
        )
    return (f"{rest} bytes follow the voxels and are not read.",) if rest else ()


def times(shape: tuple[int, ...]) -> str:
    """Write a shape in words, such as ``312x384x127``."""
    return "x".join(str(side) for side in shape)


def _unreadable(path: Path, error: Exception) -> DataError:
    words = str(error).strip().rstrip(".").splitlines()
    why = words[0] if words else "truncated"
    if isinstance(error, gzip.BadGzipFile | zlib.error):
        foreign = why.startswith("Not a gzipped file")  # the first member is one
        why = f"its gzip is damaged: {'other bytes follow it' if foreign else why}"
    return DataError(f"{path}: the file cannot be read whole ({why}); fetch it again.")
