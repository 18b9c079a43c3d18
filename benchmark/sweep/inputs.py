"""The data of a sweep: training patients, test sets, and their digests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.core.errors import DataError
from benchmark.data.cohort import Patient
from benchmark.data.digest import Digests
from benchmark.data.layouts.bids import read_cohort
from benchmark.data.phantom import embedded

MAIN_TEST = "test"
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
    """

    train: tuple[Patient, ...]
    tests: Mapping[str, tuple[Patient, ...]]
    data: str
    test_data: Mapping[str, str]
    private: bool


def gather(
    data: Path | None, test_data: Sequence[Path], *, cache: Path, jobs: int, progress: Progress
) -> Inputs:
    """Finds, checks and digests a sweep's data; the embedded cohort where none is given.

    Raises:
        DataError: For unusable files, or for a patient who would be trained and tested on.
    """
    private = data is not None
    if data is None:
        root = embedded(cache, jobs=jobs, progress=lambda d, n: progress("Making phantoms", d, n))
        data, test_data = root / "cohort", [root / "shifted", *test_data]
    cohort = read_cohort(data)
    tests = {MAIN_TEST: cohort.split("test")}
    for folder in test_data:
        name = folder.resolve().name
        if name in tests:
            raise DataError(f"{folder}: a test set is called {name!r} already; rename the folder.")
        tests[name] = read_cohort(folder, all_test=True).split("test")
    return _digested(cohort.split("train"), tests, private, Digests(cache), progress)


def _digested(
    train: tuple[Patient, ...],
    tests: dict[str, tuple[Patient, ...]],
    private: bool,
    digests: Digests,
    progress: Progress,
) -> Inputs:
    def told(done: int, total: int) -> None:
        progress("Checking volumes", done, total)

    digest, fitted = digests.of(train, private=private, progress=told)
    test_digests = {}
    for name, patients in tests.items():
        test_digests[name], held_out = digests.of(patients, private=private, progress=told)
        both = next((p.id for p, d in zip(patients, held_out, strict=True) if d in fitted), None)
        if both:
            raise DataError(
                f"{both} of the test set {name!r} is also a training patient; "
                "those who are fitted on cannot be tested on."
            )
    return Inputs(train=train, tests=tests, data=digest, test_data=test_digests, private=private)
