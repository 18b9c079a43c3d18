"""The cells of a board, from a store of runs or from published result files."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from benchmark.core.addresses import folder_name
from benchmark.core.errors import DataError, UsageError
from benchmark.core.files import read_json
from benchmark.core.parsers import json_in
from benchmark.core.sums import sum_of_folder
from benchmark.results.result import Result
from benchmark.results.spec import RunSpec, spec_from
from benchmark.results.store import (
    AUDIT,
    CANARIES,
    CURVES,
    ERROR,
    GENERATOR,
    NEIGHBOURS,
    SAMPLES,
    SPEC,
    Store,
    check_files,
    read_result,
)
from benchmark.results.summary import SUMMARY
from leaderboard.lazily import Files, Lazily
from leaderboard.published import Published, Verdict
from leaderboard.replays import Replay, replayed

Status = Literal["done", "failed", "missing", "withheld"]
Check = Callable[[Published], Verdict]
Curves = Mapping[str, Sequence[tuple[int, float]]]
PICTURES = {"samples": SAMPLES, "neighbours": NEIGHBOURS}
OUTDATED = "Computed by an earlier version of the suite, whose results mean something else."
WAYS = {"canaries": "canaries planted in it", "membership": "membership inference"}
POINTS = 60
"""About how many points of a curve are kept."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One cell.

    Attributes:
        spec: The cell's spec.
        status: ``done``, ``failed``, ``missing``, or ``withheld``: done, but not to be shown.
        result: Its result, if it is done.
        reason: Why it failed, or is withheld, in one line.
        curves: The training curves, thinned.
        pictures: PNG files by their names in ``PICTURES``.
        verdict: The verdict on its published file; ``None`` if it was computed here.
        audit: What an audit of its generator, settings, unit and ε proves; empty without one.
        replay: The comparison with the same cell computed here; ``None`` without one.
    """

    spec: RunSpec
    status: Status
    result: Result | None = None
    reason: str = ""
    curves: Curves = field(default_factory=dict)
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    verdict: Verdict | None = None
    audit: str = ""
    replay: Replay | None = None

    @property
    def told(self) -> Result:
        """The result of a finished cell.

        Raises:
            LookupError: If it is not done.
        """
        if self.result is None:
            raise LookupError(f"{self.spec.generator.name} {self.spec.key} has no result.")
        return self.result

    @property
    def faults(self) -> Sequence[str]:
        """The faults of a published cell whose numbers do not add up."""
        return self.verdict.faults if self.verdict else ()


def entries_of(paths: Sequence[Path], check: Check | None = None) -> list[Entry]:
    """Read the cells in stores, in cells' own folders and in published files, each key once.

    For each key, a finished cell is preferred, then one that adds up, then one computed here. If a
    published cell and one computed here are the same, the published one is kept and marked as
    replayed. If they differ, the one computed here is kept. The comparison is made here; a file
    cannot claim it.

    Args:
        paths: Where to look.
        check: Judges published files; ``None`` to believe them.

    Raises:
        DataError: For a published file that breaks its schema.
        UsageError: If a path has no cells.
    """
    found: dict[str, Entry] = {}
    for path in paths:
        for entry in _checked(path, check):
            before = found.get(entry.spec.key)
            if before is not None and (pair := _published_and_here(before, entry)):
                found[entry.spec.key] = with_replay(*pair)
            elif before is None or _rank(entry) > _rank(before):
                found[entry.spec.key] = entry
    return list(found.values())


def _published_and_here(one: Entry, other: Entry) -> tuple[Entry, Entry] | None:
    """Of two finished cells the one that was published and adds up, and that computed here."""
    if any(entry.status != "done" or entry.faults for entry in (one, other)):
        return None
    if (one.verdict is None) == (other.verdict is None):
        return None
    return (other, one) if one.verdict is None else (one, other)


def _rank(entry: Entry) -> tuple[bool, bool, bool]:
    return entry.status == "done", not entry.faults, entry.verdict is None


def with_replay(told: Entry, here: Entry) -> Entry:
    """Compare a published cell with the same cell computed here, and return one of them.

    The published one is returned if they are the same, otherwise the one computed here.
    """
    found = replayed(told.told, here.told)
    return replace(told if found.is_same else here, replay=found)


def entries_of_sweep(folder: Path, store: Store | None = None) -> list[Entry]:
    """Read the cells of the last sweep in a store, as its summary names them.

    Args:
        folder: The store's folder.
        store: Reads the results; ``None`` to read the files.

    Raises:
        DataError: If the summary is damaged, or a result is.
    """
    file = folder / SUMMARY
    try:
        with file.open(encoding="utf-8") as lines:
            cells = {(row["generator"], row["run_key"]): None for row in csv.DictReader(lines)}
    except (UnicodeDecodeError, csv.Error, KeyError) as error:
        raise DataError(
            f"{file}: this is no summary of a sweep ({error!r:.80}); the same `bench run` writes "
            "it anew."
        ) from error
    found = (
        entry_of(folder / folder_name(generator) / folder_name(key), store)
        for generator, key in cells
    )
    return [*_whole(found)]


def _checked(path: Path, check: Check | None) -> list[Entry]:
    entries = [*_entries(path, check)]
    if not entries:
        raise UsageError(
            f"{path}: no result is here; give a folder of `bench run`, a cell's own folder, or a "
            "file of `bench leaderboard submit`."
        )
    return entries


def _entries(path: Path, check: Check | None) -> Iterator[Entry]:
    if path.is_file():
        yield _published(path, check)
    elif (path / SPEC).is_file():
        yield from _whole([entry_of(path)])
    else:
        yield from (_published(file, check) for file in sorted(path.glob("*.json")))
        yield from _whole(entry_of(file.parent) for file in sorted(path.glob(f"*/*/{SPEC}")))


def _whole(entries: Iterable[Entry | None]) -> Iterator[Entry]:
    return (entry for entry in entries if entry is not None)


def entry_of(folder: Path, store: Store | None = None) -> Entry | None:
    """Read the cell in a store's folder.

    Args:
        folder: The cell's folder.
        store: Reads the result, if it is not to be read from the folder again.

    Returns:
        The cell; ``None`` if a kill left no complete spec there.

    Raises:
        DataError: If its result is damaged, or was edited.
    """
    try:
        spec = spec_from(read_json(folder / SPEC))
    except ValueError:
        return None
    result = store.result(spec) if store and spec.key == folder.name else read_result(folder)
    if result is not None and result.run_key != spec.key:
        return Entry(spec=spec, status="failed", reason=OUTDATED)
    if result is not None:
        check_files(folder)
        files = {name: folder / file for name, file in PICTURES.items()}
        return Entry(
            spec=spec,
            status="done",
            result=result,
            curves=Lazily(lambda: thinned(_points(folder / CURVES))),
            pictures=Files({name: file for name, file in files.items() if file.is_file()}),
            audit=_audit_of(folder, result),
        )
    error = folder / ERROR
    if error.is_file():
        last = error.read_text(encoding="utf-8").strip().splitlines()[-1:]
        return Entry(spec=spec, status="failed", reason="".join(last))
    return Entry(spec=spec, status="missing")


def _audit_of(folder: Path, result: Result) -> str:
    """What the audits of this very fit say, without a figure; empty without any."""
    if not any((folder / name).exists() for name in (CANARIES, AUDIT)):
        return ""
    from benchmark.audit.own_fit import planted_audit, sampled_audit

    tried = (
        planted_audit(folder, result.spec.canaries),
        sampled_audit(folder, sum_of_folder(folder / GENERATOR)),
    )
    found = [one for one in tried if one is not None]
    if not found or any(one.refutes(result.guarantee) for one in found):
        return ""
    by = " and ".join(WAYS[one.method] for one in found)
    return f"This very fit was attacked by {by}, which did not refute its claim."


def _published(file: Path, check: Check | None) -> Entry:
    one = Published.read(file)
    return Entry(
        spec=one.spec,
        status="done",
        result=one.result,
        curves=one.curves,
        pictures=one.pictures,
        verdict=check(one) if check else None,
    )


def _points(file: Path) -> list[tuple[str, int, float]]:
    try:
        return [(str(n), int(s), float(v)) for n, s, v in json_in(file)]
    except (OSError, ValueError, TypeError):
        return []


def thinned(points: Sequence[tuple[str, int, float]]) -> Curves:
    """Thin curves to few points each, the last among them, and round values to four digits.

    Args:
        points: Name, step and value.

    Returns:
        Steps and values by name.
    """
    curves: dict[str, list[tuple[int, float]]] = {}
    for name, step, value in points:
        curves.setdefault(name, []).append((step, float(f"{value:.4g}")))
    return {name: _some(curve) for name, curve in curves.items()}


def _some(curve: list[tuple[int, float]]) -> list[tuple[int, float]]:
    stride = -(-len(curve) // POINTS)
    return curve[:: stride or 1] + ([curve[-1]] if stride > 1 else [])
