"""A store whose results are read once: what ends a sweep asks for each of them several times.

Reading a result checks its seal and every field, which takes a few milliseconds. So what was read
is kept, in a temporary file without a name, which ends with the process: in memory ten thousand
results of 40 test patients would take a gigabyte. While cells run, nothing is kept.
"""

from __future__ import annotations

import pickle
import sqlite3
import zlib
from dataclasses import dataclass, field

from benchmark.results.result import Result
from benchmark.results.spec import RunSpec
from benchmark.results.store import Store

NOWHERE = ""
"""SQLite's name of a database in a temporary file, whose memory is bounded."""


class Kept:
    """Results by their keys, in a temporary file of this process alone."""

    def __init__(self) -> None:
        self._file = sqlite3.connect(NOWHERE, check_same_thread=False, isolation_level=None)
        self._file.execute("CREATE TABLE results (key TEXT PRIMARY KEY, result BLOB)")

    def get(self, key: str) -> Result | None:
        """Return the result of a key; ``None`` if it is not kept."""
        found = self._file.execute("SELECT result FROM results WHERE key = ?", (key,)).fetchone()
        if found is None:
            return None
        result: Result = pickle.loads(zlib.decompress(found[0]))  # noqa: S301  (of this process)
        return result

    def put(self, result: Result) -> None:
        """Keep a result."""
        packed = zlib.compress(pickle.dumps(result, pickle.HIGHEST_PROTOCOL), 1)
        self._file.execute("INSERT OR REPLACE INTO results VALUES (?, ?)", (result.run_key, packed))

    def clear(self) -> None:
        """Forget everything."""
        self._file.execute("DELETE FROM results")


@dataclass(frozen=True)
class ReadOnce(Store):
    """A store that keeps the results that it has read, if it is told to.

    A finished result never changes. One that is missing is looked for again each time.
    """

    _kept: Kept = field(default_factory=Kept, compare=False, repr=False)
    _keeps: list[bool] = field(default_factory=lambda: [True], compare=False, repr=False)

    def result(self, spec: RunSpec) -> Result | None:
        """Return the cell's result, as ``Store.result`` does."""
        if (kept := self._kept.get(spec.key)) is not None:
            return kept
        found = super().result(spec)
        if found is not None and self._keeps[0]:
            self._kept.put(found)
        return found

    def keep(self, keeps: bool) -> None:
        """Keep what is read from now on, or forget everything and keep nothing.

        Args:
            keeps: Whether to keep it.
        """
        self._keeps[0] = keeps
        if not keeps:
            self._kept.clear()
