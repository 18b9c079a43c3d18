"""The embedded cohort in a cache folder, made once and never left incomplete."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmark.core.sums import sums_hold, write_sums
from benchmark.data.phantom.annotators import USUAL
from benchmark.data.phantom.cohort import PhantomCohort, Progress, write_embedded


def embedded(
    cache: Path,
    phantoms: PhantomCohort = PhantomCohort(),  # noqa: B008  (immutable)
    *,
    jobs: int = 1,
    progress: Progress | None = None,
) -> Path:
    """Return the folder of the embedded cohort (``cohort`` and ``shifted``), made if it is missing.

    Guarantees:
        * The folder exists only when it is complete: it is written beside and renamed.
        * Of several processes one makes it and the others wait. What a killed one left is removed.
        * Its files have the checksums that they were written with; a damaged cohort is made anew.

    Args:
        cache: The cache folder.
        phantoms: Which of them.
        jobs: How many worker processes.
        progress: Called with the patients done and all of them.
    """
    folder = cache / _name(phantoms)
    if sums_hold(folder):
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / f".{folder.name}.lock"):
        if not sums_hold(folder):
            partial = cache / f".{folder.name}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            write_embedded(partial, phantoms, jobs=jobs, progress=progress)
            write_sums(partial)
            shutil.rmtree(folder, ignore_errors=True)
            partial.rename(folder)
    return folder


def _name(phantoms: PhantomCohort) -> str:
    who = "" if phantoms.annotators == USUAL else f"-{phantoms.annotators}"
    return f"phantom-v{phantoms.version}-seed{phantoms.seed}{who}"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
