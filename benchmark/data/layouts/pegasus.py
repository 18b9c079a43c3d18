"""The paper's: ``ID_img.nii.gz``, ``ID_label.nii.gz`` and, if there is one, ``ID_mask.nii.gz``."""

from __future__ import annotations

from pathlib import Path

from benchmark.data.cohort import Patient
from benchmark.data.layouts.listing import Listing, lonely, stem, volumes


def recognises(root: Path) -> bool:
    """Whether some image has a label beside it."""
    images, labels = _of(root, "_img"), _of(root, "_label")
    return bool(images.keys() & labels.keys())


def find(root: Path) -> Listing:
    """Patients in the order of their names; the mask is the brain's."""
    images, labels, brains = (_of(root, end) for end in ("_img", "_label", "_mask"))
    patients = [
        Patient(
            id=case.rsplit("/", 1)[-1],
            image=images[case],
            vessels=labels[case],
            brain=brains.get(case),
        )
        for case in sorted(images.keys() & labels.keys())
    ]
    faults = lonely([images[case] for case in sorted(images.keys() - labels)], "image", "label")
    faults += lonely([labels[case] for case in sorted(labels.keys() - images)], "label", "image")
    return Listing(patients, faults, [])


def _of(root: Path, ending: str) -> dict[str, Path]:
    """Files by their place and name without the ending."""
    found = volumes(root, f"**/*{ending}")
    return {str((f.parent / stem(f)).relative_to(root)).removesuffix(ending): f for f in found}
