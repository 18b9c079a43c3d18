"""Checks of pictures from elsewhere: PNG files that hold pixels alone, and not too many of them."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator

PNG = b"\x89PNG\r\n\x1a\n"
PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
"""The chunks of a PNG file that make up the picture. The others are text, times and the like."""


def check_png(png: bytes, *, most: int, text: bytes | None = None) -> None:
    """Refuse a picture that is damaged, too large, or has other content.

    Args:
        png: The content of the file.
        most: The most pixels of a side.
        text: The words that it must have besides, once: the content of a ``tEXt`` chunk.

    Raises:
        ValueError: Saying what is wrong, as the end of a sentence.
    """
    from PIL import Image

    bombs = Image.DecompressionBombError, Image.DecompressionBombWarning
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(png), formats=["PNG"]) as picture:
                fits = max(picture.size) <= most
                if fits:
                    picture.load()
    except (OSError, SyntaxError, *bombs) as error:
        raise ValueError("is no PNG file") from error
    if not fits:
        raise ValueError(f"is larger than {most} pixels")
    others = [(kind, held) for kind, held in _chunks(png) if kind not in PIXELS]
    if text is not None and (b"tEXt", text) not in others:
        raise ValueError("does not bear the words of its release")
    if others != ([] if text is None else [(b"tEXt", text)]):
        raise ValueError("holds more than pixels")


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The kind and the content of a PNG file's parts, and of what is behind its end."""
    place = len(PNG)
    while place < len(png):
        (length,) = struct.unpack(">I", png[place : place + 4].rjust(4, b"\0"))
        yield png[place + 4 : place + 8], png[place + 8 : place + 8 + length]
        place += length + 12
