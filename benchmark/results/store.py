"""Where results live, ``DIR/<generator>/<key>/``; a kill at any instant loses nothing finished.

``spec.json`` comes first, ``result.json`` last and by replacement, so a valid ``result.json`` means
done. A cell is held by its process through ``flock``, which a dead process lets go.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmark.core.addresses import folder_name
from benchmark.core.errors import DataError, UsageError
from benchmark.core.files import held, write_json, write_text
from benchmark.results.result import Result
from benchmark.results.spec import RunSpec

SPEC, CHARGE, CURVES, SAMPLES = "spec.json", "charge.json", "curves.json", "samples.png"
NEIGHBOURS = "neighbours.png"
CHECKPOINT = "checkpoint.safetensors"
GENERATOR, RESULT, ERROR = "generator", "result.json", "error.txt"


@dataclass(frozen=True)
class Store:
    """Result files below one folder."""

    root: Path

    def folder(self, spec: RunSpec) -> Path:
        """The cell's folder, which may not exist yet."""
        return self.root / folder_name(spec.generator.name) / spec.key

    def result(self, spec: RunSpec) -> Result | None:
        """The cell's result, if it is done."""
        return read_result(self.folder(spec))

    def error(self, spec: RunSpec) -> str | None:
        """Why the cell failed, if it did."""
        file = self.folder(spec) / ERROR
        return file.read_text(encoding="utf-8") if file.exists() else None

    @contextmanager
    def held(self, spec: RunSpec, *, wait: bool = False) -> Iterator[bool]:
        """Holds the cell; yields False where another live process does and ``wait`` is False."""
        with held(self.folder(spec), wait=wait) as mine:
            yield mine

    def begin(self, spec: RunSpec) -> Path:
        """Writes the spec of a cell and forgets an earlier failure."""
        folder = self.folder(spec)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / SPEC, spec.as_dict())
        (folder / ERROR).unlink(missing_ok=True)
        return folder

    def fail(self, spec: RunSpec, reason: str) -> None:
        """Leaves ``error.txt`` beside the spec, so that the cell is counted, and tried again."""
        write_text(self.begin(spec) / ERROR, reason)


def find(run: str, out: Path) -> Path:
    """The folder of a finished run, by its path or its key.

    Raises:
        UsageError: If there is none.
    """
    return found(run, out)[0]


def found(run: str, out: Path) -> tuple[Path, Result]:
    """A finished run's folder and result, by its path or its key.

    Raises:
        UsageError: If there is none.
        DataError: If its result is damaged.
    """
    folders = [Path(run), *out.glob(f"*/{run}")] if "/" not in run else [Path(run)]
    for folder in (folder.resolve() for folder in folders):
        if (result := read_result(folder)) is not None:
            return folder, result
    known = ", ".join(sorted(file.parent.name for file in out.glob(f"*/*/{RESULT}"))) or "none"
    raise UsageError(f"{run}: there is no finished run of this name; {out} has: {known}.")


def read_result(folder: Path) -> Result | None:
    """A cell's result; ``None`` where there is none.

    Raises:
        DataError: If what is there is no result, or another cell's.
    """
    file = folder / RESULT
    try:
        result = Result.read(json.loads(file.read_text(encoding="utf-8")))
        if result.run_key != folder.name:
            raise ValueError(f"it is of the run {result.run_key}")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"{file}: this is not the result that the suite wrote ({error}); restore it, or remove "
            "the file to compute the cell again, which costs its patients again."
        ) from error
    return result


def write_result(folder: Path, result: Result) -> None:
    """Writes a cell's result; from then on the cell is done."""
    write_json(folder / RESULT, result.as_dict())
