"""The store of results, ``DIR/<generator>/<key>/``. A kill at any time loses nothing finished.

``spec.json`` is written first and ``result.json`` last, by replacement. So a valid ``result.json``
means that the cell is done. A process locks its cell with ``flock``, which ends with the process.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.core.addresses import folder_name
from benchmark.core.errors import DataError, UsageError
from benchmark.core.files import held, plain, read_json, write_json, write_text
from benchmark.core.parsers import json_in
from benchmark.core.sums import sum_of
from benchmark.results.result import Result
from benchmark.results.spec import RunSpec

SPEC, CHARGE, CURVES, SAMPLES = "spec.json", "charge.json", "curves.json", "samples.png"
NEIGHBOURS = "neighbours.png"
CHECKPOINT = "checkpoint.safetensors"
GENERATOR, RESULT, ERROR = "generator", "result.json", "error.txt"
CANARIES, AUDIT = "canaries.json", "audit.json"
SEALED = (SPEC, CHARGE, CURVES, SAMPLES, NEIGHBOURS, CANARIES)
REPLIES = "sites/*/reply.safetensors"
TORN_REPLIES = "sites/*/.reply.safetensors.*"
SEAL = "seal"
"""What a result file says of itself and of the files beside it, by digest."""


@dataclass(frozen=True)
class Store:
    """The result files below one folder.

    Attributes:
        root: The folder.
    """

    root: Path

    def folder(self, spec: RunSpec) -> Path:
        """The cell's folder, which may not exist yet."""
        return self.root / folder_name(spec.generator.name) / spec.key

    def result(self, spec: RunSpec) -> Result | None:
        """Return the cell's result; ``None`` if it is not done.

        Raises:
            DataError: If the result's file is damaged.
        """
        return read_result(self.folder(spec))

    def error(self, spec: RunSpec) -> str | None:
        """Return why the cell failed; ``None`` if it did not."""
        file = self.folder(spec) / ERROR
        return file.read_text(encoding="utf-8") if file.exists() else None

    @contextmanager
    def held(self, spec: RunSpec, *, wait: bool = False) -> Iterator[bool]:
        """Lock the cell.

        Yields:
            True if it is locked; False if another process holds it and ``wait`` is False.
        """
        with held(self.folder(spec), wait=wait) as mine:
            yield mine

    def begin(self, spec: RunSpec) -> Path:
        """Write the spec of a cell, and delete an earlier failure and an earlier fit's audit.

        Returns:
            The cell's folder, which is made if it is missing.
        """
        folder = self.folder(spec)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / SPEC, spec.as_dict())
        for name in (ERROR, AUDIT):  # of another fit
            (folder / name).unlink(missing_ok=True)
        return folder

    def fail(self, spec: RunSpec, reason: str) -> None:
        """Record in ``error.txt`` that a cell failed, so that it is counted and tried again."""
        write_text(self.begin(spec) / ERROR, reason)


def forget(folder: Path) -> None:
    """Remove what a finished fit went on from: it holds critics that saw patients.

    Args:
        folder: The folder in which the fit ran.
    """
    torn = [*folder.glob(f".{CHECKPOINT}.*"), *folder.glob(TORN_REPLIES)]  # a kill while written
    for file in (folder / CHECKPOINT, *torn, *folder.glob(REPLIES)):
        file.unlink(missing_ok=True)


def find(run: str, out: Path) -> Path:
    """Find the folder of a finished run by its path or its key.

    Args:
        run: The path or the key.
        out: The store's folder.

    Raises:
        UsageError: If there is none.
    """
    return found(run, out)[0]


def found(run: str, out: Path) -> tuple[Path, Result]:
    """Find the folder and the result of a finished run by its path, its key or its generator.

    Args:
        run: The path; the key; or the name of a generator that has one finished run.
        out: The store's folder.

    Raises:
        UsageError: If there is none.
        DataError: If its result is damaged.
    """
    folders = [Path(run)]
    if "/" not in run:
        folders += [*out.glob(f"*/{run}"), *_only_one(out / folder_name(run))]
    for folder in (folder.resolve() for folder in folders):
        if (result := read_result(folder)) is not None:
            return folder, result
    known = ", ".join(sorted(file.parent.name for file in out.glob(f"*/*/{RESULT}"))) or "none"
    raise UsageError(f"{run}: there is no finished run of this name; {out} has: {known}.")


def _only_one(generator: Path) -> list[Path]:
    """The folder of a generator's only finished run; nothing where there are several."""
    folders = [file.parent for file in generator.glob(f"*/{RESULT}")]
    return folders if len(folders) == 1 else []


def read_result(folder: Path) -> Result | None:
    """Read the result in a cell's folder.

    Returns:
        The result; ``None`` if there is none.

    Raises:
        DataError: If the file is not a result, or is another cell's.
    """
    file = folder / RESULT
    try:
        said = json_in(file)
        seal = said.pop(SEAL, None) if isinstance(said, dict) else None
        if seal is not None and seal.get("result") != digest_of(said):
            raise ValueError("it was changed after it was written")
        result = Result.read(said)
        if result.run_key != folder.name:
            raise ValueError(f"it is of the run {result.run_key}")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise DataError(
            f"{file}: this is not the result that the suite wrote ({error}); restore it, or remove "
            "the file to compute the cell again, which costs its patients again if its fit was not "
            "kept."
        ) from error
    return result


def write_result(folder: Path, result: Result) -> None:
    """Writes a cell's result, sealed with what lies beside it; from then on the cell is done.

    The seal is for whoever reads the folder later: it finds a damaged disk and an edited number. It
    is no signature, as whoever edits on purpose can make it anew.
    """
    said = plain(result.as_dict())
    files = {str(file.relative_to(folder)): sum_of(file) for file in _sealed(folder)}
    write_json(folder / RESULT, {**said, SEAL: {"result": digest_of(said), "files": files}})


def check_files(folder: Path, *, below: str = "") -> None:
    """Refuse a finished cell with a file that is not the one it wrote.

    A file that is gone is no fault: not everybody gets all of them.

    Args:
        folder: The cell's folder.
        below: Look at what lies in this folder of it alone; empty for all.

    Raises:
        DataError: Naming the file; results of earlier versions say nothing of their files.
    """
    seal = read_json(folder / RESULT).get(SEAL)
    files = seal.get("files") if isinstance(seal, dict) else None
    for name, expected in (files if isinstance(files, dict) else {}).items():
        file = folder / name
        if name.startswith(below) and file.is_file() and sum_of(file) != expected:
            raise DataError(f"{file}: this is not what the run wrote; put it back from a copy.")


def digest_of(said: Any) -> str:
    """SHA-256 of what JSON can hold, whatever the order of its names."""
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _sealed(folder: Path) -> list[Path]:
    """What a finished cell leaves beside its result."""
    beside = [folder / name for name in SEALED if (folder / name).is_file()]
    return [*beside, *sorted(file for file in (folder / GENERATOR).glob("*") if file.is_file())]
