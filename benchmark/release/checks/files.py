"""The files of a received folder: found without following a link, compared with the checksums."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from benchmark.core.errors import DataError
from benchmark.core.sums import SUMS, read_sums, sum_of, sums_text
from benchmark.release.checks.layout import due_names, is_optional, largest, volumes_of
from benchmark.release.seals import UNLISTED, note_of
from benchmark.release.statement import Statement
from benchmark.sweep.inputs import Progress

MOST_ENTRIES, DEEPEST = 200_000, 4
"""Files and folders that are looked at, and how deep they may lie."""

LEFTOVERS = (".DS_Store", "Thumbs.db", "desktop.ini")
ZIPPED, DOUBLES = "__MACOSX", "._"
"""What file managers leave behind: a folder of unpacked archives, and how their files begin."""


@dataclass(frozen=True, kw_only=True)
class Received:
    """The files of a received release that its check may open.

    Attributes:
        folder: Where they are.
        digests: The SHA-256 of each in hex, by its name; regular files of lawful names and sizes.
        faults: What else is in the folder, a sentence each.
    """

    folder: Path
    digests: Mapping[str, str]
    faults: tuple[str, ...]

    def has(self, *names: str) -> bool:
        """Tell whether all these files are there."""
        return all(name in self.digests for name in names)

    def content(self, name: str) -> bytes:
        """Return the content of a file that is there."""
        return (self.folder / name).read_bytes()


def received(folder: Path, progress: Progress) -> Received:
    """Look through a folder, and take the checksum of every file that a release may have.

    Args:
        folder: The release.
        progress: Called for every file.

    Raises:
        DataError: If it holds more than a release can.
        OSError: If it cannot be read.
    """
    lawful, faults = [], []
    for name, fault in _entries(folder):
        if fault:
            faults.append(fault)
        else:
            lawful.append(name)
    digests = {}
    for done, name in enumerate(sorted(lawful), 1):
        digests[name] = sum_of(folder / name)
        progress("Checking files", done, len(lawful))
    return Received(folder=folder, digests=digests, faults=tuple(faults))


def of_sums(files: Received) -> Iterator[str]:
    """Yield a fault for every file that is not as its checksum says.

    Args:
        files: What was received.
    """
    if not files.has(SUMS):
        yield f"it has no {SUMS}"
        return
    try:
        said = read_sums(files.folder / SUMS)
    except ValueError as error:
        yield f"{SUMS} cannot be read: {error}"
        return
    there = {name: digest for name, digest in files.digests.items() if name not in UNLISTED}
    for name in sorted({*said} | {*there}):
        if name not in said:
            yield f"{name} is not listed in {SUMS}"
        elif largest(name) is None:
            yield f"{SUMS} lists {shown(name)}, which no release has"
        elif name not in there:
            yield f"{name} is missing"
        elif said[name] != there[name]:
            yield f"{name} is not the file that {SUMS} lists"


def of_names(files: Received, statement: Statement) -> Iterator[str]:
    """Yield a fault for every file that the statement's release lacks, or has too many.

    Args:
        files: What was received.
        statement: The release's.
    """
    samples = statement.samples
    there = {*files.digests} - {*UNLISTED}
    if samples.volumes != volumes_of(samples):
        yield (
            f"{samples.n} patches, {samples.per_volume} in each volume, are not in "
            f"{samples.volumes} volumes"
        )
    elif samples.volumes > len(there):
        yield f"it has {len(there)} files, and its statement has {samples.volumes} volumes"
    else:
        due = due_names(statement)
        yield from (f"{name} is missing" for name in sorted(due - there))
        more = (name for name in sorted(there - due) if not is_optional(name))
        yield from (f"{name} is no file of this release" for name in more)
    again = sums_text(
        {name: digest for name, digest in files.digests.items() if name in there},
        note=note_of(private=statement.is_private),
    )
    if files.has(SUMS) and files.content(SUMS) != again.encode():
        yield f"{SUMS} is not written as the suite writes it for these files"


def shown(name: str) -> str:
    """Write a stranger's text for a message: short, and without characters that act."""
    text = ascii(name)
    return text if len(text) <= 90 else f"{text[:80]}…{text[-1]}"


def _entries(folder: Path) -> Iterator[tuple[str, str]]:
    """The names of all that is below a folder; each with its fault, empty for a file to open."""
    waiting, seen = [""], 0
    while waiting:
        here = waiting.pop()
        with os.scandir(folder / here) as entries:
            below = list(islice(entries, MOST_ENTRIES + 1))
        seen += len(below)
        if seen > MOST_ENTRIES:
            raise DataError(f"{folder} holds more than {MOST_ENTRIES:,} files; that is no release.")
        if here and not below:
            yield here, f"{shown(here)} is an empty folder"
        for entry in below:
            name = f"{here}/{entry.name}" if here else entry.name
            if _is_leftover(entry):
                yield name, f"{shown(name)} is a file manager's harmless leftover; delete it"
            elif entry.is_dir(follow_symlinks=False) and name.count("/") < DEEPEST:
                waiting.append(name)
            else:
                yield name, _fault_of(name, entry)


def _is_leftover(entry: os.DirEntry[str]) -> bool:
    """Whether it is no part of any release, and nobody put it there on purpose."""
    if entry.is_dir(follow_symlinks=False):
        return entry.name == ZIPPED
    regular = entry.is_file(follow_symlinks=False)
    return regular and (entry.name in LEFTOVERS or entry.name.startswith(DOUBLES))


def _fault_of(name: str, entry: os.DirEntry[str]) -> str:
    """Why an entry is not opened; empty if it may be."""
    if entry.is_symlink():
        return f"{shown(name)} is a link, and no release has one"
    if not entry.is_file(follow_symlinks=False):
        return f"{shown(name)} is no regular file"
    most = largest(name)
    if most is None:
        return f"{shown(name)} is no file that a release has"
    size = entry.stat(follow_symlinks=False).st_size
    return f"{name} has {size:,} bytes, and may have {most:,}" if size > most else ""
