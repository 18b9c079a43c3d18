"""What the layouts share: a listing of patients, and names of files."""

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
    """Patients found, and what there is to say.

    Attributes:
        patients: Those who can be used, by their names alone.
        faults: Everything that is wrong.
        notes: What leaves nobody out.
        fatal: Those of the faults that concern everybody, so that leaving some out does not help.
        home: The folder that holds the cohort, where it is not the one that was named.
    """

    patients: list[Patient] = field(default_factory=list)
    faults: list[DataError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    fatal: list[DataError] = field(default_factory=list)
    home: Path | None = None

    def refused(self, fault: DataError) -> Listing:
        """The listing with one fault more, which concerns everybody."""
        return replace(self, faults=[fault, *self.faults], fatal=[*self.fatal, fault])


def volumes(folder: Path, pattern: str = "*") -> list[Path]:
    """NIfTI files whose path without extension matches, sorted; hidden ones are left out."""
    place, _, name = pattern.rpartition("/")
    found = [file for file in folder.glob(f"{place}/*" if place else "*") if _is_volume(file)]
    seen = (f for f in found if not any(p.startswith(".") for p in f.relative_to(folder).parts))
    return sorted(file for file in seen if fnmatchcase(stem(file), name))


def stem(file: PurePath) -> str:
    """A file's name without ``.nii`` or ``.nii.gz``, in any case."""
    return _EXTENSION.sub("", file.name)


def lonely(files: Iterable[Path], what: str, other: str) -> list[DataError]:
    """One fault for each file whose counterpart is missing."""
    return [DataError(f"{file}: this {what} has no {other}.") for file in files]


def counted(found: Sequence[str], sentence: str) -> list[str]:
    """One note for all that is found: how many, what about them, the first; none for nothing."""
    return [f"{len(found)} {sentence} (first: {found[0]})."] if found else []


def refuse_acquisition(layout: str, acquisition: str | None) -> None:
    """Refuses a choice of acquisition where a layout has one for each patient.

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
