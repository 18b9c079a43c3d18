"""IXI: ``IXI002-Guys-0828-MRA.nii.gz`` in any folder, labels in another, site in the name."""

from __future__ import annotations

import re
from pathlib import Path

from benchmark.core.errors import DataError
from benchmark.data.cohort import Patient
from benchmark.data.layouts.listing import Listing, lonely, stem, volumes

NAME = re.compile(r"(IXI\d+)-([A-Za-z]+)-\d+")


def recognises(root: Path) -> bool:
    """Whether some file is called like an IXI angiography."""
    return any(NAME.match(file.name) for file in _images(root))


def find(root: Path) -> Listing:
    """Patients in the order of their names; a label is any other file of theirs."""
    images = {_match(file): file for file in _images(root)}
    others: dict[str, list[Path]] = {}
    for file in volumes(root, "**/*"):
        if NAME.match(file.name) and file not in images.values():
            others.setdefault(_match(file), []).append(file)
    listing = Listing(
        [],
        lonely((f for c in others.keys() - images for f in others[c]), "label", "angiography"),
        [],
    )
    for case, image in images.items():
        _add(image, others.get(case, []), listing)
    return listing


def _images(root: Path) -> list[Path]:
    return [file for file in volumes(root, "**/*") if stem(file).endswith("-MRA")]


def _match(file: Path) -> str:
    found = NAME.match(file.name)
    return found[1] if found else file.name


def _add(image: Path, others: list[Path], listing: Listing) -> None:
    brain = [file for file in others if "brain" in file.name.lower()]
    labels = [file for file in others if file not in brain]
    if len(labels) != 1 or len(brain) > 1:
        found = ", ".join(file.name for file in others) or "none"
        listing.faults.append(
            DataError(f"{image}: expected one vessel label of this patient, found {found}.")
        )
        return
    name = NAME.match(image.name)
    listing.patients.append(
        Patient(
            id=_match(image),
            image=image,
            vessels=labels[0],
            brain=brain[0] if brain else None,
            site=name[2] if name else "-",
        )
    )
