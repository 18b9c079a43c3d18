"""BIDS: ``sub-X[/ses-Y]/anat/sub-X[_ses-Y]_angio.nii.gz``, with masks under ``derivatives/``.

Names are parsed into entities, below the cohort's root alone. A patient stays one unit of privacy.
If there are several acquisitions and none is named, the first labelled one is taken, sorted by
session, run, acquisition and then the other entities. A folder that is a derivative itself has its
masks beside the images.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from benchmark.core.errors import DataError
from benchmark.data.cohort import Patient
from benchmark.data.layouts.bids_description import read_bids_description
from benchmark.data.layouts.entities import (
    DERIVATIVES,
    BidsName,
    matches,
    order,
    parse,
    requested,
)
from benchmark.data.layouts.listing import Listing, counted, lonely, stem, volumes
from benchmark.data.layouts.pairing import Named, pair
from benchmark.data.layouts.vocabulary import Kind

ANGIOGRAPHIES = ("angio", "tof", "mra")
"""Suffixes of images, in any case. BIDS itself has only ``angio``."""

MASKS = ("mask", "dseg", "seg")
PLACES = ("sub-*/anat/*", "sub-*/ses-*/anat/*")
SHOWN = 3
UNNAMED = "masks do not say what they show and are taken for vessels"


def recognises(root: Path) -> bool:
    """Tell whether some ``sub-*`` folder holds an angiography."""
    return bool(_images(root))


def find(root: Path, acquisition: str | None = None) -> Listing:
    """List the patients in the order of their names."""
    description = read_bids_description(root)
    listing = _found(root, acquisition, is_derivative=description.is_derivative)
    if description.faults:
        return listing.refused(description.faults[0])
    stacks = [replace(patient, is_stack=description.holds_stacks) for patient in listing.patients]
    return replace(listing, patients=stacks)


def _found(root: Path, acquisition: str | None, *, is_derivative: bool) -> Listing:
    wanted = requested(acquisition)
    listing, remarks = Listing(), _Remarks([], [])
    images = _by_patient(root, _images(root), listing)
    beside = _beside(root)
    masks = [*_masks(root), *(beside if is_derivative else ())]
    masks_of = _by_patient(root, masks, listing)
    for identity, theirs in images.items():
        _Patient(root, identity, theirs, masks_of.pop(identity, [])).add(wanted, listing, remarks)
    orphans = [mask.path for found in masks_of.values() for mask in found if _is_for_vessels(mask)]
    listing.faults.extend(lonely(sorted(orphans), "mask", "angiography"))
    listing.notes.extend(_passed_over(root, images, [] if is_derivative else beside))
    listing.notes.extend(counted(remarks.unnamed, UNNAMED))
    listing.notes.extend(counted(remarks.unused, "masks belong to no angiography and are not used"))
    return listing


def _images(root: Path) -> list[Path]:
    return [file for place in PLACES for file in volumes(root, place) if _ends(file, ANGIOGRAPHIES)]


def _beside(root: Path) -> list[Path]:
    """Masks that lie where images do."""
    return [file for place in PLACES for file in volumes(root, place) if _ends(file, MASKS)]


def _passed_over(root: Path, images: Container[str], masks: Iterable[Path]) -> list[str]:
    """What lies where images do, and looks as if it were meant to be read."""
    folders = [folder.name for folder in sorted(root.iterdir()) if folder.is_dir()]
    people = [name for name in folders if name.lower().startswith("sub-") and name not in images]
    beside = [file.name for file in masks]
    return [
        *counted(people, "folders of people hold no angiography that is read"),
        *counted(beside, f"masks lie beside images and not under {DERIVATIVES}; they are not read"),
    ]


def _masks(root: Path) -> list[Path]:
    return [file for file in volumes(root, f"{DERIVATIVES}/**/*") if _ends(file, MASKS)]


def _ends(file: Path, suffixes: tuple[str, ...]) -> bool:
    return stem(file).lower().rpartition("_")[2] in suffixes


def _is_for_vessels(mask: Named) -> bool:
    return mask.kind in (Kind.VESSEL, Kind.UNNAMED)


def _by_patient(root: Path, files: Iterable[Path], listing: Listing) -> dict[str, list[Named]]:
    """Files by ``sub-X``, in the order of acquisitions; those of nobody are left out."""
    found: dict[str, list[Named]] = {}
    for file in files:
        place = file.relative_to(root)
        if not any(part.startswith("sub-") for part in place.parts):
            continue
        try:
            name = parse(place)
        except DataError as fault:
            listing.faults.append(fault)
            continue
        if "sub" in name.entities:
            found.setdefault(f"sub-{name.entities['sub']}", []).append(Named(file, name))
    return {who: sorted(found[who], key=lambda f: (order(f.name), f.path)) for who in sorted(found)}


class _Remarks(NamedTuple):
    """Masks that are noted once for the cohort: those that say nothing, and those not used."""

    unnamed: list[str]
    unused: list[str]


class _Patient:
    """One patient's files, to be paired."""

    def __init__(self, root: Path, identity: str, images: list[Named], masks: list[Named]) -> None:
        self._root = root
        self._identity = identity
        self._images = images
        self._pairs = pair(images, masks)

    def add(self, wanted: BidsName, listing: Listing, remarks: _Remarks) -> None:
        """Adds the patient, or what is wrong, and what there is to note."""
        asked = [i for i, image in enumerate(self._images) if matches(image.name, wanted)]
        labelled = [i for i in asked if self._pairs.vessels(i)]
        fault = (
            (None if asked else self._nothing_matches(wanted))
            or self._unclear([self._images[i] for i in asked], has_label=bool(labelled))
            or (None if labelled else self._unlabelled([self._images[i] for i in asked]))
            or self._several(labelled[0])
        )
        if fault:
            listing.faults.append(DataError(f"{self._identity}: {fault}"))
            return
        listing.notes.extend(self._choice(labelled[0]))
        listing.patients.append(self._made(labelled[0]))
        self._remark(self._pairs.vessels(labelled[0])[0], remarks)

    def _remark(self, vessels: Named, remarks: _Remarks) -> None:
        if vessels.kind is Kind.UNNAMED:
            remarks.unnamed.append(self._short(vessels))
        for mask, reason in self._pairs.strays:
            if mask.kind is not Kind.OTHER:
                remarks.unused.append(f"{self._short(mask)}: {reason}")

    def _made(self, taken: int) -> Patient:
        brains = self._pairs.brains(taken)
        return Patient(
            id=self._identity,
            image=self._images[taken].path,
            vessels=self._pairs.vessels(taken)[0].path,
            brain=brains[0].path if brains else None,
        )

    def _nothing_matches(self, wanted: BidsName) -> str:
        there = ", ".join(image.name.acquisition for image in self._images)
        return (
            f"no angiography matches the acquisition {_said(wanted)!r}; there are: {there}. "
            "Name one of these."
        )

    def _unclear(self, asked: list[Named], *, has_label: bool) -> str:
        for mask, images in self._pairs.unclear:
            is_needed = mask.kind is not Kind.UNNAMED or not has_label
            if is_needed and any(image in asked for image in images):
                could = " or to ".join(image.path.name for image in images)
                return (
                    f"{self._short(mask)} could belong to {could}; write the entities that tell "
                    "them apart into its name."
                )
        return ""

    def _unlabelled(self, asked: list[Named]) -> str:
        names = " or ".join(image.path.name for image in asked)
        why = [f"{self._short(mask)}: {reason}" for mask, reason in self._pairs.strays]
        found = (
            f" ({'; '.join([*why[:SHOWN], *(['…'] if len(why) > SHOWN else [])])})" if why else ""
        )
        example = stem(asked[0].path).rpartition("_")[0] + "_desc-vessel_mask.nii.gz"
        return (
            f"there is no vessel mask of {names}{found}; put {example} under "
            f"{DERIVATIVES}/NAME/{self._identity}/."
        )

    def _several(self, taken: int) -> str:
        for masks in (self._pairs.vessels(taken), self._pairs.brains(taken)):
            if len(masks) > 1:
                files = ", ".join(self._short(mask) for mask in masks)
                return f"there is more than one mask of a kind ({files}); keep one."
        return ""

    def _choice(self, taken: int) -> list[str]:
        if len(self._images) == 1:
            return []
        labelled = sum(bool(self._pairs.vessels(i)) for i in range(len(self._images)))
        return [
            f"{self._identity} has {len(self._images)} angiographies, {labelled} with a vessel "
            f"mask; {self._images[taken].path.name} is taken."
        ]

    def _short(self, mask: Named) -> str:
        return str(mask.path.relative_to(self._root))


def _said(wanted: BidsName) -> str:
    return "_".join([*(f"{k}-{v}" for k, v in wanted.entities.items()), wanted.suffix]).strip("_")
