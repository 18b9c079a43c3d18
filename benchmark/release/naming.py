"""The names of a release's volumes, for whoever writes them and whoever checks them."""

from __future__ import annotations

from typing import NamedTuple

from benchmark.release.statement import Samples

IMAGES, MASKS, PREVIEWS = "imagesTr", "labelsTr", "previews"
CHANNEL = "_0000"
ENDING = ".nii.gz"
IMAGE_NAME, MASK_NAME = "desc-synthetic_angio", "desc-vessels_mask"
"""What BIDS names end with, before the ending."""

DIGITS = 4
"""The fewest digits of a volume's number."""


class VolumeNames(NamedTuple):
    """The files of one volume, relative to the release's folder, with slashes.

    Attributes:
        image: nnU-Net's image.
        mask: nnU-Net's mask.
        bids_image: The image under its BIDS name.
        bids_mask: The mask under its BIDS name.
        preview: The picture.
    """

    image: str
    mask: str
    bids_image: str
    bids_mask: str
    preview: str


def volume_names(samples: Samples) -> list[VolumeNames]:
    """Name the files of all volumes, in the order of their patches.

    Args:
        samples: What the volumes hold.
    """
    return [names_of(samples, number) for number in range(1, samples.volumes + 1)]


def names_of(samples: Samples, number: int) -> VolumeNames:
    """Name the files of a volume.

    Args:
        samples: What the volumes hold.
        number: The volume's, from 1.
    """
    digits = max(DIGITS, len(str(samples.volumes)))
    said = f"{number:0{digits}d}"
    case, anatomy = f"synthetic-{said}", f"sub-{said}/anat/sub-{said}"
    return VolumeNames(
        image=f"{IMAGES}/{case}{CHANNEL}{ENDING}",
        mask=f"{MASKS}/{case}{ENDING}",
        bids_image=f"{anatomy}_{IMAGE_NAME}{ENDING}",
        bids_mask=f"{anatomy}_{MASK_NAME}{ENDING}",
        preview=f"{PREVIEWS}/{case}.png",
    )
