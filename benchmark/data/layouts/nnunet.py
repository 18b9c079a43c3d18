"""nnU-Net: ``imagesTr/CASE_0000.nii.gz`` with ``labelsTr/CASE.nii.gz``, as in TopCoW and COSTA.

``imagesTs`` is used if ``labelsTs`` has its labels; those patients are test patients. The others
are then split by ``participants.tsv``, or are all for training. Where MR and CT are side by side
(TopCoW), only MR is taken. These are read too: images without a channel in their names (COSTA),
TopCoW's names for the folder of labels, and brain masks in ``brainsTr`` and ``brainsTs``.
``dataset.json`` is optional. It says which channel is the angiography and what the labels mean, and
may list the cases with their files. A folder that holds one ``DatasetNNN_Name`` is read as that
data set.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from benchmark.core.errors import DataError
from benchmark.data.cohort import Patient
from benchmark.data.layouts.description import DATASET, Description, read_description
from benchmark.data.layouts.listing import (
    Listing,
    counted,
    lonely,
    refuse_acquisition,
    stem,
    volumes,
)

IMAGES, LABELS, BRAINS = "images", "labels", "brains"
TRAINING, TESTING = "Tr", "Ts"
LABEL_FOLDERS = ("labelsTr", "cow_seg_labelsTr", "bin_labelsTr")
"""Names of the folder of labels, of which the first that exists is used. The others are
TopCoW's."""

CT = {"ct", "cta"}
MR = {"mr", "mra"}
EXTENTS = {"roi", "crop", "cropped", "whole", "full"}
"""Words for how much of a patient is in a volume."""

_CHANNEL = re.compile(r"_\d{4}$")
_DATASET = re.compile(r"(Dataset|Task)\d{3}_.+")


def recognises(root: Path) -> bool:
    """Tell whether both folders of a training set are here or one level down."""
    return bool(_homes(root))


def find(root: Path, acquisition: str | None = None) -> Listing:
    """List the patients in the order of their names, those for training first.

    Raises:
        DataError: For a folder of several data sets.
    """
    refuse_acquisition("nnunet", acquisition)
    homes = _homes(root) or [root]
    if len(homes) > 1:
        names = ", ".join(home.name for home in homes)
        raise DataError(f"{root}: there are {len(homes)} data sets ({names}); name one of them.")
    listing = Listing(home=homes[0])
    try:
        description = read_description(homes[0])
    except DataError as fault:
        listing, description = listing.refused(fault), Description()
    _fill(homes[0], description, listing)
    faults, patients = _once(listing.patients)
    labels, is_stack = description.labels, description.holds_stacks
    patients = [replace(patient, labels=labels, is_stack=is_stack) for patient in patients]
    return replace(listing, patients=patients, faults=[*listing.faults, *faults])


def _homes(root: Path) -> list[Path]:
    """The root itself, or the data sets in it."""
    below = sorted(f for f in root.iterdir() if _DATASET.fullmatch(f.name)) if root.is_dir() else []
    return [root] if _is_home(root) else [folder for folder in below if _is_home(folder)]


def _is_home(folder: Path) -> bool:
    return (folder / f"{IMAGES}{TRAINING}").is_dir() and _labels(folder).is_dir()


def _labels(root: Path) -> Path:
    """Where the labels of the training set are; nnU-Net's own name if nowhere."""
    folders = [root / name for name in LABEL_FOLDERS]
    return next((folder for folder in folders if folder.is_dir()), folders[0])


def _fill(root: Path, description: Description, listing: Listing) -> None:
    tests = root / f"{LABELS}{TESTING}"
    has_test = bool(volumes(tests))
    split = "train" if has_test else ""
    if description.listed:
        _add_listed(root, description, split, listing)
        _note_unlisted(root, description, listing)
    else:
        _add(root, TRAINING, _labels(root), description.channel, split, listing)
    if has_test:
        _add(root, TESTING, tests, description.channel, "test", listing)
    elif volumes(root / f"{IMAGES}{TESTING}"):
        listing.notes.append("imagesTs has no labels, so nobody in it can be tested on.")


def _add_listed(root: Path, description: Description, split: str, listing: Listing) -> None:
    brains = _brains(root, TRAINING, description.channel, description.listed, listing)
    ct = _ct(description.listed)
    if ct:
        listing.notes.append(f"{len(ct)} CT scans are left out.")
    for case, files in sorted(description.listed.items()):
        if case in ct:
            continue
        missing = [file for file in files if not file.exists()]
        if missing:
            listing.faults.append(
                DataError(f"{missing[0]}: {DATASET} lists this file and it is not there.")
            )
        else:
            image, label = files
            listing.patients.append(
                Patient(id=case, image=image, vessels=label, brain=brains.get(case), split=split)
            )


def _note_unlisted(root: Path, description: Description, listing: Listing) -> None:
    listed = {label for _, label in description.listed.values()}
    unlisted = [file.name for file in volumes(_labels(root)) if file not in listed]
    if unlisted:
        listing.notes.append(
            f"{len(unlisted)} labels are not in the list of {DATASET} and are left out "
            f"(first: {unlisted[0]})."
        )


def _add(root: Path, part: str, labels: Path, channel: str, split: str, listing: Listing) -> None:
    images = root / f"{IMAGES}{part}"
    marks = _by_case(labels)
    scans = _scans(images, channel, marks)
    brains = _brains(root, part, channel, scans, listing)
    ct = _ct(scans)
    if ct:
        listing.notes.append(f"{images.name}: {len(ct)} CT scans are left out.")
        scans = {case: file for case, file in scans.items() if case not in ct}
        marks = {case: file for case, file in marks.items() if not {*_words(case)} & CT}
    for case in sorted(scans.keys() & marks.keys()):
        image, label, brain = scans[case], marks[case], brains.get(case)
        listing.patients.append(
            Patient(id=case, image=image, vessels=label, brain=brain, split=split)
        )
    listing.faults.extend(
        lonely([scans[c] for c in sorted(scans.keys() - marks)], "image", "label")
    )
    listing.faults.extend(
        lonely([marks[c] for c in sorted(marks.keys() - scans)], "label", "image")
    )


def _scans(folder: Path, channel: str, cases: Container[str]) -> dict[str, Path]:
    """Images by their case; the whole name is the case where labels say so and not otherwise."""
    found = {stem(file).removesuffix(channel): file for file in volumes(folder, f"*{channel}")}
    whole = _by_case(folder)
    if sum(case in cases for case in whole) > sum(case in cases for case in found):
        return whole
    return found or {c: f for c, f in whole.items() if not _CHANNEL.search(c)}


def _brains(
    root: Path, part: str, channel: str, cases: Container[str], listing: Listing
) -> dict[str, Path]:
    """Brain masks by their case; a note on those of no case."""
    found = _by_case(root / f"{BRAINS}{part}")
    found = {c if c in cases else c.removesuffix(channel): file for c, file in found.items()}
    strays = [str(file.relative_to(root)) for case, file in found.items() if case not in cases]
    listing.notes.extend(counted(strays, "brain masks have the name of no case and are not used"))
    return found


def _by_case(folder: Path) -> dict[str, Path]:
    return {stem(file): file for file in volumes(folder)}


def _ct(cases: Iterable[str]) -> set[str]:
    """The CT scans, where there are MR scans beside them."""
    words = {case: {*_words(case)} for case in cases}
    has_mr = any(some & MR for some in words.values())
    return {case for case, some in words.items() if some & CT} if has_mr else set()


def _once(patients: Sequence[Patient]) -> tuple[list[DataError], list[Patient]]:
    """A fault for each patient who is there as a whole and as a part, and the others."""
    alike: dict[tuple[str, ...], list[Patient]] = {}
    for patient in patients:
        words = _words(patient.id)
        rest = tuple(word for word in words if word not in EXTENTS)
        alike.setdefault(rest or tuple(words), []).append(patient)
    faults = [
        DataError(
            f"{some[0].image.parent}: {' and '.join(p.id for p in some)} are volumes of one "
            "patient; keep one of them."
        )
        for some in alike.values()
        if len({patient.id for patient in some}) > 1
    ]
    return faults, [p for some in alike.values() if len({q.id for q in some}) == 1 for p in some]


def _words(case: str) -> list[str]:
    return re.split(r"[_\-.]", case.lower())
