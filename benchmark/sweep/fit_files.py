"""The files of a kept fit: what of them a cell's own folder gets, and the generator in them."""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmark.core.designs import federated
from benchmark.core.errors import DataError
from benchmark.core.files import read_json, replacing, sync_file, write_json
from benchmark.core.generator import Generator
from benchmark.core.parsers import json_in
from benchmark.results.kept_fit import ROUNDS
from benchmark.results.spec import RunSpec
from benchmark.results.store import CANARIES, CHARGE, CURVES, GENERATOR

NOTES = "sites/*/*.txt"
"""What a site noted of its patients, or of why it failed."""


def deliver(fit: Path, cell: Path, spec: RunSpec) -> None:
    """Copy the charge of a fit, and what was seen of it, into the folder of a cell.

    Args:
        fit: The fit's folder.
        cell: The cell's folder.
        spec: The cell.
    """
    (cell / CHARGE).unlink(missing_ok=True)
    if (fit / CHARGE).exists():
        _copy(fit / CHARGE, cell / CHARGE)
    (cell / CANARIES).unlink(missing_ok=True)
    if (fit / CANARIES).exists():
        write_json(cell / CANARIES, {**read_json(fit / CANARIES), "run": spec.key})
    deliver_notes(fit, cell)


def deliver_notes(fit: Path, cell: Path) -> None:
    """Copy what sites noted, and how rounds looked, also of a fit that failed.

    Args:
        fit: The fit's folder.
        cell: The cell's folder.
    """
    for file in (*fit.glob(f"{ROUNDS}/*"), *fit.glob(NOTES)):
        into = cell / file.relative_to(fit)
        into.parent.mkdir(parents=True, exist_ok=True)
        _copy(file, into)


def keep_generator(fit: Path, cell: Path) -> None:
    """Copy the generator of a fit into the folder of a cell, in the place of an earlier one.

    Args:
        fit: The fit's folder.
        cell: The cell's folder.
    """
    shutil.copytree(fit / GENERATOR, emptied(cell / GENERATOR), dirs_exist_ok=True)


def emptied(folder: Path) -> Path:
    """Make a folder, or remove all that is in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def curves_in(fit: Path) -> list[tuple[str, int, float]]:
    """Return the training curves of a fit, as name, step and value."""
    points = json_in(fit / CURVES)
    return [(str(name), int(step), float(value)) for name, step, value in points]


def generator_in(folder: Path, kind: type[Generator], design: str = "") -> Generator:
    """Load the generator below a folder. It draws what the saved one drew.

    Args:
        folder: The folder of a run, of a fit or of a deployed federation. It may come from anybody.
        kind: The generator's class.
        design: The design by which sites trained it; empty if they did not.

    Raises:
        DataError: If it cannot be loaded.
        MemoryError: If there is not enough.
    """
    try:
        trained = federated(kind, design) if design else kind
        found: Generator = trained.load(folder / GENERATOR)
    except MemoryError:
        raise
    except (Exception, SystemExit) as error:  # a plug-in may raise anything
        if "allocate memory" in str(error):
            raise MemoryError(str(error)) from error
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise DataError(
            f"{folder / GENERATOR}: {kind.name} version {kind.version} cannot load this "
            f"({reason}); ask whoever made it for the folder anew."
        ) from error
    return found


def _copy(file: Path, into: Path) -> None:
    with replacing(into) as temporary:
        shutil.copyfile(file, temporary)
        sync_file(temporary)
