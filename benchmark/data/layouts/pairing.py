"""The assignment of BIDS masks to images: all entities that both can have must agree.

A mask with an entity that the image lacks is of another acquisition. A mask that lacks one of the
image's entities is assigned only if a single image fits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from benchmark.data.layouts.entities import BidsName, same
from benchmark.data.layouts.vocabulary import Kind, kind_of_mask

DESCRIBING = frozenset({"desc", "label", "res", "den", "atlas", "seg", "scale", "hemi", "space"})
"""Entities of derivatives alone. They describe a mask, not its acquisition."""

OWN_SPACES = frozenset({"orig", "scanner", "native", "individual"})
ANATOMICAL_SPACE = "T1w"
"""The space that is used where no mask is in the image's own. Reading checks whether the grids
agree."""

OTHER_SUFFIXES = {
    *(
        "t1w",
        "t2w",
        "t1rho",
        "t2star",
        "t2starw",
        "pdw",
        "pdt2",
        "flair",
        "unit1",
        "t1map",
        "t2map",
    ),
    *("inplanet1", "inplanet2", "bold", "sbref", "dwi", "cbv", "asl", "swi", "minip"),
    *("angio", "tof", "mra"),
}
"""Suffixes of images in lower case, which pipelines leave within the names of masks."""


class Named(NamedTuple):
    """A file with its parsed name."""

    path: Path
    name: BidsName

    @property
    def kind(self) -> Kind:
        """What the file shows, if it is a mask."""
        found = self.name.entities
        described = [found.get("desc", ""), found.get("seg", ""), *self.name.words]
        return kind_of_mask(found.get("label", ""), described)


@dataclass(frozen=True)
class Pairs:
    """A patient's masks by the image that they belong to.

    Attributes:
        owned: Masks by the image's index in the list.
        unclear: Masks that could belong to several images, with these images.
        strays: Masks that belong to no image, with the reason.
    """

    owned: dict[int, list[Named]] = field(default_factory=dict)
    unclear: list[tuple[Named, list[Named]]] = field(default_factory=list)
    strays: list[tuple[Named, str]] = field(default_factory=list)

    def vessels(self, image: int) -> list[Named]:
        """Return the image's vessel masks, or else the masks without a description."""
        masks = self.owned.get(image, [])
        said = [mask for mask in masks if mask.kind is Kind.VESSEL]
        return _own_space(said or [mask for mask in masks if mask.kind is Kind.UNNAMED])

    def brains(self, image: int) -> list[Named]:
        """Return the image's brain masks."""
        return _own_space([mask for mask in self.owned.get(image, []) if mask.kind is Kind.BRAIN])


def pair(images: Sequence[Named], masks: Sequence[Named]) -> Pairs:
    """Assign each mask of a patient to the one image that it can belong to."""
    pairs = Pairs()
    for mask in masks:
        if mask.kind is Kind.OTHER:
            pairs.strays.append((mask, "its name says that it shows something else"))
            continue
        reasons = [difference(mask.name, image.name) for image in images]
        fitting = [i for i, reason in enumerate(reasons) if not reason]
        exact = [i for i in fitting if not _unsaid(mask.name, images[i].name)]
        meant = exact or fitting
        if not meant:
            pairs.strays.append((mask, reasons[0]))
        elif len(meant) > 1:
            pairs.unclear.append((mask, [images[i] for i in meant]))
        else:
            pairs.owned.setdefault(meant[0], []).append(mask)
    return pairs


def difference(mask: BidsName, image: BidsName) -> str:
    """Return why a mask does not belong to an image; empty if it may."""
    for key, value in mask.entities.items():
        theirs = image.entities.get(key)
        if key in DESCRIBING:
            continue
        if theirs is None:
            return f"it has {key}-{value}, which the image has not"
        if not same(key, value, theirs):
            return f"it has {key}-{value} and the image {key}-{theirs}"
    return _other_grid(mask, image) or _other_source(mask, image)


def _other_grid(mask: BidsName, image: BidsName) -> str:
    space = mask.entities.get("space", "orig")
    own = {*OWN_SPACES, ANATOMICAL_SPACE, image.suffix, image.entities.get("space", "orig")}
    if space not in own:
        return f"space-{space} is not the image's grid"
    if "hemi" in mask.entities and "hemi" not in image.entities:
        return f"hemi-{mask.entities['hemi']} is one half of the head"
    return ""


def _other_source(mask: BidsName, image: BidsName) -> str:
    sources = [word for word in mask.words if word.casefold() in OTHER_SUFFIXES]
    other = next((word for word in sources if word.casefold() != image.suffix.casefold()), "")
    return f"it is made of a {other} image" if other else ""


def _unsaid(mask: BidsName, image: BidsName) -> bool:
    return any(key not in mask.entities for key in image.entities)


def _own_space(masks: list[Named]) -> list[Named]:
    own = [mask for mask in masks if mask.name.entities.get("space") != ANATOMICAL_SPACE]
    return own or masks
