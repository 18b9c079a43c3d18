"""A plug-in's code may change the working directory; what follows it must not notice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def kept_directory() -> Iterator[None]:
    """Restore the working directory when the block ends, however it ends."""
    before = os.open(".", os.O_RDONLY)
    try:
        yield
    finally:
        os.fchdir(before)
        os.close(before)
