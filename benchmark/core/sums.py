"""Checksums of a folder that is written once and read often, in the format of ``sha256sum``."""

from __future__ import annotations

import hashlib
from pathlib import Path

SUMS = "SHA256SUMS"

_held: set[tuple[object, ...]] = set()
"""Folders that this process has checked, with the state of their files."""


def write_sums(folder: Path) -> None:
    """Write the checksums of all files in a folder and below into its ``SHA256SUMS``.

    Args:
        folder: The folder that holds the files.
    """
    lines = [f"{sum_of(folder / name)}  {name}" for name in _names(folder)]
    (folder / SUMS).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


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
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
        said = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
        found = said == {name: sum_of(folder / name) for name in _names(folder)}
    except (OSError, UnicodeDecodeError):
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


def sum_of(file: Path) -> str:
    """Return a file's SHA-256, in hex."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
