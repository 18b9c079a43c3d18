"""What the layouts share: a listing of patients, the table of participants, names of files."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from benchmark.core.errors import DataError
from benchmark.data.cohort import Patient

SUFFIXES = (".nii.gz", ".nii")


class Listing(NamedTuple):
    """Patients found, faults that leave some out, and notes that leave nobody out."""

    patients: list[Patient]
    faults: list[DataError]
    notes: list[str]


@dataclass(frozen=True)
class Table:
    """``participants.tsv``: site and split by patient."""

    rows: dict[str, dict[str, str]] = field(default_factory=dict)
    faults: list[DataError] = field(default_factory=list)

    @classmethod
    def read(cls, root: Path) -> Table:
        """The folder's table; an empty one where there is none."""
        path = root / "participants.tsv"
        if not path.exists():
            return cls()
        try:
            with path.open(newline="", encoding="utf-8-sig") as lines:
                rows = list(csv.DictReader(lines, delimiter="\t"))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            return cls(faults=[DataError(f"{path}: the table cannot be read ({error}).")])
        if rows and "participant_id" not in rows[0]:
            return cls(faults=[DataError(f"{path}: the table has no column participant_id.")])
        return cls({_bare(row["participant_id"]): row for row in rows}, _twice(path, rows))

    def completed(self, patient: Patient) -> Patient:
        """The patient with the table's site and split, where it has them."""
        row = self.rows.get(_bare(patient.id), {})
        return replace(
            patient, site=row.get("site") or patient.site, split=row.get("split") or patient.split
        )


def volumes(folder: Path, pattern: str = "*") -> list[Path]:
    """NIfTI files that match, sorted; hidden ones are left out."""
    found = {file for suffix in SUFFIXES for file in folder.glob(pattern + suffix)}
    return sorted(file for file in found if not file.name.startswith("."))


def stem(file: Path) -> str:
    """A file's name without ``.nii`` or ``.nii.gz``."""
    return file.name.removesuffix(".gz").removesuffix(".nii")


def lonely(files: Iterable[Path], what: str, other: str) -> list[DataError]:
    """One fault for each file whose counterpart is missing."""
    return [DataError(f"{file}: this {what} has no {other}.") for file in files]


def _bare(identity: str | None) -> str:
    return (identity or "").strip().removeprefix("sub-")


def _twice(path: Path, rows: list[dict[str, str]]) -> list[DataError]:
    seen: dict[str, str] = {}
    faults = []
    for row in rows:
        identity, split = _bare(row["participant_id"]), row.get("split") or ""
        if seen.setdefault(identity, split) != split:
            faults.append(
                DataError(
                    f"{path}: {row['participant_id']} is in the splits {seen[identity]!r} and "
                    f"{split!r}; a patient is in one."
                )
            )
    return faults
