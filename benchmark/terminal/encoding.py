"""A terminal that is not UTF-8 gets words for the symbols that it cannot show."""

from __future__ import annotations

import codecs
import io
import sys

WORDS = {
    "ε": "epsilon",
    "δ": "delta",
    "σ": "sigma",
    "±": "+-",
    "×": "x",
    "≥": ">=",
    "≤": "<=",
    "∞": "inf",
    "–": "-",
    "−": "-",
    "…": "...",
    "─": "-",
    "│": "|",
}
HANDLER = "angiobench.words"


def in_words(error: UnicodeError) -> tuple[str, int]:
    """Replace characters that an encoding lacks; for ``codecs.register_error``.

    Args:
        error: Of the encoder, with the text and the place.

    Returns:
        Words for the symbols that have some, else ``?``; and where to go on.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(WORDS.get(one, "?") for one in lacking), error.end


def speak_plainly() -> None:
    """Let standard output and errors replace what they cannot show, instead of failing."""
    codecs.register_error(HANDLER, in_words)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=HANDLER)
