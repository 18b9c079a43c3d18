"""A cache of brain masks: one file for each image and method in the cache folder.

A file's name is keyed. So a list of the names does not help to guess whose masks they are.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.data.likeness import slabs

METHOD = "skull-gap/1"
"""The method by which ``brain`` finds a brain, for results and for keys. It changes whenever a mask
may change."""

CHECKSUM_BYTES = 32
KEY = ".key"


def kept_brain_mask(
    image: NDArray[np.float32], spacing_mm: tuple[float, float, float], folder: Path
) -> NDArray[np.bool_]:
    """Return ``brain_mask`` from the cache, or compute it if it is missing or damaged.

    A file holds the SHA-256 of the packed voxels, and then these. Only the folder's owner can read
    it, as a mask is a patient's.

    Args:
        image: ``(X, Y, Z)`` in RAS, finite.
        spacing_mm: A voxel's sides.
        folder: Where masks are kept; if it cannot be written to, none is.

    Returns:
        ``(X, Y, Z)`` bool.

    Raises:
        DataError: As ``brain_mask``.
    """
    key = hmac.new(_secret(folder), f"{METHOD} {image.shape} {spacing_mm}".encode(), "sha256")
    for slab in slabs(image):
        key.update(slab)
    file = folder / key.hexdigest()
    kept = _opened(file, image.shape)
    if kept is not None:
        return kept
    from benchmark.data.brain import brain_mask  # SciPy's half a second, where it is needed

    made = brain_mask(image, spacing_mm)
    with contextlib.suppress(OSError):
        _keep(file, np.packbits(made).tobytes())
    return made


def _secret(folder: Path) -> bytes:
    """The folder's key, made with it; one that nobody keeps where it cannot be written."""
    file, new = folder / KEY, secrets.token_bytes(CHECKSUM_BYTES)
    with contextlib.suppress(OSError):
        if not file.exists():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.NamedTemporaryFile(dir=folder) as partial:
                partial.write(new)
                partial.flush()
                with contextlib.suppress(FileExistsError):  # another process was first
                    os.link(partial.name, file)
        return file.read_bytes()
    return new


def _opened(file: Path, shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
    try:
        content = file.read_bytes()
    except OSError:
        return None
    checksum, packed = content[:CHECKSUM_BYTES], content[CHECKSUM_BYTES:]
    if hashlib.sha256(packed).digest() != checksum:
        return None
    bits = np.unpackbits(np.frombuffer(packed, np.uint8), count=int(np.prod(shape)))
    return bits.reshape(shape).astype(np.bool_)


def _keep(file: Path, packed: bytes) -> None:
    partial = file.with_suffix(f".{os.getpid()}-{secrets.token_hex(4)}")
    partial.write_bytes(hashlib.sha256(packed).digest() + packed)
    partial.replace(file)
