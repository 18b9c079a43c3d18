"""Notes on a cohort that can be read but may not be what it is taken for.

A note of a named kind suggests that the files were read wrongly: it stops a run until ``--accept``
names its kind. Other notes are only shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from benchmark.core.errors import DataError
from benchmark.data.cohort import Examined, Marks, Patient
from benchmark.data.kept_brains import METHOD
from benchmark.data.reading import BRAIN, MASK, MISSED, STOPPING, VESSELS

MOST_VESSELS, MOST_BRAIN = 0.05, 0.95
"""The largest plausible share of the brain that is vessel, and of the volume that is brain."""
MOST_MISSED = 0.5
"""The largest plausible share of the labelled vessels outside the brain."""
OUTSIDE = "vessels outside the brain"


class Note(NamedTuple):
    """One sentence, and what it is about.

    Attributes:
        text: The sentence, without a full stop.
        where: A patient's id, or a file; empty for the whole folder.
        kind: What it has in common with others, so that these are shown once. It stops a run if it
            is one of ``reading.STOPPING``.
    """

    text: str
    where: str = ""
    kind: str = ""


def notes_of(patient: Patient, examined: Examined) -> list[Note]:
    """Return the notes on a patient whose files can be used."""
    image, marks = examined.image, examined.marks
    if image is None or marks is None:
        return []
    said = [Note(text, where) for where, _, text in (n.partition(": ") for n in examined.notes)]
    said += _of_brain(patient, marks)
    vessels, brain = marks.vessel_share, marks.brain_share
    if vessels > MOST_VESSELS and not patient.is_stack:
        text = f"more than {100 * MOST_VESSELS:.0f} % of the brain are vessels"
        said.append(Note(f"{text} (here {100 * vessels:.1f} %)", patient.id, VESSELS))
    if brain > MOST_BRAIN and not patient.is_stack:
        text = f"the brain fills more than {100 * MOST_BRAIN:.0f} % of the volume"
        said.append(Note(text, patient.id, BRAIN))
    low, high = image.data.min(), image.data.max()
    if not any(((plane > low) & (plane < high)).any() for plane in image.data.T):
        said.append(Note("the image has two intensities only, as a mask has", patient.id, MASK))
    return said


def _of_brain(patient: Patient, marks: Marks) -> list[Note]:
    """Whose the brain mask is, and what lies outside of it."""
    is_found, said = patient.is_brain_found, []
    if is_found:
        text = f"there is no brain mask, so the brain was found in the image ({METHOD})"
        said.append(Note(text, patient.id))
    if marks.outside:
        share = f"(here {100 * marks.outside:.2g} %)"
        law = "count as missed" if is_found else "do not count"
        kind = MISSED if marks.outside > MOST_MISSED else OUTSIDE
        text = f"some of the labelled vessels lie outside the brain {share} and {law}"
        said.append(Note(text, patient.id, kind))
    return said


def together(notes: Iterable[Note], *, marked: bool = False) -> list[str]:
    """Write every sentence once, with the first whom it is about and the number of others.

    Args:
        notes: All notes.
        marked: Whether those that stop a run say so.
    """
    return [_of_all(some) + _mark(some[0], marked=marked) for some in _alike(notes)]


def _mark(note: Note, *, marked: bool) -> str:
    stops = marked and note.kind in STOPPING
    return f" This stops a run until --accept {note.kind}." if stops else ""


def refuse(notes: Iterable[Note], accepted: Sequence[str]) -> None:
    """Stop at notes that suggest a wrong reading, unless their kind is accepted.

    Raises:
        DataError: Naming the first such kind.
    """
    stopping = [note for note in notes if note.kind in STOPPING and note.kind not in accepted]
    for some in _alike(stopping):
        kind = some[0].kind
        raise DataError(
            f"{_of_all(some)} {STOPPING[kind]} Look at the picture of `bench data inspect`; if the "
            f"files are right as they are, add --accept {kind}."
        )


def _alike(notes: Iterable[Note]) -> list[list[Note]]:
    """Notes of one kind, or else of one sentence, together."""
    found: dict[str, list[Note]] = {}
    for note in notes:
        found.setdefault(note.kind or note.text, []).append(note)
    return list(found.values())


def _of_all(notes: Sequence[Note]) -> str:
    first, more = notes[0], len({note.where for note in notes}) - 1
    whom = f"{first.where}: " if first.where else ""
    return f"{whom}{first.text.rstrip('.?')}{f'; so with {more} more' if more else ''}."
