"""An append-only file of entries. Each is chained to the one before it, so that changes are found.

The chain is a keyed hash. With this machine's secret, every changed, removed or inserted entry is
found. A whole file that is replaced by an older copy of itself is not found.

The file is created together with its first entry, in one step. So a file without an entry, or
without a table, was emptied or cut off, and is never taken for a new one.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.core.errors import BenchError
from benchmark.core.files import held, sync_folder

PATIENCE_S = 60.0
_SCHEMA = """
BEGIN;
CREATE TABLE entries (number INTEGER PRIMARY KEY, entry TEXT NOT NULL,
                                    hash TEXT NOT NULL);
CREATE TABLE spending (patient TEXT NOT NULL, number INTEGER NOT NULL);
CREATE TABLE head (only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
                                 number INTEGER NOT NULL, hash TEXT NOT NULL, seal TEXT NOT NULL);
CREATE INDEX by_patient ON spending (patient);
CREATE TRIGGER no_change BEFORE UPDATE ON entries
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER no_removal BEFORE DELETE ON entries
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
COMMIT;
"""


class LedgerError(BenchError):
    """The ledger cannot be read, or was changed."""


class ChangedError(LedgerError):
    """The ledger can be read, but something in it was changed, removed or inserted."""


class Entry(NamedTuple):
    """An entry: its number from 1 on, the time in UTC, its content, and its hash in the chain."""

    number: int
    time: str
    said: Mapping[str, Any]
    hash: str = ""


_OF_KIND = """
SELECT number, entry, hash FROM entries
WHERE json_extract(entry, '$.kind') = ?
OR json_type(entry, '$.kind') IS NOT 'text' OR json_type(entry, '$.time') IS NOT 'text'
ORDER BY number
"""


class Head(NamedTuple):
    """The last entry's number and hash, with a seal that shows whether they were moved back."""

    number: int = 0
    hash: str = ""
    seal: str = ""


class Chain:
    """The entries in one sqlite file.

    Args:
        path: The file; made at the first entry, with a note beside it that there is one.
        secret: The key of the chain.

    Raises:
        LedgerError: From every method, for a file that cannot be read, or is gone.
    """

    def __init__(self, path: Path, secret: bytes) -> None:
        self._path, self._secret = path, secret
        self._begun = path.with_suffix(".begun")
        self._new = path.with_name(f".{path.name}.new")

    @contextmanager
    def reading(self) -> Iterator[Pages]:
        """Open the entries for reading, in one transaction.

        If nothing was ever written, there are none.

        Yields:
            The entries at this time.
        """
        with self._told(), closing(self._open() if self._is_there() else _blank()) as file:
            file.execute("BEGIN")
            yield Pages(file, self._secret, self._path)

    @contextmanager
    def writing(self) -> Iterator[Pages]:
        """Open the entries for writing, in one transaction that excludes other writers.

        It is durable at the end, and undone on an error.

        Yields:
            The entries at this time.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._told(), ExitStack() as stack:
            if not self._is_there():
                stack.enter_context(held(self._path.parent, wait=True))
            first = not self._is_there()  # asked again: another process may have been before us
            file = stack.enter_context(closing(self._make() if first else self._open()))
            file.execute("BEGIN IMMEDIATE")
            try:
                yield Pages(file, self._secret, self._path)
            except BaseException:
                file.execute("ROLLBACK")
                raise
            file.execute("COMMIT")
            if first:
                self._put(file)
            if not self._begun.exists() and self._path.exists():
                self._begun.touch(mode=0o600)
                sync_folder(self._path.parent)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Whatever sqlite, the disk or an entry that makes no sense has to say, in one sentence."""
        try:
            yield
        except (
            *(sqlite3.Error, OSError, json.JSONDecodeError),
            *(AttributeError, KeyError, TypeError, RecursionError),
        ) as error:
            raise LedgerError(
                f"{self._path}: the ledger cannot be used ({error}); put it back from a copy."
            ) from error

    def _is_there(self) -> bool:
        """Whether there is a file, of whatever kind; it is looked for after the note beside it."""
        begun, there = self._begun.exists(), os.path.lexists(self._path)
        if begun and not there:
            raise LedgerError(
                f"{self._path}: the ledger is gone, and with it what patients have paid; put it "
                f"back from a copy, or remove {self._begun.name} to begin at 0."
            )
        return there

    def _open(self) -> sqlite3.Connection:
        where = f"{self._path.absolute().as_uri()}?mode=rw"  # makes no file where there is none
        file = sqlite3.connect(where, timeout=PATIENCE_S, isolation_level=None, uri=True)
        try:
            file.execute("PRAGMA synchronous = EXTRA")
            if not _has_entries(file):
                raise LedgerError(
                    f"{self._path}: the ledger has no entry, so it was emptied or cut off, and "
                    "what patients have paid was removed; put it back from a copy, or remove it "
                    f"and {self._begun.name} to begin at 0."
                )
        except BaseException:
            file.close()
            raise
        return file

    def _make(self) -> sqlite3.Connection:
        """A file beside the ledger's place, to be put there once it has an entry."""
        for rest in (self._new, self._new.with_name(f"{self._new.name}-journal")):
            rest.unlink(missing_ok=True)  # of a process that was killed
        self._new.touch(mode=0o600)
        return _blank(self._new)

    def _put(self, file: sqlite3.Connection) -> None:
        if _has_entries(file):
            os.link(self._new, self._path)
        self._new.unlink()


def _blank(place: Path | str = ":memory:") -> sqlite3.Connection:
    """A file with tables and no entry."""
    file = sqlite3.connect(place, timeout=PATIENCE_S, isolation_level=None)
    file.execute("PRAGMA synchronous = EXTRA")
    file.executescript(_SCHEMA)
    return file


def _has_entries(file: sqlite3.Connection) -> bool:
    """Whether there are tables, an entry and an end of the chain."""
    tables = {name for (name,) in file.execute("SELECT name FROM sqlite_master")}
    return {"entries", "spending", "head"} <= tables and bool(
        file.execute("SELECT 1 FROM entries, head LIMIT 1").fetchone()
    )


class Pages:
    """The entries of a chain, inside one transaction."""

    def __init__(self, file: sqlite3.Connection, secret: bytes, path: Path) -> None:
        self._file, self._secret, self._path = file, secret, path

    def entries(self) -> list[Entry]:
        """Return every entry, oldest first."""
        return [_entry(number, text, found) for number, text, found in self._rows()]

    def of_kind(self, kind: str) -> list[Entry]:
        """Return the entries of one kind, oldest first, without those of others being made.

        An entry that has no kind or time makes no sense, and stops this as it stops ``entries``.
        """
        rows = self._file.execute(_OF_KIND, (kind,))
        found = [_entry(number, text, hashed) for number, text, hashed in rows]
        return [entry for entry in found if entry.said["kind"] == kind]

    def numbers_of(self, patient: str) -> list[int]:
        """Return the numbers of the entries that name a patient, oldest first."""
        found = self._file.execute(
            "SELECT number FROM spending WHERE patient = ? ORDER BY number", (patient,)
        )
        return [number for (number,) in found]

    def patients(self) -> list[str]:
        """Return every patient that some entry names."""
        found = self._file.execute("SELECT DISTINCT patient FROM spending")
        return [patient for (patient,) in found]

    def head(self) -> Head:
        """Return the end of the chain."""
        return Head(*self._file.execute("SELECT number, hash, seal FROM head").fetchone() or ())

    def append(self, said: Mapping[str, Any]) -> int:
        """Add an entry with the present time.

        Args:
            said: The content; ``patients`` lists the patients that it concerns.

        Returns:
            The entry's number.
        """
        stamped = {**said, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        text = json.dumps(stamped, sort_keys=True, separators=(",", ":"))
        last = self.head()
        head = self._sealed(last.number + 1, self._hash(last.hash, text))
        self._file.execute("INSERT INTO entries VALUES (?, ?, ?)", (head.number, text, head.hash))
        patients = [(patient, head.number) for patient in said.get("patients", ())]
        self._file.executemany("INSERT INTO spending VALUES (?, ?)", patients)
        self._file.execute("INSERT OR REPLACE INTO head VALUES (1, ?, ?, ?)", head)
        return head.number

    def verify(self) -> int:
        """Check every entry, the chain and its end.

        Returns:
            The number of entries.

        Raises:
            ChangedError: Naming the first entry that was changed, removed or inserted.
        """
        damage = self._file.execute("PRAGMA integrity_check").fetchone()[0]
        if damage != "ok":
            raise ChangedError(f"{self._path}: the file is damaged ({damage.splitlines()[0]}).")
        before, count, spent = "", 0, []
        for count, (number, text, found) in enumerate(self._rows(), 1):
            before = self._hash(before, text)
            if number != count or found != before:
                raise ChangedError(f"{self._path}: entry {count} was changed, removed or put in.")
            spent += [(patient, number) for patient in json.loads(text).get("patients", ())]
        if self.head() != self._sealed(count, before):
            raise ChangedError(f"{self._path}: entries after number {count} were removed.")
        if sorted(spent) != sorted(self._file.execute("SELECT patient, number FROM spending")):
            raise ChangedError(f"{self._path}: the patients of some entry were changed.")
        return count

    def _rows(self) -> list[tuple[int, str, str]]:
        return list(self._file.execute("SELECT number, entry, hash FROM entries ORDER BY number"))

    def _sealed(self, number: int, found: str) -> Head:
        return Head(number, found, self._hash("head", f"{number} {found}") if number else "")

    def _hash(self, before: str, text: str) -> str:
        return hmac.new(self._secret, f"{before}\n{text}".encode(), hashlib.sha256).hexdigest()


def _entry(number: int, text: str, found: str) -> Entry:
    said = json.loads(text)
    return Entry(number, said.pop("time"), said, found)
