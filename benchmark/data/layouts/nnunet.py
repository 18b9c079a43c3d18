"""nnU-Net: ``imagesTr/CASE_0000.nii.gz`` with ``labelsTr/CASE.nii.gz``, as TopCoW and COSTA ship.

``imagesTs`` counts where ``labelsTs`` has its labels; those patients are test patients, and the
others are then divided by hand in ``participants.tsv`` or are all for training. ``dataset.json`` is
not needed. Where MR and CT stand side by side (TopCoW), only MR is taken.
"""

from __future__ import annotations

from pathlib import Path

from benchmark.data.cohort import Patient
from benchmark.data.layouts.listing import Listing, lonely, stem, volumes

CHANNEL = "_0000"


def recognises(root: Path) -> bool:
    """Whether there are both folders of a training set."""
    return (root / "imagesTr").is_dir() and (root / "labelsTr").is_dir()


def find(root: Path) -> Listing:
    """Patients in the order of their names, those for training first."""
    listing = Listing([], [], [])
    has_test = bool(volumes(root / "labelsTs"))
    _add(root / "imagesTr", root / "labelsTr", "train" if has_test else "", listing)
    if has_test:
        _add(root / "imagesTs", root / "labelsTs", "test", listing)
    elif volumes(root / "imagesTs"):
        listing.notes.append("imagesTs has no labels, so nobody in it can be tested on.")
    return listing


def _add(images: Path, labels: Path, split: str, listing: Listing) -> None:
    scans = {stem(file).removesuffix(CHANNEL): file for file in volumes(images, f"*{CHANNEL}")}
    marks = {stem(file): file for file in volumes(labels)}
    ct = [case for case in scans if "_ct_" in case]
    if ct and any("_mr_" in case for case in scans):
        listing.notes.append(f"{images.name}: {len(ct)} CT scans are left out.")
        scans = {case: file for case, file in scans.items() if case not in ct}
        marks = {case: file for case, file in marks.items() if case not in ct}
    for case in scans.keys() & marks.keys():
        patient = Patient(id=case, image=scans[case], vessels=marks[case], split=split)
        listing.patients.append(patient)
    listing.patients.sort(key=lambda p: (p.split == "test", p.id))
    listing.faults.extend(
        lonely([scans[c] for c in sorted(scans.keys() - marks)], "image", "label")
    )
    listing.faults.extend(
        lonely([marks[c] for c in sorted(marks.keys() - scans)], "label", "image")
    )
