"""Words in names: what a mask shows, and which labels of a description are vessels.

Words are whole tokens (``brainVessels`` is ``brain`` and ``vessels``), never parts of one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


VESSELS = _set("vessel vessels artery arteries arterial vasculature vascular vesselmask cow")
ARTERIES = _set(
    """
    aca mca pca ica eca cca ba va oa sca aica pica acha sta mma maxa basilar carotid vertebral
    willis acom acoma acomm acomma pcom pcoma pcomm pcomma a1 a2 a3 m1 m2 m3 p1 p2 p3
    """
)
ANEURYSMS = _set("aneurysm aneurysms")
BRAINS = _set("brain brains brainmask bet hdbet synthstrip skullstrip skullstripped")
OTHERS = _set(
    """
    skull tissue tissues gm wm csf gray grey white matter parenchyma bone skin scalp fat muscle air
    head face eye eyes cerebellum brainstem ventricle ventricles cortex hippocampus aseg aparcaseg
    aparc roi lesion lesions tumor tumour infarct stroke edema hemorrhage haemorrhage wmh
    other others rest noise artefact artifact background bg nonvessel
    """
)
SEQUENCES = _set("t1 t2 pd dti")
VEINS = _set("vein veins venous sinus sinuses vesselwall vesselwalls plexus")
"""What a mask may show that is no artery. For a label with such a name, its author must decide."""
IGNORED = _set("ignore ignored")
GENERIC = _set("foreground fg label class mask target object seg segmentation")

_BESIDE = _set(
    """
    r l right left rt lt bilateral 1st 2nd 3rd third anterior middle posterior superior inferior
    internal external common cerebral cerebellar communicating ophthalmic choroidal azygos blood
    brain circle of the and main small large all proximal distal segment branch branches trunk
    intracranial mask label seg manual
    """
)
_REVERSED = _set("wall walls non no not without vesselness")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_KNOWN = VESSELS | ARTERIES | BRAINS | OTHERS | SEQUENCES | VEINS | IGNORED | GENERIC | _BESIDE


class Kind(Enum):
    """What a mask or a label shows, according to its name."""

    VESSEL = "vessels"
    BRAIN = "the brain"
    IGNORED = "nothing"
    OTHER = "something else"
    UNNAMED = "something unnamed"


def tokens(text: str) -> list[str]:
    """Split a name into its words, in lower case.

    Examples:
        >>> tokens("R-Pcom"), tokens("brainVessels_2"), tokens("LeftMCA")
        (['r', 'pcom'], ['brain', 'vessels', '2'], ['left', 'mca'])
    """
    pieces = re.findall(r"[A-Za-z0-9]+", text)
    return [word for piece in pieces for word in _words(piece)]


def kind_of_mask(structure: str, described: Iterable[str]) -> Kind:
    """Tell what a mask shows.

    Args:
        structure: The word for the structure itself (BIDS's ``label``); an unknown one is another
            structure.
        described: Further words; unknown ones are ignored.
    """
    named = tokens(structure)
    words = {*named, *(word for text in described for word in tokens(text))}
    if words & (_REVERSED | SEQUENCES | VEINS):
        return Kind.OTHER
    if words & VESSELS:
        return Kind.VESSEL
    if words & (OTHERS | ANEURYSMS):
        return Kind.OTHER
    if words & BRAINS:
        return Kind.BRAIN
    unknown = [word for word in named if not word.isdecimal() and word not in GENERIC | _BESIDE]
    return Kind.OTHER if unknown else Kind.UNNAMED


def kind_of_label(name: str) -> Kind:
    """Tell what a label of ``dataset.json`` shows; ``UNNAMED`` where a word is unknown.

    An aneurysm is part of its artery, so it counts as vessel.
    """
    words = {word for word in tokens(name) if not word.isdecimal()}
    if words and words <= IGNORED:
        return Kind.IGNORED
    nouns = VESSELS | ARTERIES | ANEURYSMS
    if words & nouns and words <= nouns | _BESIDE:
        return Kind.VESSEL
    if words & (OTHERS | BRAINS) and words <= OTHERS | BRAINS | _BESIDE:
        return Kind.OTHER
    return Kind.UNNAMED


def is_generic(name: str) -> bool:
    """Tell whether a label's name only says that it is a label."""
    return all(word.isdecimal() or word in GENERIC for word in tokens(name))


def _words(piece: str) -> list[str]:
    lower = piece.lower()
    if lower in _KNOWN:
        return [lower]
    if lower[:1] in ("l", "r") and lower[1:] in ARTERIES:
        return [lower[0], lower[1:]]
    return [part.lower() for part in _PART.findall(piece)]
