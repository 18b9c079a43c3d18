"""PEGASUS: ``ID_img.nii.gz``, ``ID_label.nii.gz`` and, if there is one, ``ID_mask.nii.gz``.

``_TOF`` and ``_MRA`` count as ``_img``, ``_seg`` as ``_label`` and ``_brain`` as ``_mask``, in any
case.
"""

from __future__ import annotations

from pathlib import Path

from benchmark.core.errors import DataError
from benchmark.data.cohort import Patient
from benchmark.data.layouts.listing import (
    Listing,
    counted,
    lonely,
    refuse_acquisition,
    stem,
    volumes,
)

IMAGES = ("img", "tof", "mra")
LABELS = ("label", "seg")
BRAINS = ("mask", "brain")


def recognises(root: Path) -> bool:
    """Tell whether some image has a label beside it."""
    return bool(_of(root, IMAGES).keys() & _of(root, LABELS).keys())


def find(root: Path, acquisition: str | None = None) -> Listing:
    """List the patients in the order of their names. A ``_mask`` is the brain's."""
    refuse_acquisition("pegasus", acquisition)
    images, labels, brains = (_of(root, ends) for ends in (IMAGES, LABELS, BRAINS))
    listing = Listing()
    for case in sorted(images.keys() & labels.keys()):
        files = (images[case], labels[case], brains.get(case, []))
        several = next((found for found in files if len(found) > 1), None)
        if several:
            names = ", ".join(file.name for file in several)
            listing.faults.append(DataError(f"{case}: {names} are of one kind; keep one."))
            continue
        listing.patients.append(
            Patient(
                id=case.rsplit("/", 1)[-1],
                image=images[case][0],
                vessels=labels[case][0],
                brain=brains[case][0] if case in brains else None,
            )
        )
    strays = [file.name for case in sorted(brains.keys() - images) for file in brains[case]]
    listing.notes.extend(counted(strays, "brain masks have no image beside them and are not used"))
    alone = [file for case in sorted(images.keys() - labels) for file in images[case]]
    listing.faults.extend(lonely(alone, "image", "label"))
    alone = [file for case in sorted(labels.keys() - images) for file in labels[case]]
    listing.faults.extend(lonely(alone, "label", "image"))
    return listing


def _of(root: Path, endings: tuple[str, ...]) -> dict[str, list[Path]]:
    """Files by their place and name without the ending."""
    found: dict[str, list[Path]] = {}
    for file in volumes(root, "**/*"):
        case, _, ending = stem(file).rpartition("_")
        if case and ending.lower() in endings:
            found.setdefault(str((file.parent / case).relative_to(root)), []).append(file)
    return found
