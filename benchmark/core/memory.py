"""A limit on memory for code or numbers from elsewhere: an absurd size fails, and nothing else."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

GIB = 1 << 30
STATM_DATA = 5


@contextmanager
def memory_limit(gib: float) -> Iterator[None]:
    """Let the block allocate so much more than the process holds now.

    Args:
        gib: In GiB.

    Raises:
        MemoryError: Where the block wanted more; also where torch says so in its own way.
    """
    before = resource.getrlimit(resource.RLIMIT_DATA)
    most = _held() + int(gib * GIB)
    most = min([most, *(limit for limit in before if limit != resource.RLIM_INFINITY)])
    resource.setrlimit(resource.RLIMIT_DATA, (most, before[1]))
    try:
        yield
    except RuntimeError as error:
        if "allocate memory" in str(error):
            raise MemoryError(str(error)) from error
        raise
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def _held() -> int:
    """What counts for the limit now, in bytes."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[STATM_DATA]
    except (OSError, IndexError):
        return 0
    return int(pages) * resource.getpagesize()
