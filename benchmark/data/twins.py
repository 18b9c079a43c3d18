"""Detection of one person twice: in one split, in two, or in a further test set.

A patient who is fitted on and tested on makes every score wrong, and one who counts twice pays
twice. So all splits and test sets are compared, by the images' voxels alone (``likeness``). A
volume that was compressed again, renamed, turned, or marked by another rater is the same volume.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmark.core.errors import DataError
from benchmark.data.cohort import Patient
from benchmark.data.likeness import NEAR, PLANES, Likeness
from benchmark.data.notes import Note

FITTED = ""
Groups = Mapping[str, Sequence[tuple[Patient, Likeness]]]
"""Patients by role: ``FITTED``, or the name of a test set."""


def twins(groups: Groups) -> list[DataError]:
    """Return a fault for every volume that occurred before, within a group or in another."""
    first: dict[str, tuple[str, Patient]] = {}
    faults = []
    for group, members in groups.items():
        for patient, image in members:
            there, known = first.setdefault(image.unordered, (group, patient))
            if known is not patient:
                faults.append(_fault(group, patient, there, known))
    return faults


def _fault(group: str, patient: Patient, there: str, known: Patient) -> DataError:
    law = "a patient is in one of them"
    if group == there:
        law = "a patient counts once"
    elif FITTED in (group, there):
        law = "those who are fitted on cannot be tested on"
    return DataError(
        f"{patient.image} ({_role(group)}): this is the volume of {known.id} again, {known.image} "
        f"({_role(there)}); {law}, so remove one of the two."
    )


def _role(group: str) -> str:
    return f"test set {group!r}" if group else "fitted on"


def near_twins(groups: Groups) -> list[Note]:
    """Return a note for each pair of different volumes that are probably of one person.

    Stacks of patches are left out: at low resolution they all look like the mean patch.
    """
    members = [
        (group, patient, image)
        for group, some in groups.items()
        for patient, image in some
        if not patient.is_stack
    ]
    if len(members) < 2:
        return []
    signs = np.stack([_signs(image.sketch) for _, _, image in members])
    angles = np.pi * (PLANES - signs @ signs.T) / 2 / PLANES
    said = []
    for i, j in np.argwhere(np.triu(np.cos(angles) >= NEAR, 1)):
        (one, patient, image), (other, known, its) = members[i], members[j]
        if image.unordered != its.unordered:
            pair = f"{patient.id} ({_role(one)}) and {known.id} ({_role(other)})"
            alike = f"a correlation of {np.cos(angles[i, j]):.2f} at low resolution"
            said.append(Note(f"{pair} look like one person: {alike}"))
    return said


def _signs(sketch: str) -> NDArray[np.float32]:
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(sketch), np.uint8))
    return bits.astype(np.float32) * 2 - 1
