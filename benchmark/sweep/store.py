"""Where results live, ``DIR/<generator>/<key>/``; a kill at any instant loses nothing finished.

``spec.json`` comes first, ``result.json`` last and by replacement, so a valid ``result.json`` means
done. A cell is held by its process through ``flock``, which a dead process lets go.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmark.sweep.spec import RunSpec, plain

SPEC, CHARGE, CURVES, SAMPLES = "spec.json", "charge.json", "curves.json", "samples.png"
CHECKPOINT = "checkpoint.safetensors"
GENERATOR, RESULT, ERROR, LOCK = "generator", "result.json", "error.txt", ".lock"


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
        folder = self.folder(spec)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / LOCK).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
            else:
                yield True

    def begin(self, spec: RunSpec) -> Path:
        """Writes the spec of a held cell and forgets an earlier failure."""
        folder = self.folder(spec)
        write_json(folder / SPEC, asdict(spec))
        (folder / ERROR).unlink(missing_ok=True)
        return folder

    def fail(self, spec: RunSpec, reason: str) -> None:
        """Leaves ``error.txt``; the next sweep tries the cell again."""
        self.folder(spec).mkdir(parents=True, exist_ok=True)
        write_text(self.folder(spec) / ERROR, reason)


def read_result(folder: Path) -> dict[str, Any] | None:
    """A folder's result; ``None`` for a missing or damaged one, which is then computed again."""
    result = read_json(folder / RESULT)
    return result if result.get("run_key") == folder.name else None


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; an empty one for a file that is missing or damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_json(path: Path, value: Any) -> None:
    """Writes JSON durably: a reader sees the old file or the new one, never a part."""
    write_text(path, json.dumps(plain(value), indent=1, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a file by a temporary neighbour, synced, then put in place."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
