"""JSON and TOML from elsewhere: read within limits, and refused by one kind of error.

The libraries raise ``RecursionError`` for a text of a hundred thousand brackets, believe ``NaN``,
and read whatever fits into memory. Here all that is a ``ValueError`` that says what is wrong.
"""

from __future__ import annotations

import json
import math
import stat
import tomllib
from pathlib import Path
from typing import Any, NoReturn

LARGEST = 256 << 20
"""Bytes of a file that is read; results, plans and settings have far fewer."""

DEEP = "it is nested too deeply"


def json_of(text: str) -> Any:
    """Parse a JSON text.

    Raises:
        ValueError: If it is none, is nested too deeply, or has a number that is not finite.

    Examples:
        >>> json_of('{"epsilon": 2}')
        {'epsilon': 2}
        >>> json_of("[" * 100_000)
        Traceback (most recent call last):
        ValueError: it is nested too deeply
    """
    try:
        return json.loads(text, parse_constant=_no_constant, parse_float=_finite)
    except RecursionError:
        raise ValueError(DEEP) from None


def json_in(file: Path, *, most: int = LARGEST) -> Any:
    """Parse a JSON file.

    Args:
        file: In UTF-8, with or without a byte order mark.
        most: Its largest size, in bytes.

    Raises:
        OSError: If it cannot be read.
        ValueError: As ``json_of``, or if it is too large.
    """
    return json_of(_text_in(file, most))


def toml_in(file: Path) -> dict[str, Any]:
    """Parse a TOML file.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is none, is nested too deeply, or is too large.
    """
    try:
        return tomllib.loads(_text_in(file, LARGEST))
    except RecursionError:
        raise ValueError(DEEP) from None


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no number that a float can hold")
    return value


def bytes_in(file: Path, *, most: int) -> bytes:
    """Read a file of a bounded size.

    Args:
        file: A regular file.
        most: Its largest size, in bytes.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is too large, or no regular file.
    """
    _check_file(file, most)
    return file.read_bytes()


def _text_in(file: Path, most: int) -> str:
    _check_file(file, most)
    return file.read_text(encoding="utf-8-sig")


def _check_file(file: Path, most: int) -> None:
    if not (stat.S_ISREG(file.stat().st_mode) or file.is_dir()):
        raise ValueError("it is no regular file")
    if (size := file.stat().st_size) > most:
        raise ValueError(f"it has {size:,} bytes, and more than {most:,} are not read")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
