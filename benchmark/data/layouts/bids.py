"""BIDS: ``sub-X/anat/sub-X_angio.nii.gz``, masks under ``derivatives/``, ``participants.tsv``."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

from benchmark.core.errors import DataError
from benchmark.data.cohort import Cohort, Patient, with_splits

_SUFFIXES = (".nii.gz", ".nii")


def read_cohort(root: Path, *, name: str = "", all_test: bool = False) -> Cohort:
    """Finds the patients of a BIDS folder; reads no volume.

    Args:
        root: The folder.
        name: What to call the cohort; the folder's name if empty.
        all_test: Whether patients without a split are test patients, instead of being dealt.

    Raises:
        DataError: For a folder that is missing, holds no angiography, or lacks a vessel mask.
    """
    if not root.is_dir():
        raise DataError(f"{root}: there is no such folder.")
    images = sorted(f for s in _SUFFIXES for f in root.glob(f"sub-*/anat/*_angio{s}"))
    if not images:
        raise DataError(f"{root}: there is no sub-*/anat/*_angio.nii.gz in this folder.")
    table = _participants(root / "participants.tsv")
    patients = [_patient(root, image, table) for image in images]
    if all_test:
        patients = [replace(p, split=p.split or "test") for p in patients]
    return Cohort(
        name=name or root.resolve().name,
        root=root,
        patients=tuple(with_splits(root, patients)),
    )


def _patient(root: Path, image: Path, table: dict[str, dict[str, str]]) -> Patient:
    identity = image.parent.parent.name
    row = table.get(identity, {})
    vessels = _mask(root, identity, "vessel")
    if vessels is None:
        raise DataError(
            f"{identity}: there is no derivatives/*/{identity}/anat/*vessel*_mask file."
        )
    return Patient(
        id=identity,
        image=image,
        vessels=vessels,
        brain=_mask(root, identity, "brain"),
        site=row.get("site", "") or "-",
        split=row.get("split", "") or "",
    )


def _mask(root: Path, identity: str, what: str) -> Path | None:
    pattern = f"derivatives/*/{identity}/anat/*{what}*_mask"
    found = sorted(f for s in _SUFFIXES for f in root.glob(pattern + s))
    if len(found) > 1:
        names = ", ".join(str(f.relative_to(root)) for f in found)
        raise DataError(f"{identity}: there is more than one {what} mask ({names}); keep one.")
    return found[0] if found else None


def _participants(path: Path) -> dict[str, dict[str, str]]:
    if not path.exists():
        return {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            rows = list(csv.DictReader(lines, delimiter="\t"))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: the table cannot be read ({error}).") from error
    if rows and "participant_id" not in rows[0]:
        raise DataError(f"{path}: the table has no column participant_id.")
    return {row["participant_id"]: row for row in rows}
