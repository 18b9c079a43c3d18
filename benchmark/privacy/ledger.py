"""The ledger: what every patient's data have paid so far, on this machine.

An entry is durable before the first private batch is read, and is never changed: each is chained to
the one before it by a keyed hash, so that one changed byte is found. A patient is known by a keyed
digest of the voxels; a file that is exported again, or renamed, is the same patient.

A patient's total is composed by the accountant from the mechanisms' numbers, at patient level also
where patches were the unit. Caps hold for private data; phantoms are recorded and never capped. A
fit on private data with seeded noise counts as ε = ∞: whoever has the seed undoes it.

What is changed, removed or put in is found by whoever has this machine's secret; a whole ledger put
back from an older copy of itself is not.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import sqlite3
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from benchmark.core.budget import Guarantee, Unit
from benchmark.core.errors import BenchError, UsageError
from benchmark.privacy.composition import total_epsilon

Kind = Literal["fit", "statistics", "tuning", "selection"]
CAP = "cap"
DELTA = 1e-5
"""δ of every total."""

PATIENCE_S = 60.0
_SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS entries (number INTEGER PRIMARY KEY, entry TEXT NOT NULL,
                                    hash TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS spending (patient TEXT NOT NULL, number INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS head (only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
                                 number INTEGER NOT NULL, hash TEXT NOT NULL, seal TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS by_patient ON spending (patient);
CREATE TRIGGER IF NOT EXISTS no_change BEFORE UPDATE ON entries
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER IF NOT EXISTS no_removal BEFORE DELETE ON entries
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
COMMIT;
"""


class OverCapError(UsageError):
    """A spending that would take some patient over the cap."""


class LedgerError(BenchError):
    """A ledger that cannot be read or was changed."""


@dataclass(frozen=True, kw_only=True)
class Spending:
    """One use of patients' data.

    Attributes:
        kind: What for.
        run: The key of the run that spends.
        generator: Who spends.
        guarantee: The mechanism's numbers.
        patients: Keyed digests of the patients' voxels.
        private: Whether they are anything but phantoms.
    """

    kind: Kind
    run: str
    generator: str
    guarantee: Guarantee
    patients: tuple[str, ...]
    private: bool


class Entry(NamedTuple):
    """A line of the ledger: its number from 1 on, when it was made, and what it says."""

    number: int
    time: str
    said: Mapping[str, Any]


class Head(NamedTuple):
    """The last entry's number and hash; the seal shows that nobody moved it back."""

    number: int = 0
    hash: str = ""
    seal: str = ""


class Total(NamedTuple):
    """What some patients have paid together: they have the same entries."""

    patients: int
    entries: tuple[int, ...]
    epsilon: float


class Ledger:
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

    def charge(self, spending: Spending) -> int:
        """Writes an entry durably, and returns its number.

        Raises:
            OverCapError: If a cap is set, the data are private and some patient would go over it;
                nothing is written then.
        """
        while True:
            checked = self.check([spending])
            with self._writing() as open_file:
                if self._head(open_file) == checked:  # nobody has spent since
                    return self._append(open_file, _said(spending))

    def pays_for(self, number: Any, spending: Spending) -> bool:
        """Whether the entry of that number is for this spending, to the last patient and number."""
        said = _said(spending)
        return any(entry.number == number and entry.said == said for entry in self.entries())

    def check(self, spendings: Sequence[Spending]) -> Head:
        """Refuses spendings that would together go over the cap; writes nothing.

        Returns:
            Where the ledger stood: as long as it does, they may be charged.

        Raises:
            OverCapError: Naming cap and total.
        """
        with self._reading() as open_file:
            head = self._head(open_file)
            self._check_cap(open_file, spendings)
        return head

    def set_cap(self, epsilon: float) -> int:
        """From now on no patient's total may exceed ``epsilon``; inf lifts the cap."""
        if not epsilon > 0:
            raise UsageError(f"Expected a cap above 0, or inf for none, got {epsilon}.")
        with self._writing() as open_file:
            return self._append(open_file, {"kind": CAP, "epsilon": _plain(epsilon)})

    def cap(self) -> float:
        """The cap; inf if there is none."""
        with self._reading() as open_file:
            return _cap(open_file)

    def entries(self) -> list[Entry]:
        """Every entry, oldest first."""
        with self._reading() as open_file:
            return [_entry(number, text) for number, text, _ in _rows(open_file)]

    def totals(self) -> list[Total]:
        """What private patients have paid, the most first; patients with the same entries are one.

        A cohort's total is that of its worst patient.
        """
        said = {entry.number: entry.said for entry in self.entries() if entry.said.get("private")}
        of_patient: dict[str, list[int]] = {}
        for number, words in said.items():
            for patient in words["patients"]:
                of_patient.setdefault(patient, []).append(number)
        alike: dict[tuple[int, ...], int] = {}
        for numbers in of_patient.values():
            alike[tuple(numbers)] = alike.get(tuple(numbers), 0) + 1
        totals = [
            Total(count, numbers, _paid([_guarantee(said[n]) for n in numbers]))
            for numbers, count in alike.items()
        ]
        return sorted(totals, key=lambda total: -total.epsilon)

    def total_of(self, runs: Collection[str], *, unit: Unit) -> float:
        """What some runs cost together: the composed ε of the unit that paid most, at δ = 1e-5.

        Args:
            runs: Their keys; every entry of theirs counts, also of fits that were never finished.
            unit: ``patient``; or ``patch``, if that is all the runs' unit.
        """
        said = {e.number: e.said for e in self.entries() if e.said.get("run") in runs}
        of_patient: dict[str, list[int]] = {}
        for number, words in said.items():
            for patient in words["patients"]:
                of_patient.setdefault(patient, []).append(number)
        alike = {tuple(numbers) for numbers in of_patient.values()}
        histories = ([_guarantee(said[number]) for number in numbers] for numbers in alike)
        return max((total_epsilon(each, DELTA, unit=unit) for each in histories), default=0.0)

    def verify(self) -> int:
        """Checks every entry, the chain and its end; returns the number of entries.

        Raises:
            LedgerError: Naming the first entry that was changed, removed or put in.
        """
        with self._reading() as open_file:
            return self._verified(open_file)

    def _verified(self, open_file: sqlite3.Connection) -> int:
        damage = open_file.execute("PRAGMA integrity_check").fetchone()[0]
        if damage != "ok":
            raise LedgerError(f"{self._path}: the file is damaged ({damage.splitlines()[0]}).")
        before, count, spent = "", 0, []
        for count, (number, text, found) in enumerate(_rows(open_file), 1):
            before = self._hash(before, text)
            if number != count or found != before:
                raise LedgerError(f"{self._path}: entry {count} was changed, removed or put in.")
            spent += [(patient, number) for patient in json.loads(text).get("patients", ())]
        if self._head(open_file) != self._sealed(count, before):
            raise LedgerError(f"{self._path}: entries after number {count} were removed.")
        if sorted(spent) != sorted(open_file.execute("SELECT patient, number FROM spending")):
            raise LedgerError(f"{self._path}: the patients of some entry were changed.")
        return count

    def _check_cap(self, open_file: sqlite3.Connection, spendings: Sequence[Spending]) -> None:
        cap = _cap(open_file)
        planned = [spending for spending in spendings if spending.private]
        if math.isinf(cap) or not planned:
            return
        histories = {
            tuple(_numbers(open_file, patient))
            + tuple(-i - 1 for i, s in enumerate(planned) if patient in s.patients)
            for patient in {patient for spending in planned for patient in spending.patients}
        }
        said = {number: json.loads(text) for number, text, _ in _rows(open_file)}
        for history in histories:
            total = _paid(
                [planned[-n - 1].guarantee if n < 0 else _guarantee(said[n]) for n in history]
            )
            if total > cap:
                names = ", ".join(dict.fromkeys(s.generator for s in planned))
                raise OverCapError(
                    f"{names} would take a patient's total to ε = {total:.4g} at δ = {DELTA:g}, "
                    f"above the cap of {cap:g}; ask for less (--epsilon; --no-bookends and --noise "
                    "system: `real` and seeded noise have no finite ε), or raise it (`bench ledger "
                    "cap`)."
                )

    def _append(self, open_file: sqlite3.Connection, said: Mapping[str, Any]) -> int:
        stamped = {**said, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        text = json.dumps(stamped, sort_keys=True, separators=(",", ":"))
        last = self._head(open_file)
        head = self._sealed(last.number + 1, self._hash(last.hash, text))
        open_file.execute("INSERT INTO entries VALUES (?, ?, ?)", (head.number, text, head.hash))
        patients = [(patient, head.number) for patient in said.get("patients", ())]
        open_file.executemany("INSERT INTO spending VALUES (?, ?)", patients)
        open_file.execute("INSERT OR REPLACE INTO head VALUES (1, ?, ?, ?)", head)
        return head.number

    def _head(self, open_file: sqlite3.Connection) -> Head:
        return Head(*open_file.execute("SELECT number, hash, seal FROM head").fetchone() or ())

    def _sealed(self, number: int, found: str) -> Head:
        return Head(number, found, self._hash("head", f"{number} {found}") if number else "")

    def _hash(self, before: str, text: str) -> str:
        return hmac.new(self._secret, f"{before}\n{text}".encode(), hashlib.sha256).hexdigest()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """The entries as they are now; none where nothing was ever written."""
        with self._told(), closing(self._open()) as open_file:
            open_file.execute("BEGIN")
            yield open_file

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction that no other process can come between; durable when it ends."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._told(), closing(self._open(make=True)) as open_file:
            self._begun.touch(mode=0o600)
            open_file.execute("BEGIN IMMEDIATE")
            try:
                yield open_file
            except BaseException:
                open_file.execute("ROLLBACK")
                raise
            open_file.execute("COMMIT")

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Whatever sqlite, or an entry that makes no sense, has to say, in one sentence."""
        try:
            yield
        except (sqlite3.Error, KeyError, TypeError, json.JSONDecodeError) as error:
            raise LedgerError(
                f"{self._path}: the ledger cannot be used ({error}); put it back from a copy."
            ) from error

    def _open(self, *, make: bool = False) -> sqlite3.Connection:
        there = self._path.exists()
        if not there and self._begun.exists():
            raise LedgerError(
                f"{self._path}: the ledger is gone, and with it what patients have paid; put it "
                f"back from a copy, or remove {self._begun.name} to begin at 0."
            )
        made = sqlite3.connect(
            self._path if there or make else ":memory:", timeout=PATIENCE_S, isolation_level=None
        )
        made.execute("PRAGMA synchronous = EXTRA")
        if not made.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
            made.executescript(_SCHEMA)
        return made


def _rows(open_file: sqlite3.Connection) -> list[tuple[int, str, str]]:
    return list(open_file.execute("SELECT number, entry, hash FROM entries ORDER BY number"))


def _numbers(open_file: sqlite3.Connection, patient: str) -> list[int]:
    found = open_file.execute(
        "SELECT number FROM spending WHERE patient = ? ORDER BY number", (patient,)
    )
    return [number for (number,) in found]


def _cap(open_file: sqlite3.Connection) -> float:
    caps = [json.loads(text) for _, text, _ in _rows(open_file)]
    said = [words["epsilon"] for words in caps if words["kind"] == CAP]
    return float(said[-1]) if said else math.inf


def _entry(number: int, text: str) -> Entry:
    said = json.loads(text)
    return Entry(number, said.pop("time"), said)


def _said(spending: Spending) -> dict[str, Any]:
    """What an entry says of a spending."""
    return {
        "kind": spending.kind,
        "run": spending.run,
        "generator": spending.generator,
        "private": spending.private,
        "guarantee": _plain(spending.guarantee.as_dict()),
        "patients": sorted(set(spending.patients)),
    }


def _guarantee(said: Mapping[str, Any]) -> Guarantee:
    return Guarantee.from_dict(said["guarantee"])


def _paid(fits: Sequence[Guarantee]) -> float:
    """What fits on private data cost a patient together, at ``DELTA``."""
    if any(fit.seeded and fit.epsilon > 0 for fit in fits):
        return math.inf
    return total_epsilon(fits, DELTA)


def _plain(value: Any) -> Any:
    """A copy that JSON can hold."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
