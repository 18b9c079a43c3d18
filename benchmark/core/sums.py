"""Checksums of a folder that is written once and read often, in the format of ``sha256sum``."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from benchmark.core.parsers import LARGEST, bytes_in

SUMS = "SHA256SUMS"
LINE = re.compile(r"([0-9a-f]{64})  (.+)")

_held: set[tuple[object, ...]] = set()
"""Folders that this process has checked, with the state of their files."""


def write_sums(folder: Path, *, note: str = "", but: Collection[str] = ()) -> None:
    """Write the checksums of all files in a folder and below into its ``SHA256SUMS``.

    Args:
        folder: The folder that holds the files.
        note: A comment for the first line; none if empty.
        but: The names of files that are left out.
    """
    digests = {name: sum_of(folder / name) for name in _names(folder) if name not in but}
    (folder / SUMS).write_text(sums_text(digests, note=note), encoding="utf-8")


def sums_text(digests: Mapping[str, str], *, note: str = "") -> str:
    """Write checksums as ``sha256sum`` does, sorted by name.

    Args:
        digests: The SHA-256 of each file in hex, by its name in the folder.
        note: A comment for the first line, which ``sha256sum --check`` passes over; none if empty.

    Examples:
        >>> sums_text({"b": "00", "a": "11"}, note="two files").splitlines()
        ['# two files', '11  a', '00  b']
    """
    lines = [f"# {note}"] if note else []
    lines += [f"{digest}  {name}" for name, digest in sorted(digests.items())]
    return "".join(f"{line}\n" for line in lines)


def read_sums(file: Path, *, most: int = LARGEST) -> dict[str, str]:
    """Read checksums that ``write_sums`` wrote.

    Args:
        file: The ``SHA256SUMS``.
        most: Its largest size, in bytes.

    Returns:
        The SHA-256 of each file in hex, by its name. A name may be anything.

    Raises:
        OSError: If it cannot be read.
        ValueError: If a line is no checksum, or names a file again.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(bytes_in(file, most=most).decode("utf-8").split("\n"), 1):
        if not line or line.startswith("#"):
            continue
        said = LINE.fullmatch(line)
        if said is None:
            raise ValueError(f"line {number} is no checksum")
        if said[2] in found:
            raise ValueError(f"line {number} names a file again")
        found[said[2]] = said[1]
    return found


def sums_hold(folder: Path) -> bool:
    """Check that a folder has the files that ``write_sums`` saw, unchanged, and no others.

    A process reads the files once. It reads them again only if their state on the disk has changed.

    Args:
        folder: What ``write_sums`` was given.

    Returns:
        Whether the sums hold; False also if ``SHA256SUMS`` is missing or unreadable.
    """
    try:
        state = _state(folder)
        if state in _held:
            return True
        said = read_sums(folder / SUMS)
        found = said == {name: sum_of(folder / name) for name in _names(folder)}
    except (OSError, ValueError):
        return False
    if found:
        _held.add(state)
    return found


def _state(folder: Path) -> tuple[object, ...]:
    stats = ((name, (folder / name).stat()) for name in (SUMS, *_names(folder)))
    return folder, *((n, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino) for n, s in stats)


def _names(folder: Path) -> list[str]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return sorted(name for file in files if (name := str(file.relative_to(folder))) != SUMS)


def sum_of_folder(folder: Path) -> str:
    """Return one SHA-256 over all files of a folder: that of their ``sha256sum`` lines.

    Args:
        folder: Such as a generator's.
    """
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return sum_of_sums({file.relative_to(folder).as_posix(): sum_of(file) for file in files})


def sum_of_sums(digests: Mapping[str, str]) -> str:
    """Return the SHA-256 of the ``sha256sum`` lines of some files, sorted by name.

    Args:
        digests: The SHA-256 of each file in hex, by its name.
    """
    return hashlib.sha256(sums_text(digests).encode()).hexdigest()


def sum_of(file: Path) -> str:
    """Return a file's SHA-256, in hex."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
