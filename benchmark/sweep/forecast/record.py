"""The seconds that stages took on this machine, in a small file of the cache folder.

It is fed at the end of every cell. Of patients' data it gets what the result has: seconds and MiB
that were rounded up to a power of two. Of those only the largest is kept, as a mean of several
would be finer than each of them. A stage is named by a digest of its sizes and settings
(``work``), and data by digests that are keyed where they are private.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmark.core.files import locked, read_json
from benchmark.results.result import Result
from benchmark.sweep.forecast.work import Work

FILE = "seconds.json"
MOST = 2_000
"""The most entries; the oldest make room."""

REMEMBERED = 20
"""About how many cells count: a machine that got faster is believed after as many."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What was measured of one stage, or of a cell's memory.

    Attributes:
        cells: How many cells were measured.
        mean: Of their seconds, or MiB; of patients' data, the largest.
        square: The mean of their squares.
        coarse: Whether the numbers are coarse.
    """

    cells: int
    mean: float
    square: float
    coarse: bool = False

    @property
    def spread(self) -> float:
        """The standard deviation over cells; of coarse numbers, what rounding may hide."""
        if self.coarse:
            return self.mean / 2
        return math.sqrt(max(0.0, self.square - self.mean**2))

    def with_one(self, value: float, *, coarse: bool) -> Measured:
        """Return what is known with one cell more."""
        cells = self.cells + 1
        if coarse or self.coarse:
            largest = max(self.mean, value)
            return Measured(cells=cells, mean=largest, square=largest**2, coarse=True)
        share = 1 / min(cells, REMEMBERED)
        return replace(
            self,
            cells=cells,
            mean=self.mean + share * (value - self.mean),
            square=self.square + share * (value**2 - self.square),
        )


NOTHING = Measured(cells=0, mean=0.0, square=0.0)


class Record:
    """The measured stages of this machine.

    Args:
        cache: The cache folder.
    """

    def __init__(self, cache: Path) -> None:
        self._file = cache / FILE
        self._known = _read(self._file)

    def of(self, key: str) -> Measured | None:
        """Return what is known of a stage, or of a cell's memory; ``None`` for nothing."""
        return self._known.get(key)


def note(cache: Path, result: Result, works: Iterable[Work], memory: str | None) -> None:
    """Add a cell that has just ended.

    Args:
        cache: The cache folder.
        result: The cell's result.
        works: Its stages.
        memory: The name of its memory; ``None`` if it had no process of its own.
    """
    values = {one.key: s for one in works if (s := result.seconds.get(one.stage)) is not None}
    if memory is not None and result.peak_mib is not None:
        values[memory] = result.peak_mib
    file = cache / FILE
    with locked(file.with_suffix(".lock"), wait=True):
        known = _read(file)
        for key, value in values.items():
            before = known.pop(key, NOTHING)
            known[key] = before.with_one(value, coarse=result.private_data)
        _write(file, dict(list(known.items())[-MOST:]))


def _read(file: Path) -> dict[str, Measured]:
    """What a record holds; entries that make no sense are left out."""
    found = {key: _measured(said) for key, said in read_json(file).items()}
    return {key: one for key, one in found.items() if one is not None}


def _measured(said: Any) -> Measured | None:
    if not isinstance(said, Mapping) or set(said) != {"cells", "mean", "square", "coarse"}:
        return None
    numbers = [said[name] for name in ("cells", "mean", "square")]
    sound: Callable[[Any], bool] = lambda n: type(n) in (int, float) and 0 <= n < math.inf  # noqa: E731
    if not (all(map(sound, numbers)) and isinstance(said["coarse"], bool)):
        return None
    return Measured(**{**said, "cells": int(said["cells"])})


def _write(file: Path, known: Mapping[str, Measured]) -> None:
    """Whole or not at all, and without a sync: it can be measured again."""
    temporary = file.with_suffix(".new")
    temporary.write_text(json.dumps({key: vars(one) for key, one in known.items()}))
    temporary.replace(file)
