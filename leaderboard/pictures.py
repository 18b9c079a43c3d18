"""Checks of pictures from elsewhere: PNG files that hold pixels alone, and not too many of them."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator

PNG = b"\x89PNG\r\n\x1a\n"
PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
"""The chunks of a PNG file that make up the picture. The others are text, times and the like."""


def check_png(png: bytes, *, most: int) -> None:
    """Refuse a picture that is damaged, too large, or holds more than pixels.

    Args:
        png: The content of the file.
        most: The most pixels of a side.

    Raises:
        ValueError: Saying what is wrong, as the end of a sentence.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as picture:
            fits = max(picture.size) <= most
            if fits:
                picture.load()
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError("is no PNG file") from error
    if not fits:
        raise ValueError(f"is larger than {most} pixels")
    if not {*_chunks(png)} <= PIXELS:
        raise ValueError("holds more than pixels")


def _chunks(png: bytes) -> Iterator[bytes]:
    """The kinds of a PNG file's parts, and of what is behind its end."""
    place = len(PNG)
    while place < len(png):
        (length,) = struct.unpack(">I", png[place : place + 4].rjust(4, b"\0"))
        yield png[place + 4 : place + 8]
        place += length + 12
