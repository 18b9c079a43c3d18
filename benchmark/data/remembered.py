"""What was found in files that were read, kept until one of them changes.

It saves time and is trusted no further than the disk: a file is read again unless its path, size,
time of change, number and the kernel's own time of change (ctime, which no program can set back
without the machine's clock) are those that it was read under. Where a file system keeps no such
time the exchange of a file is not found.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmark.core.errors import DataError
from benchmark.core.parsers import json_in
from benchmark.data.likeness import Likeness
from benchmark.data.notes import Note

VERSION = 3
"""Raised whenever files are read otherwise, so that what earlier readers admitted is read anew."""

Stamps = dict[str, list[int]]
"""Size, mtime, ctime and inode of each file."""


@dataclass(frozen=True)
class Known:
    """What is known of one patient's files.

    Attributes:
        files: SHA-256 of each.
        voxels: SHA-256 of the image's voxels.
        likeness: The image's.
        notes: What is to be said of them.
    """

    files: dict[str, str]
    voxels: str
    likeness: Likeness
    notes: tuple[Note, ...]


class Remembered:
    """One JSON file with its own checksum; what is damaged is read anew.

    Args:
        file: It is made for this user alone, as it holds digests that no secret keys.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[str, Any] = _read(file)
        self._fresh = False

    def get(self, files: Sequence[Path], meaning: str) -> Known | None:
        """What is known of these very files, if they are as they were; the first is the image.

        Args:
            files: A patient's.
            meaning: How they are read, as far as their content does not say so.

        Raises:
            DataError: For a file that is not there.
        """
        said = self._known.get(f"{files[0].absolute()} {meaning}")
        if said is None or said["stamps"] != stamps(files):
            return None
        notes = tuple(Note(*note) for note in said["notes"])
        return Known(said["files"], said["voxels"], Likeness(*said["likeness"]), notes)

    def put(self, seen: Stamps, meaning: str, known: Known) -> None:
        """Keeps what was read from files that had these stamps before."""
        self._known[f"{next(iter(seen))} {meaning}"] = {"stamps": seen, **asdict(known)}
        self._fresh = True

    def save(self) -> None:
        """Writes what is new."""
        if not self._fresh:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = self._file.with_suffix(f".{os.getpid()}")
        temporary.unlink(missing_ok=True)
        temporary.touch(mode=0o600)
        said = {"version": VERSION, "sha256": _sum(self._known), "known": self._known}
        temporary.write_text(json.dumps(said))
        temporary.replace(self._file)
        self._fresh = False


def stamps(files: Sequence[Path]) -> Stamps:
    """What would change with each file.

    Raises:
        DataError: For a file that is not there.
    """
    return {str(file.absolute()): _stamp(file) for file in files}


def _stamp(file: Path) -> list[int]:
    try:
        found = file.stat()
    except OSError as error:
        raise DataError(f"{file}: the file cannot be read ({error.strerror}).") from error
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _read(file: Path) -> dict[str, Any]:
    """What the file says; nothing where it is missing, damaged or of another version."""
    try:
        said = json_in(file)
        known: dict[str, Any] = said["known"]
        sound = said["version"] == VERSION and said["sha256"] == _sum(known)
        return known if sound else {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def _sum(known: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()
