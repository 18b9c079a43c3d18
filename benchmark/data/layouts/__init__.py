"""Layouts of cohorts on a disk, one module each. The layout of a folder is found from file names.

A layout is a module with two functions: ``recognises(root)``, which looks at names alone, and
``find(root, acquisition)``, which lists the patients and the faults. Neither reads a volume.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from benchmark.core.errors import DataError, UsageError
from benchmark.core.names import unknown
from benchmark.data.cohort import Cohort, Patient, with_splits
from benchmark.data.layouts.bids_description import passes_over
from benchmark.data.layouts.listing import Listing, counted
from benchmark.data.layouts.stacks import STACKS_ARE_BRAIN
from benchmark.data.layouts.table import ParticipantsTable

_NOT_LAYOUTS = {
    *("bids_description", "description", "entities", "listing", "pairing", "stacks", "table"),
    "vocabulary",
}


class Layout(Protocol):
    """The functions of a layout's module."""

    def recognises(self, root: Path) -> bool:
        """Tell whether the names in this folder look like the layout."""

    def find(self, root: Path, acquisition: str | None = None) -> Listing:
        """List the patients, without site or split from a table, and what is wrong."""


def names() -> list[str]:
    """Return the names of all layouts."""
    found = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(name for name in found if name not in _NOT_LAYOUTS)


def get(name: str) -> Layout:
    """Return a layout by its name.

    Raises:
        UsageError: For an unknown name.
    """
    if name not in names():
        raise UsageError(unknown("layout", name, names()))
    module: Layout = importlib.import_module(f"{__name__}.{name}")
    return module


def list_patients(
    root: Path, layout: str | None = None, *, acquisition: str | None = None
) -> Listing:
    """List a folder's patients with their sites and splits, without reading a volume.

    Args:
        root: The folder.
        layout: A layout's name; found from the file names if ``None``.
        acquisition: Which of a patient's several angiographies is taken, by the entities that its
            name must have (``ses-2_run-1``); if ``None``, the first that has a vessel mask.

    Raises:
        DataError: For a folder that is missing, in no known layout or without any patient.
        UsageError: For an unknown layout, or an acquisition that is not allowed.
    """
    if not root.is_dir():
        raise DataError(f"{root}: there is no such folder.")
    layout = layout or _recognised(root)
    listing = get(layout).find(root, acquisition)
    if not listing.patients and not listing.faults:
        raise DataError(f"{root}: the layout {layout!r} finds no patient in this folder.")
    return _told(root, _confined(root, _once(_tabled(root, listing))))


def read_cohort(
    root: Path,
    *,
    layout: str | None = None,
    all_test: bool = False,
    faults: list[DataError] | None = None,
    acquisition: str | None = None,
) -> Cohort:
    """Find the patients of a folder and their splits, without reading a volume.

    Args:
        root: The folder.
        layout: A layout's name; found from the file names if ``None``.
        all_test: Whether patients without a split are test patients. Otherwise splits are assigned.
        faults: Collects what is wrong, and the patients concerned are left out; if ``None``, the
            first fault is raised.
        acquisition: Which of a patient's several angiographies is taken, as in ``list_patients``.

    Raises:
        DataError: For a folder without usable patients, a fault that concerns everybody, or the
            first fault.
        UsageError: For an unknown layout, or an acquisition that is not allowed.
    """
    listing = list_patients(root, layout, acquisition=acquisition)
    if listing.fatal:
        raise listing.fatal[0]
    if listing.faults and faults is None:
        raise listing.faults[0]
    if faults is not None:
        faults += listing.faults
    patients, notes = list(listing.patients), list(listing.notes)
    if all_test:
        others = [patient.id for patient in patients if patient.split not in ("", "test")]
        notes += counted(others, f"patients of {root} are in other splits, and are not tested on")
        patients = [replace(p, split=p.split or "test") for p in patients]
    return Cohort(root=root, patients=tuple(with_splits(root, patients)), notes=tuple(notes))


def _recognised(root: Path) -> str:
    found = [name for name in names() if get(name).recognises(root)]
    if not found:
        raise DataError(
            f"{root}: this folder is in none of the layouts {', '.join(names())}; name one with "
            "--layout. docs/layouts.md says how each lies on the disk, and docs/public-cohorts.md "
            "what to do with public sets."
        )
    if found == ["bids", "nnunet"] and passes_over(root, "imagesTr"):
        return "nnunet"  # one data set under two names; both name the same volumes
    if len(found) > 1:
        raise DataError(
            f"{root}: this folder could be {' or '.join(found)}; name one with --layout."
        )
    return found[0]


def _tabled(root: Path, listing: Listing) -> Listing:
    try:
        table = ParticipantsTable.read(root, listing.home or root)
    except DataError as fault:
        return listing.refused(fault)
    return table.complete(listing)


def _once(listing: Listing) -> Listing:
    """Leaves out patients whose id another has."""
    by_id: dict[str, list[Patient]] = {}
    for patient in listing.patients:
        by_id.setdefault(patient.id.casefold(), []).append(patient)
    faults = [
        DataError(
            f"{found[0].id}: {' and '.join(str(p.image) for p in found)} have one id, in any case "
            "of its letters; rename one."
        )
        for found in by_id.values()
        if len(found) > 1
    ]
    kept = [found[0] for found in by_id.values() if len(found) == 1]
    return replace(listing, patients=kept, faults=[*listing.faults, *faults])


def _told(root: Path, listing: Listing) -> Listing:
    """Says so where a description turns the search for a brain off, as a wrong one would."""
    if any(patient.is_stack for patient in listing.patients):
        listing.notes.append(f"{root}: {STACKS_ARE_BRAIN}")
    return listing


def _confined(root: Path, listing: Listing) -> Listing:
    """Leaves out patients with a file outside of the folder, however it is reached."""
    kept, faults = [], []
    home = root.resolve()
    for patient in listing.patients:
        out = next((f for f in patient.files if not f.resolve().is_relative_to(home)), None)
        if out is None:
            kept.append(patient)
        else:
            faults.append(
                DataError(f"{out}: this leads out of the cohort, to {out.resolve()}; copy it in.")
            )
    return replace(listing, patients=kept, faults=[*listing.faults, *faults])
