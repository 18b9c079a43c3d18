"""Data sets with the same public numbers as another one: its neighbours, and some far from it.

Neighbours differ by one unit, which is gone or blank. A unit is a patient, or a slot of a patient.
A patient's patches fill the slots in their order. So where a patch is gone, those after it move up
by a slot. A draw of slots is then moved with them (``places``): every slot still enters with the
same probability, and every patch that is left with the same draw.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmark.core.patches import Patches


@dataclass(frozen=True, kw_only=True)
class Neighbour:
    """Data that differ from others by one unit.

    Attributes:
        what: What differs, for messages.
        patches: The patches.
        places: Which unit is drawn here where one is drawn there, int64 ``(N,)``; ``None`` where
            all stay.
        is_blank: Whether the unit is blank in its place rather than gone. That is a removal and an
            addition.
    """

    what: str
    patches: Patches
    places: NDArray[np.int64] | None = None
    is_blank: bool = False


def neighbours(patches: Patches, unit: str) -> Iterator[Neighbour]:
    """Yield data that differ by one unit.

    The unit is the first or the last patient; or the first, a middle or the last patch of the first
    patient, or the last patch of the last one. Then one in the middle is blank in its place: all
    patches of a patient, or one.

    Args:
        patches: The patients' patches.
        unit: ``patient`` or ``patch``.
    """
    last, middle = patches.patients - 1, patches.patients // 2
    if unit == "patient":
        yield _without(patches, "the first patient", _rows(patches, 0))
        yield _without(patches, "the last patient", _rows(patches, last))
        yield _blank_in_place(patches, "a patient", _rows(patches, middle))
        return
    first = _rows(patches, 0)
    yield _without_a_patch(patches, "the first patch", first[0])
    yield _without_a_patch(patches, "a patch in the middle", first[len(first) // 2])
    yield _without_a_patch(patches, "the last patch of a patient", first[-1])
    yield _without_a_patch(patches, "the last patch", _rows(patches, last)[-1])
    rows = _rows(patches, middle)
    yield _blank_in_place(patches, "a patch", rows[len(rows) // 2 : len(rows) // 2 + 1])


def others(patches: Patches) -> dict[str, Patches]:
    """Make other data sets with the same public numbers.

    Returns:
        By description: random data, data without a patient, without a patch, blank patches and no
        patches. What a fit keeps of the first of them is the least like that of the patients.
    """
    rng = np.random.default_rng(1)
    masks = (rng.random(patches.masks.shape) < 0.2).astype(np.uint8)
    images = rng.uniform(-1, 1, patches.images.shape).astype(np.float32)
    patient, patch = (next(neighbours(patches, unit)).patches for unit in ("patient", "patch"))
    return {
        "wholly other data": replace(patches, images=images, masks=masks),
        "data without a patient": patient,
        "data without a patch": patch,
        "blank patches": blank(patches),
        "no patches": nobody(patches),
    }


def nobody(patches: Patches) -> Patches:
    """Return no patches, with the same public numbers."""
    return _kept(patches, np.zeros(len(patches), bool))


def blank(patches: Patches, rows: NDArray[np.bool_] | None = None) -> Patches:
    """Return the same number of patches, some of them with images and masks of zeros.

    Args:
        patches: The patches.
        rows: Which of them, ``(n,)``; ``None`` for all.
    """
    images, masks = patches.images.copy(), patches.masks.copy()
    gone = slice(None) if rows is None else rows
    images[gone], masks[gone] = 0, 0
    return replace(patches, images=images, masks=masks)


def blank_units(patches: Patches, unit: str, units: NDArray[np.int64]) -> Patches:
    """Return the same number of patches, with those of some units blank.

    Args:
        patches: The patients' patches.
        unit: ``patient`` or ``patch``.
        units: Numbers of patients, or of slots.
    """
    return blank(patches, np.isin(_unit_of(patches, unit), units))


def _without(patches: Patches, what: str, rows: NDArray[np.int64]) -> Neighbour:
    kept = np.isin(np.arange(len(patches)), rows, invert=True)
    return Neighbour(what=f"data without {what}", patches=_kept(patches, kept))


def _without_a_patch(patches: Patches, what: str, row: np.int64) -> Neighbour:
    """Its slot's draw falls on the slot that is empty now, the last one that was filled."""
    slots, owner = _unit_of(patches, "patch"), _owner(patches)
    gone, end = slots[row], slots[owner == owner[row]].max()
    places = np.arange(patches.patients * patches.patches_per_patient)
    places[gone + 1 : end + 1] -= 1
    places[gone] = end
    return replace(_without(patches, what, np.array([row])), places=places)


def _blank_in_place(patches: Patches, what: str, rows: NDArray[np.int64]) -> Neighbour:
    return Neighbour(
        what=f"data with {what} blank in its place",
        patches=blank(patches, np.isin(np.arange(len(patches)), rows)),
        is_blank=True,
    )


def _kept(patches: Patches, kept: NDArray[np.bool_]) -> Patches:
    return replace(
        patches,
        images=patches.images[kept],
        masks=patches.masks[kept],
        patient=_owner(patches)[kept],
    )


def _rows(patches: Patches, patient: int) -> NDArray[np.int64]:
    return np.flatnonzero(_owner(patches) == patient)


def _unit_of(patches: Patches, unit: str) -> NDArray[np.int64]:
    """The unit of every patch: its patient, or its slot."""
    if unit == "patient":
        return _owner(patches)
    slots = np.zeros(len(patches), np.int64)
    for patient in range(patches.patients):
        mine = _rows(patches, patient)
        slots[mine] = patient * patches.patches_per_patient + np.arange(len(mine))
    return slots


def _owner(patches: Patches) -> NDArray[np.int64]:
    assert patches.patient is not None  # noqa: S101  (subjects are tried on patients)
    return patches.patient
