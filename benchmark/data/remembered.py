"""A record of what was found in files, valid until one of them changes.

It saves time and is trusted no further than the disk. A file is read again unless its path, size,
time of change, inode and ctime are the recorded ones. ctime is the kernel's own time of change,
which a program can set back only with the machine's clock. On a file system without such a time,
the exchange of a file is not detected.
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
"""Raised whenever files are read differently, so that what earlier readers accepted is read
again."""

Stamps = dict[str, list[int]]
"""Size, mtime, ctime and inode of each file."""


@dataclass(frozen=True)
class Known:
    """The findings about one patient's files.

    Attributes:
        files: SHA-256 of each.
        voxels: SHA-256 of the image's voxels.
        likeness: The image's.
        notes: Notes on them.
    """

    files: dict[str, str]
    voxels: str
    likeness: Likeness
    notes: tuple[Note, ...]


class Remembered:
    """A JSON file of findings, with its own checksum. If it is damaged, all files are read again.

    Args:
        file: The file. It is made readable for this user alone, as it holds unkeyed digests.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[str, Any] = _read(file)
        self._fresh = False

    def get(self, files: Sequence[Path], meaning: str) -> Known | None:
        """Return the findings about these files if they are unchanged.

        Args:
            files: A patient's; the first is the image.
            meaning: How they are read, as far as their content does not say so.

        Returns:
            The findings; ``None`` if there are none or a file has changed.

        Raises:
            DataError: For a missing file.
        """
        said = self._known.get(f"{files[0].absolute()} {meaning}")
        if said is None or said["stamps"] != stamps(files):
            return None
        notes = tuple(Note(*note) for note in said["notes"])
        return Known(said["files"], said["voxels"], Likeness(*said["likeness"]), notes)

    def put(self, seen: Stamps, meaning: str, known: Known) -> None:
        """Record the findings about files.

        Args:
            seen: The files' stamps from before they were read; the first is the image.
            meaning: How they are read, as far as their content does not say so.
            known: The findings.
        """
        self._known[f"{next(iter(seen))} {meaning}"] = {"stamps": seen, **asdict(known)}
        self._fresh = True

    def save(self) -> None:
        """Write the file if there are new findings."""
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
    """Return the values that change whenever a file does.

    Raises:
        DataError: For a missing file.
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
