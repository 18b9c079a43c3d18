"""How folders are read, where there is a choice."""

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
"""The kinds that stop a run, and the law that each is about."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a user says of a cohort's folder.

    Attributes:
        layout: How its files lie; found out by looking if ``None``.
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
