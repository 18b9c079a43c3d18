"""nnU-Net: ``imagesTr/CASE_0000.nii.gz`` with ``labelsTr/CASE.nii.gz``, as TopCoW and COSTA ship.

``imagesTs`` counts where ``labelsTs`` has its labels; those patients are test patients, and the
others are then divided by hand in ``participants.tsv`` or are all for training. Where MR and CT
stand side by side (TopCoW), only MR is taken. ``dataset.json`` is not needed; where it is there, it
says which channel is the angiography and may list the cases with their files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.core.errors import DataError
from benchmark.data.cohort import Patient
from benchmark.data.layouts.listing import SUFFIXES, Listing, lonely, stem, volumes

DATASET = "dataset.json"
ANGIOGRAPHY = ("mra", "tof", "angio")


class Dataset(NamedTuple):
    """What ``dataset.json`` says.

    Attributes:
        channel: The ending of the angiographies' names.
        listed: Image and label by case; empty where the folders alone say what there is.
    """

    channel: str = "_0000"
    listed: Mapping[str, tuple[Path, Path]] = {}


def recognises(root: Path) -> bool:
    """Whether there are both folders of a training set."""
    return (root / "imagesTr").is_dir() and (root / "labelsTr").is_dir()


def find(root: Path) -> Listing:
    """Patients in the order of their names, those for training first."""
    listing = Listing([], [], [])
    dataset = _tried(root, listing)
    has_test = bool(volumes(root / "labelsTs"))
    split = "train" if has_test else ""
    if dataset.listed:
        _add_listed(dataset, split, listing)
    else:
        _add(root / "imagesTr", root / "labelsTr", dataset.channel, split, listing)
    if has_test:
        _add(root / "imagesTs", root / "labelsTs", dataset.channel, "test", listing)
    elif volumes(root / "imagesTs"):
        listing.notes.append("imagesTs has no labels, so nobody in it can be tested on.")
    return listing


def _tried(root: Path, listing: Listing) -> Dataset:
    """``dataset.json``; where it is wrong, that is a fault, and the folder is still looked at."""
    path = root / DATASET
    if not path.exists():
        return Dataset()
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        channel = _channel(said.get("channel_names") or said.get("modality") or {})
        ending = said.get("file_ending", SUFFIXES[0])
        listed = _listed(root, said, channel)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        listing.faults.append(DataError(f"{path}: this is no nnU-Net description ({error})."))
        return Dataset()
    if ending not in SUFFIXES:
        law = f"volumes must be NIfTI ({' or '.join(SUFFIXES)}); convert them"
        listing.faults.append(DataError(f"{path}: file_ending is {ending!r}; {law}."))
    return Dataset(channel, listed)


def _channel(names: Mapping[str, str]) -> str:
    called = (n for n, name in names.items() if any(word in name.lower() for word in ANGIOGRAPHY))
    return f"_{int(next(called, 0)):04d}"


def _listed(root: Path, said: Mapping[str, Any], channel: str) -> dict[str, tuple[Path, Path]]:
    """The cases of ``dataset`` (nnU-Net 2) or ``training`` (1), whose images lack the channel."""
    found = {
        case: (root / files["images"][int(channel[1:])], root / files["label"])
        for case, files in said.get("dataset", {}).items()
    }
    for files in said.get("training", ()):
        image, label = root / files["image"], root / files["label"]
        with_channel = image.with_name(image.name.replace(stem(image), stem(image) + channel))
        found[stem(label)] = (with_channel if with_channel.exists() else image, label)
    return found


def _add_listed(dataset: Dataset, split: str, listing: Listing) -> None:
    for case, files in sorted(dataset.listed.items()):
        missing = [file for file in files if not file.exists()]
        if missing:
            listing.faults.append(
                DataError(f"{missing[0]}: {DATASET} lists this file and it is not there.")
            )
        else:
            image, label = files
            listing.patients.append(Patient(id=case, image=image, vessels=label, split=split))


def _add(images: Path, labels: Path, channel: str, split: str, listing: Listing) -> None:
    scans = {stem(file).removesuffix(channel): file for file in volumes(images, f"*{channel}")}
    marks = {stem(file): file for file in volumes(labels)}
    ct = [case for case in scans if "_ct_" in case]
    if ct and any("_mr_" in case for case in scans):
        listing.notes.append(f"{images.name}: {len(ct)} CT scans are left out.")
        scans = {case: file for case, file in scans.items() if case not in ct}
        marks = {case: file for case, file in marks.items() if case not in ct}
    for case in sorted(scans.keys() & marks.keys()):
        listing.patients.append(
            Patient(id=case, image=scans[case], vessels=marks[case], split=split)
        )
    listing.faults.extend(
        lonely([scans[c] for c in sorted(scans.keys() - marks)], "image", "label")
    )
    listing.faults.extend(
        lonely([marks[c] for c in sorted(marks.keys() - scans)], "label", "image")
    )
