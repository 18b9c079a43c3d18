"""A user's choices on how folders are read."""

from __future__ import annotations

from dataclasses import dataclass

VESSELS, BRAIN, MASK = "vessels-fill-brain", "brain-fills-box", "mask-is-image"
MISSED = "vessels-outside-brain"
STOPPING = {
    VESSELS: "Vessels fill a few per cent of a brain.",
    BRAIN: "Around a brain there is something else, or all of it was cut away.",
    MISSED: "Most vessels lie in a brain; give a brain mask, or a better one.",
    MASK: "An image has many intensities, and more in it than the vessels.",
}
"""The kinds of notes that stop a run, each with the law that it is about."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A user's choices for a cohort's folder.

    Attributes:
        layout: The layout of its files; found from their names if ``None``.
        acquisition: Which of a patient's several, as ``ses-2_run-1``; the first labelled if
            ``None``.
        skip_bad: Whether patients with faults are left out, instead of stopping everything.
        accepted: Kinds of notes that stop nothing (``STOPPING``).
    """

    layout: str | None = None
    acquisition: str | None = None
    skip_bad: bool = False
    accepted: tuple[str, ...] = ()


AS_FOUND = Reading()
