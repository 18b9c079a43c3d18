"""A cohort's digest: its content decides it, its place on the disk does not.

Files are checked and hashed once and remembered by path, size and time of change. Digests of
private data are keyed with a secret of this machine, so that a published key confirms nobody's
guess about who was in a cohort.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmark.core.errors import DataError
from benchmark.data.cohort import Patient

DIGEST_LENGTH = 16


class Digests:
    """Remembers what was checked and hashed, in one JSON file of a cache folder."""

    def __init__(self, cache: Path) -> None:
        self._file = cache / "digests.json"
        self._cache = cache
        try:
            self._known: dict[str, list[str | int]] = json.loads(self._file.read_text())
        except (OSError, ValueError):
            self._known = {}

    def of(self, patients: Sequence[Patient], *, private: bool) -> tuple[str, list[str]]:
        """The digest of some patients in their order, and that of each.

        A patient not yet known is read whole first, so that a digest is only ever of usable data.

        Raises:
            DataError: Naming the first file that cannot be used.
        """
        each = [self._of_patient(patient) for patient in patients]
        self._remember()
        joined = ",".join(each).encode()
        key = self._secret() if private else b""
        digest = hmac.new(key, joined, hashlib.sha256) if private else hashlib.sha256(joined)
        return digest.hexdigest()[:DIGEST_LENGTH], each

    def admit(
        self,
        patients: Sequence[Patient],
        *,
        faults: list[DataError] | None = None,
        jobs: int = 1,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> tuple[Patient, ...]:
        """The patients whose files can be used, each person once.

        Args:
            patients: Who is to be checked.
            faults: Collects what is wrong with those left out; if ``None``, the first is raised.
            jobs: Patients read at a time.
            progress: Hears of every patient.

        Raises:
            DataError: The first fault, or if nobody is left.
        """
        kept: dict[str, Patient] = {}
        with ThreadPoolExecutor(jobs) as pool:
            checked = zip(patients, pool.map(self._tried, patients), strict=True)
            for done, (patient, found) in enumerate(checked, 1):
                progress(done, len(patients))
                fault = found if isinstance(found, DataError) else _again(patient, found, kept)
                if fault is None:
                    continue
                if faults is None:
                    pool.shutdown(cancel_futures=True)
                    raise fault
                faults.append(fault)
        self._remember()
        if not kept:
            raise DataError("No patient is left whose files can be used.")
        return tuple(kept.values())

    def _tried(self, patient: Patient) -> str | DataError:
        try:
            return self._of_patient(patient)
        except DataError as fault:
            return fault

    def _of_patient(self, patient: Patient) -> str:
        stamps = {str(f.absolute()): _stamp(f) for f in patient.files}
        fresh = [p for p, stamp in stamps.items() if self._known.get(p, [])[:2] != stamp]
        if fresh:
            patient.read()
        for path in fresh:
            self._known[path] = [*stamps[path], _sha256(Path(path))]
        return "+".join(str(self._known[path][2]) for path in stamps)

    def _remember(self) -> None:
        self._cache.mkdir(parents=True, exist_ok=True)
        temporary = self._file.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(self._known))
        temporary.replace(self._file)

    def _secret(self) -> bytes:
        file = self._cache / "secret"
        if not file.exists():
            temporary = file.with_suffix(f".{os.getpid()}")
            temporary.touch(mode=0o600)
            temporary.write_text(secrets.token_hex(32))
            temporary.replace(file)
        return file.read_bytes()


def _again(patient: Patient, digest: str, kept: dict[str, Patient]) -> DataError | None:
    """Keeps a patient by the image's content; a fault if that is there already."""
    first = kept.setdefault(digest.split("+")[0], patient)
    if first is patient:
        return None
    return DataError(
        f"{patient.image}: this is the volume of {first.id} again; a patient counts once."
    )


def _stamp(file: Path) -> list[str | int]:
    try:
        found = file.stat()
    except OSError as error:
        raise DataError(f"{file}: the file cannot be read ({error.strerror}).") from error
    return [found.st_size, found.st_mtime_ns]


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
