"""The data of a sweep: training patients, test sets, and their digests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.core.errors import DataError
from benchmark.core.folders import machine_secret
from benchmark.core.identity import Identity
from benchmark.data.cohort import Cohort, Patient
from benchmark.data.digest import Digests
from benchmark.data.layouts import read_cohort
from benchmark.data.notes import Note, refuse, together
from benchmark.data.phantom import PhantomCohort, embedded
from benchmark.data.reading import AS_FOUND, Reading
from benchmark.data.twins import FITTED, near_twins, twins
from benchmark.results.spec import MAIN_TEST, VALIDATION

Progress = Callable[[str, int, int], None]


COST_OF_SKIPPING = (
    "Patients were left out for what their files hold (--skip-bad), so N = {} counts those who "
    "are left. N is public, as are the key, σ and δ that follow from it, and it tells that "
    "somebody was left out: no ε covers that. Every ε holds for the patients who were fitted, "
    "given who was left out."
)


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The patients of a sweep by role. Nothing is read until a cell needs it.

    Attributes:
        train: The patients to fit on.
        tests: The held-out patients of each test set; the first is the main one.
        data: Digest of the training patients.
        test_data: Digest of each test set.
        validation: Patients to choose a free row by; none where the cohort has none, and none while
            they are tested on.
        validation_data: Their digest; empty for none.
        private: Whether the data are of real patients; false for phantoms.
        patients: The training patients as the ledger knows them.
        skipped: What was wrong with the patients left out.
        skip_bad: Whether patients without a patch may stay, contributing nothing.
        incomplete: Whether some of those left out are of the cohort that is fitted on.
        notes: What may have been read differently than intended, a sentence each.
        own: Further patients of the training split, whom no fit of a generator reads. They stand
            for a hospital's own patients; a segmenter may learn from their labelled patches beside
            synthetic ones.
        own_data: Digest of them; empty where there are none.
        splits: Each split among sites that was asked for, made once and passed on to every cell.
    """

    train: tuple[Patient, ...]
    tests: Mapping[str, tuple[Patient, ...]]
    data: str
    test_data: Mapping[str, str]
    private: bool
    validation: tuple[Patient, ...] = ()
    validation_data: str = ""
    patients: tuple[Identity, ...] = ()
    skipped: tuple[str, ...] = ()
    skip_bad: bool = False
    incomplete: bool = False
    notes: tuple[str, ...] = ()
    own: tuple[Patient, ...] = ()
    own_data: str = ""
    splits: dict[tuple[str, int], Mapping[str, Inputs]] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )

    @property
    def main(self) -> str:
        """The name of the main test set."""
        return next(iter(self.tests))

    @property
    def cost_of_skipping(self) -> str:
        """What leaving patients out means for their privacy, in words; empty if nothing.

        Neighbours have the same public N. An N that counts usable patients depends on what each
        patient's files hold, before any mechanism is applied.
        """
        if not (self.private and self.incomplete):
            return ""
        return COST_OF_SKIPPING.format(len(self.train))


def gather(
    data: Path | None,
    test_data: Sequence[Path],
    *,
    cache: Path,
    state: Path,
    jobs: int,
    progress: Progress,
    reading: Reading = AS_FOUND,
    held_out: str = MAIN_TEST,
    phantoms: PhantomCohort = PhantomCohort(),  # noqa: B008  (immutable)
) -> Inputs:
    """Find, check and digest a sweep's data. The embedded cohort is used where none is given.

    Args:
        data: The cohort's folder.
        test_data: Folders of further test sets; with any, the data are private.
        cache: The cache folder.
        state: The state folder, whose secret keys the digests that it keeps.
        jobs: How many phantoms are made at a time.
        progress: Called for every patient.
        reading: How all folders are read. ``Inputs.cost_of_skipping`` says what leaving patients
            out means.
        held_out: The split to test on: ``test``, or ``val`` while settings are chosen by it. With
            ``val``, no test patient is read, and all phantoms that are not trained on are used,
            also the shifted ones.
        phantoms: The embedded cohort that is used where there are no other data.

    Raises:
        DataError: For unusable files, for a volume that is there twice, or for a note that suggests
            a wrong reading and is not accepted.
    """
    own, private = data is not None, data is not None or bool(test_data)
    if data is None:
        root = embedded(
            cache,
            phantoms,
            jobs=jobs,
            progress=lambda d, n: progress("Making phantoms", d, n),
        )
        data, test_data = root / "cohort", [root / "shifted", *test_data]
    unfitted: list[DataError] | None = [] if reading.skip_bad else None
    untested: list[DataError] | None = [] if reading.skip_bad else None
    cohort = _cohort(data, reading, unfitted)
    tests, folders = {held_out: cohort.split(held_out)}, [cohort]
    for folder in test_data:
        name = folder.resolve().name
        if name in tests:
            raise DataError(f"{folder}: a test set is called {name!r} already; rename the folder.")
        further = _cohort(folder, reading, untested, all_test=True)
        tests[name] = further.split("test")
        folders.append(further)
    digests = Digests(state, machine_secret(state))

    if held_out == VALIDATION and not private:
        others = [
            patient for name, group in tests.items() if name != VALIDATION for patient in group
        ]
        tests = {VALIDATION: (*tests[VALIDATION], *cohort.split(MAIN_TEST), *others)}

    def admitted(
        patients: tuple[Patient, ...], faults: list[DataError] | None
    ) -> tuple[Patient, ...]:
        return digests.admit(
            patients,
            faults=faults,
            jobs=jobs,
            progress=lambda done, total: progress("Checking volumes", done, total),
        )

    train = admitted(cohort.split("train"), unfitted)
    tests = {name: admitted(patients, untested) for name, patients in tests.items()}
    chosen_by = _validation(cohort) if VALIDATION not in tests else ()
    validation = admitted(chosen_by, untested) if chosen_by else ()
    groups = {**tests, **({VALIDATION: validation} if validation else {})}
    notes = [Note(text) for folder in folders for text in folder.notes]
    notes += compared({FITTED: train, **groups}, digests)
    refuse(notes, reading.accepted)
    return Inputs(
        train=train,
        tests=tests,
        data=digests.of(train, private=private)[0],
        test_data={name: digests.of(group, private=private)[0] for name, group in tests.items()},
        private=private,
        validation=validation,
        validation_data=digests.of(validation, private=private)[0] if validation else "",
        patients=digests.identities(train, private=own),
        skipped=tuple(str(fault) for fault in (*(unfitted or ()), *(untested or ()))),
        skip_bad=reading.skip_bad,
        incomplete=bool(unfitted),
        notes=tuple(together(notes)),
    )


def _validation(cohort: Cohort) -> tuple[Patient, ...]:
    """The patients that are neither fitted nor tested on, if the cohort has any."""
    return tuple(patient for patient in cohort.patients if patient.split == VALIDATION)


def _cohort(
    folder: Path, reading: Reading, faults: list[DataError] | None, *, all_test: bool = False
) -> Cohort:
    layout, acquisition = reading.layout, reading.acquisition
    return read_cohort(
        folder, layout=layout, acquisition=acquisition, all_test=all_test, faults=faults
    )


def compared(roles: Mapping[str, Sequence[Patient]], digests: Digests) -> list[Note]:
    """Collect the notes on all patients and on pairs of them.

    Args:
        roles: The patients by role.
        digests: Their digests and notes.

    Raises:
        DataError: For a volume that is there twice.
    """
    groups = {
        role: [(patient, digests.likeness(patient)) for patient in patients]
        for role, patients in roles.items()
    }
    for fault in twins(groups):
        raise fault
    said = [
        note for group in roles.values() for patient in group for note in digests.notes(patient)
    ]
    return [*said, *near_twins(groups)]
