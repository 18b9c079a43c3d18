"""Where results live, ``DIR/<generator>/<key>/``; a kill at any instant loses nothing finished.

``spec.json`` comes first, ``result.json`` last and by replacement, so a valid ``result.json`` means
done. A cell is held by its process through ``flock``, which a dead process lets go.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.core.errors import UsageError
from benchmark.core.files import held, read_json, write_json, write_text
from benchmark.sweep.result_form import carried_over
from benchmark.sweep.spec import RunSpec

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
        return self.root / spec.generator.name / spec.key

    def result(self, spec: RunSpec) -> dict[str, Any] | None:
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
    folders = [Path(run), *out.glob(f"*/{run}")] if "/" not in run else [Path(run)]
    found = next((folder for folder in folders if read_result(folder.resolve())), None)
    if found is None:
        known = sorted(file.parent.name for file in out.glob(f"*/*/{RESULT}"))
        has = ", ".join(known) or "none"
        raise UsageError(f"{run}: there is no finished run of this name; {out} has: {has}.")
    return found.resolve()


def read_result(folder: Path) -> dict[str, Any] | None:
    """A folder's result; ``None`` for a missing or damaged one, which is then computed again."""
    result = read_json(folder / RESULT)
    return carried_over(result) if result.get("run_key") == folder.name else None
