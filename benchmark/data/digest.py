"""Digests of cohorts. The content decides a digest; the place on the disk does not.

Files are checked and hashed once. The results are remembered (``remembered``) in the state folder,
beside the ledger and this machine's secret, because a forged entry could pass a file off as another
patient's. A file that is exchanged between this check and the cutting of its patches is not
detected.

Digests of private data are keyed with a secret of this machine. So a published key does not help to
guess who was in a cohort.
"""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmark.core.errors import DataError
from benchmark.core.identity import Identity
from benchmark.data.cohort import Patient
from benchmark.data.kept_brains import METHOD
from benchmark.data.labels import EVERY_LABEL
from benchmark.data.likeness import Likeness, likeness, voxels_digest
from benchmark.data.notes import Note, notes_of
from benchmark.data.remembered import Known, Remembered, stamps

DIGEST_LENGTH = 16
VOXELS_LENGTH = 32
PARTICIPANT = "participant "


class Digests:
    """Checks and hashes files, and remembers the results in one JSON file of the state folder.

    Args:
        state: The state folder.
        secret: Keys the digests of private data.
    """

    def __init__(self, state: Path, secret: bytes) -> None:
        self._secret = secret
        self._remembered = Remembered(state / "digests.json")

    def of(self, patients: Sequence[Patient], *, private: bool) -> tuple[str, list[str]]:
        """Compute the digest of some patients in their order, and that of each.

        A patient not yet known is read whole first, so a digest is only ever of usable data.

        Args:
            patients: The patients.
            private: Whether the common digest is keyed.

        Returns:
            The common digest, and one for each patient.

        Raises:
            DataError: Naming the first file that cannot be used.
        """
        each = [self._of_patient(patient) for patient in patients]
        self._remembered.save()
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
        """Return the patients whose files can be used, each person once.

        Args:
            patients: The patients to check.
            faults: Collects what is wrong with those left out; if ``None``, the first is raised.
            jobs: How many patients are read at a time.
            progress: Called for every patient.

        Raises:
            DataError: The first fault, or if no patient is left.
        """
        kept: dict[str, Patient] = {}
        with ThreadPoolExecutor(jobs) as pool:
            checked = zip(patients, pool.map(self._tried, patients), strict=True)
            for done, (patient, found) in enumerate(checked, 1):
                progress(done, len(patients))
                again = isinstance(found, str) and self._again(patient, kept)
                fault = found if isinstance(found, DataError) else again
                if not fault:
                    continue
                if faults is None:
                    pool.shutdown(cancel_futures=True)
                    raise fault
                faults.append(fault)
        self._remembered.save()
        if not kept:
            first = str(faults[0]) if faults else "there is none"
            raise DataError(f"No patient is left whose files can be used; the first fault: {first}")
        return tuple(dict.fromkeys(kept.values()))

    def identities(self, patients: Sequence[Patient], *, private: bool) -> tuple[Identity, ...]:
        """Return the patients as the ledger knows them: by voxels and by participant id.

        The id is the cohort's own, without ``sub-`` and regardless of case. The name of the cohort
        or folder is not part of it (``ledger`` says why). Phantoms have no id, as they are no
        persons; otherwise a patient with the same number would pay for them.

        Args:
            patients: The patients.
            private: Whether they are real; false for phantoms.
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
        """Return keyed digests of the images' voxels. They do not depend on file format or name."""
        each = [self._known(patient).voxels.encode() for patient in patients]
        return tuple(self._keyed(voxels).hexdigest()[:VOXELS_LENGTH] for voxels in each)

    def _keyed(self, content: bytes) -> hmac.HMAC:
        return hmac.new(self._secret, content, hashlib.sha256)

    def likeness(self, patient: Patient) -> Likeness:
        """Return what distinguishes the patient's image from others.

        Raises:
            DataError: Naming the first file that cannot be used.
        """
        return self._known(patient).likeness

    def notes(self, patient: Patient) -> tuple[Note, ...]:
        """Return the notes on the patient's files.

        Raises:
            DataError: Naming the first file that cannot be used.
        """
        return self._known(patient).notes

    def _again(self, patient: Patient, kept: dict[str, Patient]) -> DataError | None:
        """Keeps a patient by the image and by the id; a fault if either is there already."""
        name, image = PARTICIPANT + _bare(patient.id), self.likeness(patient).unordered
        if image in kept:
            known = kept[image]
            said = f"this is the volume of {known.id} again ({known.image}); a patient counts once"
            return DataError(f"{patient.image}: {said}.")
        if name in kept:
            said = f"{kept[name].image} is called {patient.id} too; each patient needs an id of"
            return DataError(f"{patient.image}: {said} his own.")
        kept[image] = kept[name] = patient
        return None

    def _tried(self, patient: Patient) -> str | DataError:
        try:
            return self._of_patient(patient)
        except DataError as fault:
            return fault

    def _of_patient(self, patient: Patient) -> str:
        known = self._known(patient)
        each = [known.files[str(file.absolute())] for file in patient.files]
        return "+".join([*each, *_meaning(patient)])

    def _known(self, patient: Patient) -> Known:
        meaning = " ".join([*_meaning(patient), *_described(patient)])
        known = self._remembered.get(patient.files, meaning)
        if known is None:
            before = stamps(patient.files)
            known = self._read(patient)
            self._remembered.put(before, meaning, known)
        return known

    def _read(self, patient: Patient) -> Known:
        found = patient.examine()
        if found.faults or found.image is None:
            raise found.faults[0]
        return Known(
            files={str(file.absolute()): _sha256(file) for file in patient.files},
            voxels=voxels_digest(found.image.data),
            likeness=likeness(found.image.data, self._secret),
            notes=tuple(notes_of(patient, found)),
        )


def _meaning(patient: Patient) -> list[str]:
    """What decides how the files are read besides their content, in words."""
    labels, said = patient.labels, []
    if labels != EVERY_LABEL:
        vessels = "all" if labels.vessels is None else sorted(labels.vessels)
        said.append(f"vessels {vessels}, ignored {sorted(labels.ignored)}")
    if patient.is_stack:
        said.append("stack of patches")
    return [*said, f"brain {METHOD}"] if patient.is_brain_found else said


def _described(patient: Patient) -> list[str]:
    """The other labels that a mask may hold: they decide what is refused, and no voxel."""
    others = patient.labels.others
    return [] if others is None else [f"others {sorted(others)}"]


def _bare(identity: str) -> str:
    """A participant id as cohorts have it in common, however they write it."""
    said = unicodedata.normalize("NFKC", identity).strip().casefold()
    return said.removeprefix("sub-")


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
