"""The data of a sweep: training patients, test sets, and their digests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.core.errors import DataError
from benchmark.core.identity import Identity
from benchmark.data.cohort import Patient
from benchmark.data.digest import Digests
from benchmark.data.folders import machine_secret
from benchmark.data.layouts import read_cohort
from benchmark.data.phantom import DEFAULT_SEED, embedded

MAIN_TEST, VALIDATION = "test", "val"
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Patients by role; nothing is read until a cell asks for it.

    Attributes:
        train: The patients to fit on.
        tests: The held-out patients of each test set; the first is the main one.
        data: Digest of the training patients.
        test_data: Digest of each test set.
        private: Whether the data are anything but phantoms.
        patients: The training patients as the ledger knows them.
        skipped: What was wrong with the patients left out.
        skip_bad: Whether patients without a patch may stay, contributing nothing.
        incomplete: Whether some of them are of the cohort that is fitted on.
    """

    train: tuple[Patient, ...]
    tests: Mapping[str, tuple[Patient, ...]]
    data: str
    test_data: Mapping[str, str]
    private: bool
    patients: tuple[Identity, ...] = ()
    skipped: tuple[str, ...] = ()
    skip_bad: bool = False
    incomplete: bool = False

    @property
    def main(self) -> str:
        """The name of the main test set."""
        return next(iter(self.tests))

    @property
    def cost_of_skipping(self) -> str:
        """What leaving patients out costs them, in three sentences; empty where it costs nothing.

        Neighbours have the same public N. One that counts usable patients depends on what each
        patient's files hold, before any mechanism has a say.
        """
        if not (self.private and self.incomplete):
            return ""
        return (
            "Patients were left out for what their files hold (--skip-bad), so "
            f"N = {len(self.train)} counts those who are left. N is public, as are the key, σ and "
            "δ that follow from it, and it tells that somebody was left out: no ε covers that. "
            "Every ε holds for the patients who were fitted, given who was left out."
        )


def gather(
    data: Path | None,
    test_data: Sequence[Path],
    *,
    cache: Path,
    state: Path,
    jobs: int,
    progress: Progress,
    layout: str | None = None,
    skip_bad: bool = False,
    held_out: str = MAIN_TEST,
    seed: int = DEFAULT_SEED,
) -> Inputs:
    """Finds, checks and digests a sweep's data; the embedded cohort where none is given.

    Args:
        data: The cohort's folder.
        test_data: Folders of further test sets; with any, the data are private.
        cache: The cache folder.
        state: The state folder, whose secret keys the digests that it keeps.
        jobs: Phantoms made at a time.
        progress: Hears of every patient.
        layout: The layout of all folders; found out by looking if ``None``.
        skip_bad: Whether patients with faults are left out, instead of stopping everything; what
            that costs is in ``Inputs.cost_of_skipping``.
        held_out: The split to test on: ``test``, or ``val`` while something is chosen by it; no
            patient of another split is read. Phantoms who are not trained on are all of ``val``
            then, the shifted too, as they are in nobody's test set.
        seed: Of the phantoms, where there are no other data.

    Raises:
        DataError: For unusable files, or for a patient who would be trained and tested on.
    """
    own, private = data is not None, data is not None or bool(test_data)
    if data is None:
        root = embedded(
            cache, seed=seed, jobs=jobs, progress=lambda d, n: progress("Making phantoms", d, n)
        )
        data, test_data = root / "cohort", [root / "shifted", *test_data]
    unfitted: list[DataError] | None = [] if skip_bad else None
    untested: list[DataError] | None = [] if skip_bad else None
    cohort = read_cohort(data, layout=layout, faults=unfitted)
    tests = {held_out: cohort.split(held_out)}
    for folder in test_data:
        name = folder.resolve().name
        if name in tests:
            raise DataError(f"{folder}: a test set is called {name!r} already; rename the folder.")
        further = read_cohort(folder, layout=layout, all_test=True, faults=untested)
        tests[name] = further.split("test")
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
    inputs = _digested(train, tests, private, digests)
    return replace(
        inputs,
        patients=digests.identities(train, private=own),
        skipped=tuple(str(fault) for fault in (*(unfitted or ()), *(untested or ()))),
        skip_bad=skip_bad,
        incomplete=bool(unfitted),
    )


def _digested(
    train: tuple[Patient, ...],
    tests: Mapping[str, tuple[Patient, ...]],
    private: bool,
    digests: Digests,
) -> Inputs:
    digest, fitted = digests.of(train, private=private)
    test_digests = {}
    for name, patients in tests.items():
        test_digests[name], held_out = digests.of(patients, private=private)
        both = next((p.id for p, d in zip(patients, held_out, strict=True) if d in fitted), None)
        if both:
            raise DataError(
                f"{both} of the test set {name!r} is also a training patient; "
                "those who are fitted on cannot be tested on."
            )
    return Inputs(train=train, tests=tests, data=digest, test_data=test_digests, private=private)
