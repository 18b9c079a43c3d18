"""The Inception weights that FID needs: found on this machine, or downloaded on request.

They are 91 MB and come from pytorch-fid's own address. Without them FID is missing; nothing
replaces it.
"""

from __future__ import annotations

import hashlib
import os
import urllib.request
from pathlib import Path

from benchmark.core.errors import BenchError, UsageError

WEIGHTS_NAME = "pt_inception-2015-12-05-6726825d.pth"
WEIGHTS_URL = (
    f"https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{WEIGHTS_NAME}"
)
SHA256_START = "6726825d"
TIMEOUT_S = 30


def find(explicit: Path | None, cache: Path) -> Path | None:
    """Find the weights: the named file, else torch hub's cache, else the suite's cache.

    Args:
        explicit: The named file; ``None`` if none was named.
        cache: The suite's folder for weights.

    Returns:
        The file; ``None`` if there is none.

    Raises:
        UsageError: If a file was named and does not exist.
    """
    if explicit is not None:
        if not explicit.is_file():
            raise UsageError(f"{explicit}: there is no such file of Inception weights.")
        return explicit
    found = [folder / WEIGHTS_NAME for folder in (_hub(), cache)]
    return next((file for file in found if file.is_file()), None)


def digest(weights: Path) -> str:
    """Return the first 12 hexadecimal digits of the file's SHA-256, a part of a result's key."""
    with weights.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()[:12]


def fetch(to: Path) -> Path:
    """Download the weights into a folder. The file appears only when it is complete and checked.

    Args:
        to: The folder; it is made if it is missing.

    Returns:
        The file.

    Raises:
        BenchError: If the network or the file's checksum fails.
    """
    to.mkdir(parents=True, exist_ok=True)
    file, part = to / WEIGHTS_NAME, to / f".{WEIGHTS_NAME}.{os.getpid()}"
    try:
        with (
            urllib.request.urlopen(WEIGHTS_URL, timeout=TIMEOUT_S) as reply,
            part.open("wb") as out,
        ):
            while block := reply.read(1 << 20):
                out.write(block)
        if not digest(part).startswith(SHA256_START):
            raise BenchError(f"{WEIGHTS_URL}: the file's checksum is wrong; try again.")
        part.replace(file)
    except OSError as error:
        raise BenchError(
            f"The Inception weights could not be fetched ({error}); download {WEIGHTS_URL} "
            "elsewhere and pass it as --fid-weights FILE."
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return file


def missing_reason() -> str:
    """Return the sentence that says why FID is missing, and how to get it."""
    return (
        f"FID is missing: the Inception weights ({WEIGHTS_NAME}) are not on this machine; "
        "run `bench weights fetch`, or pass --fid-weights FILE."
    )


def _hub() -> Path:
    """Torch hub's cache, found as torch finds it but without importing torch."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    home = Path(os.environ.get("TORCH_HOME") or cache / "torch").expanduser()
    return home / "hub" / "checkpoints"
