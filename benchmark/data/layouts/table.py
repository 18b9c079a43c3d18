"""``participants.tsv`` or ``participants.csv``: site and split by patient.

Whatever can only be read in one way is accepted: a BOM, blanks, another case, lost zeros, a doubled
row that agrees. Everything else is a fault that names row and column. No table is ignored silently.
"""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from benchmark.core.errors import DataError
from benchmark.data.cohort import SPLITS, Patient
from benchmark.data.layouts.listing import Listing

STEM = "participants"
DELIMITERS = {".tsv": "\t,;", ".csv": ",;\t"}
ID, SITE, SPLIT = COLUMNS = ("participant_id", "site", "split")
MISSING = ("", "n/a", "nan", "na")
"""BIDS's missing value, those of Python and R, and an empty cell."""

SYNONYMS = {"training": "train", "validation": "val", "valid": "val", "testing": "test"}
LIKENESS = 0.8
"""The least ratio (difflib's) at which a column's name counts as a misspelling."""


class ParticipantsRow(NamedTuple):
    """One row of the table. Empty values are not given.

    Attributes:
        line: Its line in the file.
        id: The patient, as written.
        site: The site.
        split: The split.
    """

    line: int
    id: str
    site: str
    split: str


@dataclass(frozen=True)
class ParticipantsTable:
    """The rows of a folder's table.

    Attributes:
        path: The file; ``None`` where there is no table.
        rows: The rows.
    """

    path: Path | None = None
    rows: tuple[ParticipantsRow, ...] = ()

    @classmethod
    def read(cls, *folders: Path) -> ParticipantsTable:
        """Read the table in the first folder that has one; return an empty one if none has.

        Raises:
            DataError: For a table that cannot be read, or two that are not equal.
        """
        files = sorted(file for folder in dict.fromkeys(folders) for file in _tables(folder))
        tables = [cls(file, _rows(file)) for file in files]
        for other in tables[1:]:
            if [row[1:] for row in other.rows] != [row[1:] for row in tables[0].rows]:
                raise DataError(f"{tables[0].path} and {other.path} differ; keep one of them.")
        return tables[0] if tables else cls()

    def complete(self, listing: Listing) -> Listing:
        """Return the listing with the table's sites and splits.

        A patient with a wrong row is left out.
        """
        if self.path is None or not listing.patients:
            return listing
        joined = _Joined(self.path, listing)
        for row in self.rows:
            joined.place(row)
        return joined.listing()


class _Joined:
    """Rows given to patients."""

    def __init__(self, path: Path, listing: Listing) -> None:
        self._path = path
        self._listing = listing
        self._known = [(form, _by_form(form, listing.patients)) for form in _FORMS]
        self._rows: dict[str, ParticipantsRow] = {}
        self._refused: set[str] = set()
        self._absent: list[ParticipantsRow] = []
        self._respelt: list[tuple[ParticipantsRow, str]] = []
        self._doubled: list[ParticipantsRow] = []
        self._faults: list[DataError] = []

    def listing(self) -> Listing:
        """All patients with a right row or none, and what there is to say."""
        if not self._rows and not self._faults:
            example = self._listing.patients[0].id
            return self._listing.refused(
                DataError(
                    f"{self._path}: no row is of a patient in this folder; write ids like "
                    f"{example!r} into the column {ID}."
                )
            )
        kept = [
            _completed(patient, self._rows.get(patient.id))
            for patient in self._listing.patients
            if patient.id not in self._refused
        ]
        return replace(
            self._listing,
            patients=kept,
            faults=[*self._listing.faults, *self._faults],
            notes=[*self._listing.notes, *self._notes()],
        )

    def place(self, row: ParticipantsRow) -> None:
        """Gives a row to the one patient whom it can mean."""
        found = self._meant(row.id)
        if not found:
            self._absent.append(row)
        elif len(found) > 1:
            could = " or ".join(found)
            self._refuse(row, found, ID, f"{row.id!r} could be {could}; write the whole id")
        elif row.split and row.split not in SPLITS:
            law = f"{row.split!r} is no split; use {', '.join(SPLITS)}"
            self._refuse(row, found, SPLIT, law)
        else:
            self._settle(row, found[0])

    def _meant(self, said: str) -> list[str]:
        """The patients whom an id can mean, by the strictest comparison that finds any."""
        found = (known.get(form(said), []) for form, known in self._known)
        return next((identities for identities in found if identities), [])

    def _settle(self, row: ParticipantsRow, identity: str) -> None:
        if _bare(row.id) != _bare(identity):
            self._respelt.append((row, identity))
        first = self._rows.setdefault(identity, row)
        if first is row:
            return
        for column, said in ((SPLIT, "in the splits"), (SITE, "at the sites")):
            one, other = getattr(first, column), getattr(row, column)
            if one and other and one != other:
                law = f"(rows {first.line} and {row.line}); a patient is {said[:2]} one"
                sentence = f"{identity} is {said} {one!r} and {other!r} {law}"
                self._refuse(row, [identity], column, sentence)
                return
        self._doubled.append(row)
        self._rows[identity] = first._replace(
            site=first.site or row.site, split=first.split or row.split
        )

    def _refuse(
        self, row: ParticipantsRow, concerned: Sequence[str], column: str, sentence: str
    ) -> None:
        self._refused.update(concerned)
        self._faults.append(
            DataError(f"{self._path}, row {row.line}, column {column}: {sentence}.")
        )

    def _notes(self) -> list[str]:
        name = self._path.name
        notes = []
        if self._absent:
            first = self._absent[0]
            notes.append(
                f"{name}: {len(self._absent)} rows are of patients who are not in this folder or "
                f"cannot be used (first: {first.id!r}, row {first.line})."
            )
        if self._respelt:
            (row, identity), count = self._respelt[0], len(self._respelt)
            notes.append(f"{name}: {count} ids are written otherwise; {row.id!r} is {identity}.")
        if self._doubled:
            lines = ", ".join(str(row.line) for row in self._doubled)
            notes.append(f"{name}: row {lines} repeats an earlier row of the same patient.")
        return [*notes, *self._without(name)]

    def _without(self, name: str) -> list[str]:
        seen = {*self._rows, *self._refused}
        bare = [patient.id for patient in self._listing.patients if patient.id not in seen]
        if not bare or not self._rows:
            return []
        return [f"{name}: {len(bare)} patients have no row (first: {bare[0]})."]


def _completed(patient: Patient, row: ParticipantsRow | None) -> Patient:
    if row is None:
        return patient
    return replace(patient, site=row.site or patient.site, split=row.split or patient.split)


def _bare(identity: str) -> str:
    return re.sub(r"^sub-", "", identity.strip(), flags=re.IGNORECASE)


def _folded(identity: str) -> str:
    return _bare(identity).casefold()


def _without_zeros(identity: str) -> str:
    return re.sub(r"(?<!\d)0+(?=\d)", "", _folded(identity))


_FORMS = (_bare, _folded, _without_zeros)
"""How ids are compared, the strictest first."""


def _by_form(form: Callable[[str], str], patients: Sequence[Patient]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for identity in dict.fromkeys(patient.id for patient in patients):
        found.setdefault(form(identity), []).append(identity)
    return found


def _tables(folder: Path) -> list[Path]:
    """The folder's tables, in any case of their names.

    Raises:
        DataError: For a table in a form that is not read.
    """
    files = [file for file in folder.iterdir() if file.is_file()]
    named = [file for file in files if file.name.lower().startswith(STEM)]
    tables = [f for f in named if f.stem.lower() == STEM and f.suffix.lower() in DELIMITERS]
    other = next((file for file in named if file.suffix.lower() != ".json"), None)
    if other and not tables:
        raise DataError(f"{other}: this table is not read; save it as {STEM}.tsv.")
    return tables


def _rows(path: Path) -> tuple[ParticipantsRow, ...]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        columns, records = _records(path, text)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: the table cannot be read ({error}).") from error
    rows = tuple(_row(path, line, columns, cells) for line, cells in records)
    if not rows:
        raise DataError(f"{path}: the table has no row; fill it in or remove it.")
    return rows


def _records(path: Path, text: str) -> tuple[dict[str, int], list[tuple[int, list[str]]]]:
    """The places of the columns that count, and the rows with their lines, but for blank ones."""
    delimiter = _delimiter(path, text.strip().partition("\n")[0])
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    filled = [
        (reader.line_num, [cell.strip() for cell in cells])
        for cells in reader
        if any(cell.strip() for cell in cells)
    ]
    header = [_plain(cell) for cell in (filled[0][1] if filled else [])]
    columns = _columns(path, header)
    _check_unused(path, header, columns, [cells for _, cells in filled[1:]])
    for line, cells in filled[1:]:
        if len(cells) < len(header) or any(cells[len(header) :]):
            raise DataError(
                f"{path}, row {line}: the row has {len(cells)} cells and the header {len(header)}; "
                "give each column one."
            )
    return columns, filled[1:]


def _delimiter(path: Path, header: str) -> str:
    """The one at which the header has the column of ids; the file's own where none or all do."""
    usual = DELIMITERS[path.suffix.lower()]
    return next((d for d in usual if ID in [_plain(c) for c in header.split(d)]), usual[0])


def _plain(column: str) -> str:
    return re.sub(r"[\s-]+", "_", column.strip().strip('"').strip().casefold())


def _columns(path: Path, header: list[str]) -> dict[str, int]:
    if ID not in header:
        raise DataError(f"{path}: the table has no column {ID}; name the column of the ids so.")
    for column in COLUMNS:
        if header.count(column) > 1:
            raise DataError(f"{path}: the table has two columns {column}; keep one.")
        slips = [] if column in header else difflib.get_close_matches(column, header, 1, LIKENESS)
        if slips:
            raise DataError(f"{path}: the table has a column {slips[0]!r}; is it {column!r}?")
    return {column: header.index(column) for column in COLUMNS if column in header}


def _check_unused(
    path: Path, header: list[str], columns: dict[str, int], rows: list[list[str]]
) -> None:
    """Refuses splits in a column of another name, which nobody would read."""
    for place, column in enumerate(header):
        cells = {row[place].casefold() for row in rows if len(row) > place} - {*MISSING}
        words = {SYNONYMS.get(cell, cell) for cell in cells}
        if SPLIT not in columns and len(words) > 1 and words <= {*SPLITS}:
            raise DataError(
                f"{path}: the column {column!r} holds splits ({', '.join(sorted(cells))}), and is "
                f"not called {SPLIT!r}; call it so."
            )


def _row(path: Path, line: int, columns: dict[str, int], cells: list[str]) -> ParticipantsRow:
    found = {column: cells[place] for column, place in columns.items()}
    given = {column: "" if cell.lower() in MISSING else cell for column, cell in found.items()}
    if not given[ID]:
        raise DataError(f"{path}, row {line}, column {ID}: there is no id; give one.")
    split = given.get(SPLIT, "")
    split = SYNONYMS.get(split.casefold(), split.casefold()) if split else ""
    return ParticipantsRow(line, given[ID], given.get(SITE, ""), split)
