"""A cohort's digest: its content decides it, its place on the disk does not.

Files are checked and hashed once and remembered in the state folder, where the ledger and this
machine's secret are: whoever could change what is remembered could say that a file is another
patient's. It saves time and is trusted no further than the disk: a file is read again unless its
path, size, time of change, number and the kernel's own time of change (ctime, which no program can
set back without the machine's clock) are those that it was read under. Where a file system keeps no
such time, or where a file is exchanged between this check and the cutting of its patches, the
exchange is not found.

Digests of private data are keyed with a secret of this machine, so that a published key confirms
nobody's guess about who was in a cohort.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import unicodedata
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from benchmark.core.errors import DataError
from benchmark.core.identity import Identity
from benchmark.data.cohort import Patient
from benchmark.data.labels import EVERY_LABEL, MaskLabels

DIGEST_LENGTH = 16
VOXELS_LENGTH = 32
STAMPED, REMEMBERED = 4, 6
"""Of a file: four stamps, its digest, and the digest of its patient's voxels."""
PARTICIPANT = "participant "


class Digests:
    """Remembers what was checked and hashed, in one JSON file of the state folder.

    Args:
        state: The state folder.
        secret: Keys the digests of private data.
    """

    def __init__(self, state: Path, secret: bytes) -> None:
        self._secret = secret
        self._file = state / "digests.json"
        self._known = _remembered(self._file)
        self._fresh = False

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
        return tuple(dict.fromkeys(kept.values()))

    def identities(self, patients: Sequence[Patient], *, private: bool) -> tuple[Identity, ...]:
        """The patients as the ledger knows them: by their voxels and by their participant ids.

        The id is the cohort's own, without ``sub-``, in any case of its letters. No name of a
        cohort or a folder goes with it (``ledger`` says why). Phantoms have no id, as they are
        nobody: else the patient who has their number would pay for them.
        """
        voxels = self.of_voxels(patients)
        if not private:
            return tuple(Identity.of(digest, "") for digest in voxels)
        ids = (self._keyed((PARTICIPANT + _bare(p.id)).encode()).hexdigest() for p in patients)
        return tuple(
            Identity.of(digest, participant[:VOXELS_LENGTH])
            for digest, participant in zip(voxels, ids, strict=True)
        )

    def of_voxels(self, patients: Sequence[Patient]) -> tuple[str, ...]:
        """Keyed digests of the images' voxels: the same however a volume is stored or named."""
        each = [self._voxels(patient).encode() for patient in patients]
        return tuple(self._keyed(voxels).hexdigest()[:VOXELS_LENGTH] for voxels in each)

    def _keyed(self, content: bytes) -> hmac.HMAC:
        return hmac.new(self._secret, content, hashlib.sha256)

    def _voxels(self, patient: Patient) -> str:
        self._of_patient(patient)
        return str(self._known[_key(patient.image, patient)][-1])

    def _tried(self, patient: Patient) -> str | DataError:
        try:
            return self._of_patient(patient)
        except DataError as fault:
            return fault

    def _of_patient(self, patient: Patient) -> str:
        files = {_key(file, patient): file for file in patient.files}
        stamps = {key: _stamp(file) for key, file in files.items()}
        fresh = [key for key, stamp in stamps.items() if not self._knows(key, stamp)]
        voxels = _voxels_of(patient) if fresh else ""
        for key in fresh:
            self._known[key] = [*stamps[key], _sha256(files[key]), voxels]
            self._fresh = True
        each = [str(self._known[key][STAMPED]) for key in stamps]
        return "+".join([*each, *_meaning(patient.labels)])

    def _knows(self, path: str, stamp: list[int]) -> bool:
        known = self._known.get(path, [])
        return len(known) == REMEMBERED and known[:STAMPED] == stamp

    def _remember(self) -> None:
        """Keeps what is new, for this user alone: it has digests that no secret keys."""
        if not self._fresh:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = self._file.with_suffix(f".{os.getpid()}")
        temporary.unlink(missing_ok=True)
        temporary.touch(mode=0o600)
        temporary.write_text(json.dumps(self._known))
        temporary.replace(self._file)
        self._fresh = False


def _remembered(file: Path) -> dict[str, list[str | int]]:
    """What the file says; nothing where it is missing or damaged."""
    try:
        known = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return (
        {path: said for path, said in known.items() if isinstance(said, list)}
        if isinstance(known, dict)
        else {}
    )


def _meaning(labels: MaskLabels) -> list[str]:
    """What labels are described to mean, in words; none where nothing describes them."""
    if labels == EVERY_LABEL:
        return []
    vessels = "all" if labels.vessels is None else sorted(labels.vessels)
    return [f"vessels {vessels}, ignored {sorted(labels.ignored)}"]


def _key(file: Path, patient: Patient) -> str:
    """Names a file that was checked, and a vessel mask with what its labels were taken for."""
    meaning = _meaning(patient.labels) if file == patient.vessels else []
    return " ".join([str(file.absolute()), *meaning])


def _bare(identity: str) -> str:
    """A participant id as cohorts have it in common, however they write it."""
    said = unicodedata.normalize("NFKC", identity).strip().casefold()
    return said.removeprefix("sub-")


def _again(patient: Patient, voxels: str, kept: dict[str, Patient]) -> DataError | None:
    """Keeps a patient by the image's voxels and by the id; a fault if either is there already."""
    name = PARTICIPANT + _bare(patient.id)
    if voxels in kept:
        said = f"this is the volume of {kept[voxels].id} again; a patient counts once"
        return DataError(f"{patient.image}: {said}.")
    if name in kept:
        said = f"{kept[name].image} is called {patient.id} too; each patient needs an id of his own"
        return DataError(f"{patient.image}: {said}.")
    kept[voxels] = kept[name] = patient
    return None


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


def _stamp(file: Path) -> list[int]:
    try:
        found = file.stat()
    except OSError as error:
        raise DataError(f"{file}: the file cannot be read ({error.strerror}).") from error
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
