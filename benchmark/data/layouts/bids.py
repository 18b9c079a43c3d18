"""BIDS: ``sub-X[/ses-Y]/anat/sub-X[_ses-Y]_angio.nii.gz``, masks anywhere under ``derivatives/``.

A mask is a vessel mask unless its name says ``brain``. Of a patient with several sessions the first
is taken, so that a patient stays one unit of privacy.
"""

from __future__ import annotations

from pathlib import Path

from benchmark.core.errors import DataError
from benchmark.data.cohort import Patient
from benchmark.data.layouts.listing import Listing, lonely, stem, volumes

_ENDINGS = ("_mask", "_dseg", "_seg")


def recognises(root: Path) -> bool:
    """Whether some ``sub-*`` folder holds an angiography."""
    return bool(_images(root))


def find(root: Path) -> Listing:
    """Patients in the order of their names."""
    by_patient: dict[str, list[Path]] = {}
    for image in _images(root):
        by_patient.setdefault(image.relative_to(root).parts[0], []).append(image)
    listing = Listing([], [], [])
    for identity, images in by_patient.items():
        if len(images) > 1:
            listing.notes.append(
                f"{identity} has {len(images)} angiographies; {images[0].name} is taken."
            )
        _add(root, identity, images[0], listing)
    masks = [mask for mask in _masks(root, "sub-*") if _owner(mask) not in by_patient]
    listing.faults.extend(lonely(masks, "mask", "angiography"))
    return listing


def _images(root: Path) -> list[Path]:
    return [f for p in ("sub-*/anat/*_angio", "sub-*/ses-*/anat/*_angio") for f in volumes(root, p)]


def _masks(root: Path, identity: str) -> list[Path]:
    found = volumes(root, f"derivatives/**/{identity}/**/*")
    return [mask for mask in found if stem(mask).endswith(_ENDINGS)]


def _owner(mask: Path) -> str:
    return next(part for part in mask.parts if part.startswith("sub-"))


def _add(root: Path, identity: str, image: Path, listing: Listing) -> None:
    session = next((part for part in image.parts if part.startswith("ses-")), "")
    masks = [mask for mask in _masks(root, identity) if session in mask.name or not session]
    vessels = [mask for mask in masks if "brain" not in mask.name]
    brain = [mask for mask in masks if "brain" in mask.name]
    if any("vessel" in mask.name for mask in vessels):
        vessels = [mask for mask in vessels if "vessel" in mask.name]
    if not vessels:
        listing.faults.append(
            DataError(f"{identity}: there is no derivatives/*/{identity}/anat/*vessel*_mask file.")
        )
        return
    several = next((found for found in (vessels, brain) if len(found) > 1), None)
    if several:
        files = ", ".join(str(mask.relative_to(root)) for mask in several)
        listing.faults.append(
            DataError(f"{identity}: there is more than one mask of a kind ({files}); keep one.")
        )
        return
    listing.patients.append(
        Patient(id=identity, image=image, vessels=vessels[0], brain=brain[0] if brain else None)
    )
