"""Checks of whether a machine is ready for a sweep."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sqlite3
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, packages_distributions, requires, version
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement

from benchmark.core.errors import UsageError
from benchmark.core.folders import (
    LEDGER,
    cache_folder,
    check_writable,
    state_folder,
)
from benchmark.metrics import weights
from benchmark.privacy.ledger.chain import LedgerError
from benchmark.privacy.ledger.ledger import ledger_in
from benchmark.sweep.tracking.mlflow_runs import DATABASE

DISTRIBUTION = "angiobench"
PACKAGES = ("angiobench", "benchmark", "federation", "generators", "segmenters", "leaderboard")
SWEEP_GIB, DISK_GIB = 4.0, 2.0
GIB = 2**30


class Finding(NamedTuple):
    """The result of one check.

    Attributes:
        what: The subject of the check.
        healthy: Whether it is in order; ``None`` for something worth knowing.
        sentence: The finding, and what to do.
    """

    what: str
    healthy: bool | None
    sentence: str


def examine(out: Path) -> list[Finding]:
    """Make all checks, in the order in which a user would fix what they find.

    Args:
        out: The folder of results.
    """
    return [
        *_versions(),
        _owner(),
        _threads(),
        _memory(),
        _disk("results", out),
        _disk("cache", cache_folder()),
        _inception(),
        _store(out),
        _ledger(),
        _gpu(),
    ]


def _versions() -> Iterator[Finding]:
    """One finding, or one for each requirement that is not met."""
    unmet = []
    for line in requires(DISTRIBUTION) or ():
        wanted = Requirement(line)
        if wanted.marker and not wanted.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(wanted.name)
        except PackageNotFoundError:
            found = "nothing"
        if found == "nothing" or not wanted.specifier.contains(found, prereleases=True):
            unmet.append(f"{wanted.name}{wanted.specifier} is needed, {found} is installed")
    for sentence in unmet:
        yield Finding("versions", False, f"{sentence}; `make env` installs what fits.")
    if not unmet:
        yield Finding(
            "versions", True, f"{DISTRIBUTION} {version(DISTRIBUTION)} and what it needs."
        )


def _owner() -> Finding:
    """Other distributions install packages of such names too."""
    owners = packages_distributions()
    homes = set()
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            return Finding(
                "packages", False, f"{package} is missing; install {DISTRIBUTION} again."
            )
        homes.add(Path(spec.origin).parents[1])
        others = set(owners.get(package, [])) - {DISTRIBUTION}
        if others:
            who = ", ".join(sorted(others))
            return Finding("packages", False, f"{package} is also {who}'s; uninstall that.")
    if len(homes) > 1:
        where = ", ".join(sorted(str(home) for home in homes))
        return Finding("packages", False, f"they lie in several places ({where}); keep one.")
    return Finding("packages", True, f"all in {homes.pop()}.")


def _threads() -> Finding:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Finding("cores", True, f"{cores}; so many cells run at a time, one thread each.")


def _memory() -> Finding:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    enough = total >= SWEEP_GIB
    advice = "." if enough else f"; a sweep takes up to {SWEEP_GIB:g}: use --jobs 1."
    return Finding("memory", enough or None, f"{total:.1f} GiB{advice}")


def _disk(what: str, folder: Path) -> Finding:
    try:
        check_writable(folder)
    except UsageError as error:
        return Finding(what, False, str(error))
    there = next(
        place for place in (folder.absolute(), *folder.absolute().parents) if place.exists()
    )
    free = shutil.disk_usage(there).free / GIB
    advice = "." if free >= DISK_GIB else f"; make room, a sweep may take {DISK_GIB:g}."
    return Finding(what, free >= DISK_GIB, f"{folder}, {free:.1f} GiB free{advice}")


def _inception() -> Finding:
    found = weights.find(None, cache_folder())
    if found is None:
        return Finding("FID", None, weights.missing_reason())
    return Finding("FID", True, f"Inception weights in {found}.")


def _store(out: Path) -> Finding:
    file = out / DATABASE
    if not file.exists():
        return Finding("MLflow", None, f"no store in {out} yet; `bench run` makes it.")
    try:
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as store:
            sound = store.execute("PRAGMA quick_check").fetchone()[0] == "ok"
    except sqlite3.Error:
        sound = False
    advice = "is sound." if sound else "is damaged; delete it, the next `bench run` rebuilds it."
    return Finding("MLflow", sound, f"{file} {advice}")


def _ledger() -> Finding:
    state = state_folder()
    if not (state / LEDGER).exists():
        return Finding("ledger", None, f"no entry in {state} yet; the first fit makes one.")
    try:
        count = ledger_in(state).verify()
    except (LedgerError, UsageError) as error:
        return Finding("ledger", False, f"{error} Restore it from a copy before you fit again.")
    return Finding("ledger", True, f"{state / LEDGER}, {count} entries, none changed.")


def _gpu() -> Finding:
    import torch

    if not torch.cuda.is_available():
        return Finding("GPU", None, "none; the preset `quick` is made for that.")
    return Finding("GPU", True, f"{torch.cuda.get_device_name()}; use it with --device cuda.")
