"""The embedded cohort under a cache folder: made once, whole or not at all."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmark.core.sums import sums_hold, write_sums
from benchmark.data.phantom.cohort import DEFAULT_SEED, VERSION, Progress, write_embedded


def embedded(
    cache: Path,
    *,
    version: int = VERSION,
    seed: int = DEFAULT_SEED,
    jobs: int = 1,
    progress: Progress | None = None,
) -> Path:
    """The folder of the embedded cohort (with ``cohort`` and ``shifted``), made if it is missing.

    Guarantees:
        * The folder exists only when it is complete: it is written beside and renamed.
        * Of several processes one makes it and the others wait; a killed one's rest is cleared.
        * Its files have the checksums that they were written with; a damaged one is made anew.
    """
    folder = cache / f"phantom-v{version}-seed{seed}"
    if sums_hold(folder):
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / f".{folder.name}.lock"):
        if not sums_hold(folder):
            partial = cache / f".{folder.name}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            write_embedded(partial, version=version, seed=seed, jobs=jobs, progress=progress)
            write_sums(partial)
            shutil.rmtree(folder, ignore_errors=True)
            partial.rename(folder)
    return folder


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
