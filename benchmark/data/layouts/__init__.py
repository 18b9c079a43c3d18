"""How cohorts lie on a disk: one file for each layout, found out by looking.

A layout is a module here with two functions: ``recognises(root)``, which looks at names alone, and
``find(root)``, which lists the patients and what is wrong; neither reads a volume.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from benchmark.core.errors import DataError, UsageError
from benchmark.core.registry import unknown
from benchmark.data.cohort import Cohort, Patient, with_splits
from benchmark.data.layouts.listing import Listing, Table

_NOT_LAYOUTS = {"listing"}


class Layout(Protocol):
    """What a layout's module offers."""

    def recognises(self, root: Path) -> bool:
        """Whether the names in this folder look like the layout."""

    def find(self, root: Path) -> Listing:
        """The patients, without site or split from a table, and what is wrong."""


def names() -> list[str]:
    """Every layout's name."""
    found = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(name for name in found if name not in _NOT_LAYOUTS)


def get(name: str) -> Layout:
    """A layout by its name.

    Raises:
        UsageError: For an unknown name.
    """
    if name not in names():
        raise UsageError(unknown("layout", name, names()))
    module: Layout = importlib.import_module(f"{__name__}.{name}")
    return module


def list_patients(root: Path, layout: str | None = None) -> Listing:
    """Finds a folder's patients with their sites and splits; reads no volume.

    Raises:
        DataError: For a folder that is missing, in no known layout or without any patient.
    """
    if not root.is_dir():
        raise DataError(f"{root}: there is no such folder.")
    layout = layout or _recognised(root)
    listing = get(layout).find(root)
    if not listing.patients and not listing.faults:
        raise DataError(f"{root}: the layout {layout!r} finds no patient in this folder.")
    table = Table.read(root)
    patients = [table.completed(patient) for patient in listing.patients]
    kept, strayed = _confined(root, patients)
    return Listing(kept, [*listing.faults, *table.faults, *strayed], listing.notes)


def read_cohort(
    root: Path,
    *,
    layout: str | None = None,
    all_test: bool = False,
    faults: list[DataError] | None = None,
) -> Cohort:
    """Finds the patients of a folder; reads no volume.

    Args:
        root: The folder.
        layout: A layout's name; found out by looking if ``None``.
        all_test: Whether patients without a split are test patients, instead of being dealt.
        faults: Collects what is wrong, and the patients concerned are left out; if ``None``, the
            first fault is raised.

    Raises:
        DataError: For a folder without usable patients, or the first fault.
    """
    listing = list_patients(root, layout)
    if listing.faults and faults is None:
        raise listing.faults[0]
    if faults is not None:
        faults += listing.faults
    patients = list(listing.patients)
    if all_test:
        patients = [replace(p, split=p.split or "test") for p in patients]
    dealt = tuple(with_splits(root, patients))
    return Cohort(root=root, patients=dealt, notes=tuple(listing.notes))


def _recognised(root: Path) -> str:
    found = [name for name in names() if get(name).recognises(root)]
    if not found:
        raise DataError(
            f"{root}: this folder is in none of the layouts {', '.join(names())}; "
            "name one with --layout, and see the README for how each lies on the disk."
        )
    if len(found) > 1:
        raise DataError(
            f"{root}: this folder could be {' or '.join(found)}; name one with --layout."
        )
    return found[0]


def _confined(root: Path, patients: Sequence[Patient]) -> tuple[list[Patient], list[DataError]]:
    """Leaves out patients with a file outside of the folder, however it is reached."""
    kept, faults = [], []
    home = root.resolve()
    for patient in patients:
        out = next((f for f in patient.files if not f.resolve().is_relative_to(home)), None)
        if out is None:
            kept.append(patient)
        else:
            faults.append(
                DataError(f"{out}: this leads out of the cohort, to {out.resolve()}; copy it in.")
            )
    return kept, faults
