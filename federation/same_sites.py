"""The sites of a run. What a folder has of a run belongs to the sites that took part in it.

A run's key is a digest of its job, and the job names no sites. So the same command over other sites
finds the earlier run's folder, whose model never saw their patients.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmark.core.errors import UsageError
from benchmark.core.files import read_json, write_json
from federation.finished import Finished, is_done

SITES = "sites.json"
"""The sites of a run that has not ended: each one's number of patients, by its name."""

Sites = Mapping[str, int]
"""Numbers of patients by the site's name."""


def note_sites(folder: Path, here: Sites) -> None:
    """Note the sites of a run durably, before its first round.

    Args:
        folder: The run's folder.
        here: The sites that were greeted.
    """
    write_json(folder / SITES, here)


def check_same_sites(folder: Path, here: Sites, *, goes_on: bool) -> None:
    """Refuse sites other than those of the run that a folder has, finished or stopped.

    A checkpoint beside which no sites were noted, of an earlier version, is not compared.

    Args:
        folder: The run's folder.
        here: The sites that were greeted.
        goes_on: Whether the folder has a checkpoint from which the run would go on.

    Raises:
        UsageError: Naming the folder and what differs.
        DataError: If the folder's result is damaged.
    """
    before: Sites = {}
    if is_done(folder):
        before = {one.site: one.patients for one in Finished.read(folder).sites}
    elif goes_on:
        before = read_json(folder / SITES)
    if before and before != here:
        state = "ended" if is_done(folder) else "stopped"
        raise UsageError(
            f"out={folder.parent}: the run {folder.name} {state} there with other sites "
            f"({', '.join(_differences(before, here))}); name another OUT folder for the sites "
            "that are here now, or start those of that run."
        )


def _differences(before: Sites, here: Sites) -> Iterator[str]:
    for site in sorted({*before, *here}):
        if site not in before:
            yield f"{site} is new"
        elif site not in here:
            yield f"{site} is missing"
        elif before[site] != here[site]:
            yield f"{site} has {here[site]} patients and had {before[site]}"
