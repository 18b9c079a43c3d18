"""Pictures of released patches: a preview of each volume, and one sheet of a few patches.

Patches are turned as a NIfTI viewer shows them. Every picture bears the release's stamp, as a line
that is seen and as a ``Description`` that programs read (PNG's ``tEXt``).
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from benchmark.core.patches import Patches

SHOWN, PREVIEWED = 60, 400
"""The most patches of the sheet, and of a preview."""

COLUMNS, PREVIEW_COLUMNS = 12, 10
TILE_PIXELS, PREVIEW_PIXELS = 96, 64
"""About how wide a patch is drawn; a larger one keeps its own pixels."""

LINE_PIXELS, TEXT_PIXELS = 30, 17
GROUND = 255
KEY = "Description"


def contact_sheet(patches: Patches, text: str, *, many: int | None = None) -> bytes:
    """Draw the first patches, each above its mask.

    Args:
        patches: The synthetic patches, or the first ``SHOWN`` of them.
        text: The release's stamp.
        many: How many there are in all; as many as given if ``None``.

    Returns:
        A PNG of at most ``SHOWN`` patches.
    """
    few = Patches(images=patches.images[:SHOWN], masks=patches.masks[:SHOWN])
    images, masks = _tiles(few, TILE_PIXELS)
    rule = np.full((2, images[0].shape[1]), GROUND, np.uint8)
    pairs = [np.concatenate([one, rule, its]) for one, its in zip(images, masks, strict=True)]
    framed = [np.pad(pair, 3, constant_values=GROUND) for pair in pairs]
    said = f"{text}: {len(few)} of {many or len(patches)} patches, each above its vessel mask"
    return _png(_grid(framed, COLUMNS), said, text)


def preview(patches: Patches, text: str, *, many: int | None = None) -> bytes:
    """Draw the slices of a volume, at most the first ``PREVIEWED``, and beside them their masks.

    Args:
        patches: The volume's patches, or the first ``PREVIEWED`` of them.
        text: The release's stamp.
        many: How many there are in all; as many as given if ``None``.

    Returns:
        A PNG: rows of ten slices on the left, and their masks in the same places on the right.
    """
    few = Patches(images=patches.images[:PREVIEWED], masks=patches.masks[:PREVIEWED])
    images, masks = (
        _grid([np.pad(tile, 1, constant_values=GROUND) for tile in tiles], PREVIEW_COLUMNS)
        for tiles in _tiles(few, PREVIEW_PIXELS)
    )
    gap = np.full((len(images), 12), GROUND, np.uint8)
    all_ = many or len(patches)
    slices = f"{all_} slices" if all_ == len(few) else f"the first {len(few)} of {all_} slices"
    said = f"{text}: {slices}, each an independent patch, and their vessel masks"
    return _png(np.concatenate([images, gap, masks], axis=1), said, text)


def _tiles(patches: Patches, wide: int) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]]:
    """Images and masks as grey pixels, enlarged by a whole number."""
    times = max(1, wide // patches.size)
    images = ((patches.images[:, 0] + 1) * 127.5).round().astype(np.uint8)
    masks = patches.masks[:, 0] * np.uint8(255)
    shown = ([np.rot90(one) for one in stack] for stack in (images, masks))
    first, second = ([one.repeat(times, 0).repeat(times, 1) for one in some] for some in shown)
    return first, second


def _grid(tiles: list[NDArray[np.uint8]], columns: int) -> NDArray[np.uint8]:
    """Tiles in rows; what is left of the last row is empty."""
    wide = min(columns, len(tiles))
    empty = np.full_like(tiles[0], GROUND)
    filled = [*tiles, *[empty] * (-len(tiles) % wide)]
    rows = [np.concatenate(filled[at : at + wide], axis=1) for at in range(0, len(filled), wide)]
    return np.concatenate(rows)


def _png(pixels: NDArray[np.uint8], line: str, text: str) -> bytes:
    """A picture below a line of text."""
    font = ImageFont.load_default(TEXT_PIXELS)
    width = max(pixels.shape[1], int(font.getlength(line)) + 12)
    sheet = Image.new("L", (width, pixels.shape[0] + LINE_PIXELS), GROUND)
    sheet.paste(Image.fromarray(pixels), (0, LINE_PIXELS))
    ImageDraw.Draw(sheet).text((6, 5), line, fill=0, font=font)
    described = PngInfo()
    described.add_text(KEY, text)
    packed = io.BytesIO()
    sheet.save(packed, "png", pnginfo=described)
    return packed.getvalue()
