"""What is said of a cohort that can be read, and may not mean what it is taken for.

A note of a named kind suggests that the files were read wrongly: it stops a run until ``--accept``
names it. The others are said, and stop nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from benchmark.core.errors import DataError
from benchmark.data.cohort import Examined, Patient
from benchmark.data.reading import BRAIN, MASK, STOPPING, VESSELS

MOST_VESSELS, MOST_BRAIN = 0.05, 0.95
"""Of the brain's voxels, and of the box's."""


class Note(NamedTuple):
    """One sentence about one patient, or about the folder.

    Attributes:
        text: The sentence.
        kind: Of ``reading.STOPPING``; empty for one that stops nothing.
    """

    text: str
    kind: str = ""


def notes_of(patient: Patient, examined: Examined) -> list[Note]:
    """What an examination leaves to be said of a patient whose files can be used."""
    image, volume = examined.image, examined.volume
    if image is None or volume is None:
        return []
    said = []
    vessels, brain = volume.vessels.sum() / volume.brain.sum(), volume.brain.mean()
    if vessels > MOST_VESSELS:
        text = (
            f"{100 * vessels:.0f} % of the brain are vessels; is {patient.vessels.name} a vessel "
            "mask, and is there a brain mask?"
        )
        said.append(Note(f"{patient.id}: {text}", VESSELS))
    if brain > MOST_BRAIN:
        text = f"the brain fills {100 * brain:.0f} % of the volume; is its mask right?"
        said.append(Note(f"{patient.id}: {text}", BRAIN))
    low, high = float(image.data.min()), float(image.data.max())
    if not ((image.data > low) & (image.data < high)).any():
        text = f"{patient.image.name} has two intensities only; is it a mask?"
        said.append(Note(f"{patient.id}: {text}", MASK))
    return said


def together(notes: Iterable[Note]) -> list[str]:
    """One sentence for each kind, however many patients it is about, and the others as they are."""
    by_kind: dict[str, list[Note]] = {}
    others = []
    for note in notes:
        if note.kind:
            by_kind.setdefault(note.kind, []).append(note)
        else:
            others.append(note.text)
    return [_of_all(kind, said) for kind, said in by_kind.items()] + list(dict.fromkeys(others))


def refuse(notes: Sequence[Note], accepted: Sequence[str]) -> None:
    """Stops at notes that suggest a wrong reading, unless their kind is accepted.

    Raises:
        DataError: Naming the first such kind.
    """
    open_ = [note for note in notes if note.kind and note.kind not in accepted]
    if open_:
        first = open_[0].kind
        raise DataError(
            f"{_of_all(first, [n for n in open_ if n.kind == first])} {STOPPING[first]} Look at "
            f"the picture of `bench data inspect`; if it is right as it is, add --accept {first}."
        )


def _of_all(kind: str, notes: Sequence[Note]) -> str:
    more = len(notes) - 1
    return notes[0].text + (f" (So with {more} more: {kind}.)" if more else f" ({kind})")
