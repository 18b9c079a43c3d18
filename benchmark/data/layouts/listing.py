"""Functions that the layouts share: listings of patients, and names of files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePath

from benchmark.core.errors import DataError, UsageError
from benchmark.data.cohort import Patient

SUFFIXES = (".nii.gz", ".nii")

_EXTENSION = re.compile(r"\.nii(\.gz)?$", re.IGNORECASE)


@dataclass(frozen=True)
class Listing:
    """The patients of a folder, with faults and notes.

    Attributes:
        patients: Those who can be used, judged by file names alone.
        faults: Everything that is wrong.
        notes: Remarks for which no patient is left out.
        fatal: Those of the faults that concern everybody, so that leaving some out does not help.
        home: The folder that holds the cohort, if it is not the one that was named.
    """

    patients: list[Patient] = field(default_factory=list)
    faults: list[DataError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    fatal: list[DataError] = field(default_factory=list)
    home: Path | None = None

    def refused(self, fault: DataError) -> Listing:
        """Copy with one more fault, which concerns all patients."""
        return replace(self, faults=[fault, *self.faults], fatal=[*self.fatal, fault])


def volumes(folder: Path, pattern: str = "*") -> list[Path]:
    """Return the NIfTI files whose path without extension matches a pattern, sorted.

    Hidden files are left out.

    Args:
        folder: The folder.
        pattern: For the path below the folder, without extension.
    """
    place, _, name = pattern.rpartition("/")
    found = [file for file in folder.glob(f"{place}/*" if place else "*") if _is_volume(file)]
    seen = (f for f in found if not any(p.startswith(".") for p in f.relative_to(folder).parts))
    return sorted(file for file in seen if fnmatchcase(stem(file), name))


def stem(file: PurePath) -> str:
    """Return a file's name without ``.nii`` or ``.nii.gz``, in any case."""
    return _EXTENSION.sub("", file.name)


def lonely(files: Iterable[Path], what: str, other: str) -> list[DataError]:
    """Return one fault for each file whose counterpart is missing.

    Args:
        files: The files.
        what: The kind of file.
        other: The kind of counterpart.
    """
    return [DataError(f"{file}: this {what} has no {other}.") for file in files]


def counted(found: Sequence[str], sentence: str) -> list[str]:
    """Return one note for all findings: their number, the sentence and the first.

    Args:
        found: The names of what was found.
        sentence: What is to be said of them, after their number.

    Returns:
        A list of the note; empty if nothing was found.
    """
    return [f"{len(found)} {sentence} (first: {found[0]})."] if found else []


def refuse_acquisition(layout: str, acquisition: str | None) -> None:
    """Refuse a choice of acquisition in a layout that has one for each patient.

    Raises:
        UsageError: If an acquisition is named.
    """
    if acquisition is not None:
        raise UsageError(
            f"The layout {layout!r} has one acquisition for each patient, so "
            f"{acquisition!r} cannot be chosen; leave the acquisition out."
        )


def _is_volume(file: Path) -> bool:
    return _EXTENSION.search(file.name) is not None and not file.is_dir()
