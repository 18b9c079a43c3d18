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
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from benchmark.core.errors import DataError
from benchmark.data.cohort import Patient

DIGEST_LENGTH = 16
VOXELS_LENGTH = 32
REMEMBERED = 4
"""Of a file: its size, time of change, digest, and the digest of its patient's voxels."""


class Digests:
    """Remembers what was checked and hashed, in one JSON file of a cache folder.

    Args:
        cache: The cache folder.
        secret: Keys the digests of private data.
    """

    def __init__(self, cache: Path, secret: bytes) -> None:
        self._secret = secret
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
        digest = self._keyed(joined) if private else hashlib.sha256(joined)
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
                again = isinstance(found, str) and _again(patient, self._voxels(patient), kept)
                fault = found if isinstance(found, DataError) else again
                if not fault:
                    continue
                if faults is None:
                    pool.shutdown(cancel_futures=True)
                    raise fault
                faults.append(fault)
        self._remember()
        if not kept:
            raise DataError("No patient is left whose files can be used.")
        return tuple(kept.values())

    def of_voxels(self, patients: Sequence[Patient]) -> tuple[str, ...]:
        """Keyed digests of the images' voxels: the same however a volume is stored or named."""
        each = [self._voxels(patient).encode() for patient in patients]
        return tuple(self._keyed(voxels).hexdigest()[:VOXELS_LENGTH] for voxels in each)

    def _keyed(self, content: bytes) -> hmac.HMAC:
        return hmac.new(self._secret, content, hashlib.sha256)

    def _voxels(self, patient: Patient) -> str:
        self._of_patient(patient)
        return str(self._known[str(patient.image.absolute())][3])

    def _tried(self, patient: Patient) -> str | DataError:
        try:
            return self._of_patient(patient)
        except DataError as fault:
            return fault

    def _of_patient(self, patient: Patient) -> str:
        stamps = {str(f.absolute()): _stamp(f) for f in patient.files}
        fresh = [p for p, s in stamps.items() if self._known.get(p, [])[:2] != s or self._old(p)]
        voxels = _voxels_of(patient) if fresh else ""
        for path in fresh:
            self._known[path] = [*stamps[path], _sha256(Path(path)), voxels]
        return "+".join(str(self._known[path][2]) for path in stamps)

    def _old(self, path: str) -> bool:
        return len(self._known[path]) < REMEMBERED

    def _remember(self) -> None:
        self._cache.mkdir(parents=True, exist_ok=True)
        temporary = self._file.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(self._known))
        temporary.replace(self._file)


def _again(patient: Patient, voxels: str, kept: dict[str, Patient]) -> DataError | None:
    """Keeps a patient by the image's voxels; a fault if those are there already."""
    first = kept.setdefault(voxels, patient)
    if first is patient:
        return None
    return DataError(
        f"{patient.image}: this is the volume of {first.id} again; a patient counts once."
    )


def _voxels_of(patient: Patient) -> str:
    """SHA-256 of the image's shape and voxels.

    Raises:
        DataError: Naming the first of the patient's files that cannot be used.
    """
    found = patient.examine()
    if found.faults or found.image is None:
        raise found.faults[0]
    digest = hashlib.sha256(str(found.image.data.shape).encode())
    digest.update(np.ascontiguousarray(found.image.data).data)
    return digest.hexdigest()


def _stamp(file: Path) -> list[str | int]:
    try:
        found = file.stat()
    except OSError as error:
        raise DataError(f"{file}: the file cannot be read ({error.strerror}).") from error
    return [found.st_size, found.st_mtime_ns]


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
