"""The pictures of a received release: made again from the voxels of its volumes, and compared.

A picture that shows anything but the released patches is found, and so is one with more in its file
than pixels.
"""

from __future__ import annotations

import io
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.core.patches import Patches
from benchmark.release.checks.files import Received
from benchmark.release.checks.volumes import due_of, first_voxels, is_packed_here
from benchmark.release.contents.pictures import (
    GROUND,
    LINE_PIXELS,
    PREVIEWED,
    SHOWN,
    contact_sheet,
    preview,
)
from benchmark.release.contents.volumes import unstored
from benchmark.release.naming import names_of
from benchmark.release.statement import SHEET, Statement
from benchmark.release.wording import stamp
from benchmark.sweep.inputs import Progress

PILLOW = "pillow"


def of_pictures(
    files: Received, said: Statement, progress: Progress
) -> tuple[list[str], list[str]]:
    """Make previews and contact sheet again, and compare.

    Args:
        files: What was received; nothing is wrong with its volumes, and all pictures are PNG files.
        said: Its statement.
        progress: Called for every picture.

    Returns:
        Faults, and what could not be checked, as another Pillow draws letters in another way.
    """
    samples, words = said.samples, stamp(said)
    faults, first = [], []
    alike = _same_bytes if _is_drawn_here(said) else _same_patches
    for number in range(1, samples.volumes + 1):
        name = names_of(samples, number).preview
        shown, many = _patches(files, said, number)
        if not alike(files.content(name), preview(shown, words, many=many)):
            faults.append(f"{name} is not the picture of its volume")
        if (number - 1) * samples.per_volume < SHOWN:
            first.append(shown)
        progress("Checking pictures", number, samples.volumes)
    few = Patches(
        images=np.concatenate([one.images for one in first])[:SHOWN],
        masks=np.concatenate([one.masks for one in first])[:SHOWN],
    )
    if not alike(files.content(SHEET), contact_sheet(few, words, many=samples.n)):
        faults.append(f"{SHEET} is not the picture of the first patches")
    return faults, [] if alike is _same_bytes else [
        "the line of words above each picture, as Pillow or Python differs here"
    ]


def _patches(files: Received, said: Statement, number: int) -> tuple[Patches, int]:
    """The patches that a preview shows, and how many there are in its volume."""
    names = names_of(said.samples, number)
    image, mask = due_of(said.samples, number, stamp(said))
    images = first_voxels(files.folder / names.image, image, PREVIEWED)
    masks = first_voxels(files.folder / names.mask, mask, PREVIEWED)
    return Patches(images=unstored(images), masks=masks), image.shape[2]


def _is_drawn_here(said: Statement) -> bool:
    return is_packed_here(said) and said.versions.get(PILLOW) in (None, version(PILLOW))


def _same_bytes(received: bytes, made: bytes) -> bool:
    return received == made


def _same_patches(received: bytes, made: bytes) -> bool:
    ours, theirs = _below_line(made), _below_line(received)
    return theirs is not None and ours is not None and np.array_equal(ours, theirs)


def _below_line(png: bytes) -> NDArray[np.uint8] | None:
    """The pixels below the line of words, without the empty columns that it makes room for."""
    with Image.open(io.BytesIO(png), formats=["PNG"]) as picture:
        if picture.mode != "L" or "transparency" in picture.info:
            return None
        pixels = np.asarray(picture)[LINE_PIXELS:]
    drawn = np.flatnonzero((pixels != GROUND).any(axis=0))
    return pixels[:, : drawn[-1] + 1] if len(drawn) else pixels[:, :0]
