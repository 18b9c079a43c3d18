"""Cohorts of phantoms as BIDS folders."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from benchmark.core.errors import UsageError
from benchmark.data.phantom.annotators import USUAL, annotated
from benchmark.data.phantom.settings import Scanner, Size, find_size, hospitals, unseen

DEFAULT_SEED = 2022
VERSION = 2
"""The version of the embedded cohort that is made by default."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Design:
    """The content of one version of the embedded cohort.

    A new version is needed whenever its bytes change.

    Attributes:
        size: A name of ``settings.SIZES``.
        splits: The number of patients by split, of mixed hospitals.
        shifted: The number of patients of one unseen scanner.
    """

    size: str
    splits: Mapping[str, int]
    shifted: int


DESIGNS = {
    2: Design(size="quick", splits={"train": 16, "val": 4, "test": 6}, shifted=6),
    3: Design(size="slab", splits={"train": 16, "val": 4, "test": 20}, shifted=20),
}
"""The designs by version."""


class PhantomCohort(NamedTuple):
    """What decides every voxel of an embedded cohort.

    Attributes:
        version: A key of ``DESIGNS``.
        seed: Other seeds are other people.
        annotators: A key of ``annotators.ANNOTATORS``.
    """

    version: int = VERSION
    seed: int = DEFAULT_SEED
    annotators: str = USUAL


@dataclass(frozen=True, kw_only=True)
class PhantomTask:
    """One patient to simulate and write, as a worker process receives it."""

    root: Path
    seed: int
    index: int
    scanner: Scanner
    size: Size
    split: str = ""

    @property
    def identity(self) -> str:
        """The BIDS name, numbered from 1."""
        return f"sub-{self.index + 1:02d}"

    def run(self) -> None:
        """Simulate the patient and write the files."""
        from benchmark.data.phantom.nifti import write_patient
        from benchmark.data.phantom.patient import simulate

        phantom = simulate(self.seed, self.index, self.scanner, self.size)
        write_patient(self.root, self.identity, phantom)


def write_cohort(
    root: Path,
    *,
    patients: int,
    size: str = "quick",
    seed: int = 0,
    annotators: str = USUAL,
    jobs: int = 1,
    progress: Progress | None = None,
) -> None:
    """Write a cohort whose patients are assigned to three hospitals in turn, without splits.

    Args:
        root: The BIDS folder to make.
        patients: How many; positive.
        size: A name of ``settings.SIZES``.
        seed: Decides every voxel, together with the patient's number.
        annotators: Who labelled it: a key of ``annotators.ANNOTATORS``.
        jobs: Worker processes; their number changes no byte.
        progress: Called with the patients done and all of them.

    Raises:
        UsageError: For a number that is out of range, an unknown size or annotator, or a folder
            that is not empty.
    """
    if patients < 1:
        raise UsageError(f"Expected patients of at least 1, got {patients}.")
    found = find_size(size)
    _check(root, seed, jobs)
    drawn = annotated(found, annotators)
    todo = [
        PhantomTask(root=root, seed=seed, index=i, scanner=scanner, size=drawn)
        for i, scanner in zip(range(patients), itertools.cycle(hospitals(found)), strict=False)
    ]
    _run(todo, jobs, progress)


def write_embedded(
    root: Path,
    phantoms: PhantomCohort = PhantomCohort(),  # noqa: B008  (immutable)
    *,
    jobs: int = 1,
    progress: Progress | None = None,
) -> None:
    """Write ``root/cohort`` (train, val and test) and ``root/shifted`` (test), by a design.

    The cohort's three hospitals are mixed in each split; ``shifted`` is one unseen scanner.

    Args:
        root: The folder to make.
        phantoms: Which of them.
        jobs: Worker processes; their number changes no byte.
        progress: Called with the patients done and all of them.

    Raises:
        UsageError: For a number that is out of range, or a folder that is not empty.
    """
    _check(root, phantoms.seed, jobs)
    _run([*_embedded_jobs(root, phantoms)], jobs, progress)


def _embedded_jobs(root: Path, phantoms: PhantomCohort) -> Iterator[PhantomTask]:
    design, seed = DESIGNS[phantoms.version], phantoms.seed
    size = find_size(design.size)
    drawn = annotated(size, phantoms.annotators)
    common = PhantomTask(root=root / "cohort", seed=seed, index=0, scanner=unseen(size), size=drawn)
    index = itertools.count()
    for split, count in design.splits.items():
        for scanner in itertools.islice(itertools.cycle(hospitals(size)), count):
            yield replace(common, index=next(index), scanner=scanner, split=split)
    for _ in range(design.shifted):
        yield replace(common, root=root / "shifted", index=next(index), split="test")


def _check(root: Path, seed: int, jobs: int) -> None:
    if seed < 0:
        raise UsageError(f"Expected a seed of at least 0, got {seed}.")
    if jobs < 1:
        raise UsageError(f"Expected jobs of at least 1, got {jobs}.")
    if root.is_dir() and any(root.iterdir()):
        raise UsageError(f"{root}: the folder is not empty; name a new one for the phantoms.")
    if root.exists() and not root.is_dir():
        raise UsageError(f"{root}: this is a file; name a new folder for the phantoms.")


def _run(todo: list[PhantomTask], jobs: int, progress: Progress | None) -> None:
    for done, _ in enumerate(_finished(todo, jobs), start=1):
        if progress is not None:
            progress(done, len(todo))
    for root in {job.root: None for job in todo}:
        _describe(root, [job for job in todo if job.root == root])


def _finished(todo: list[PhantomTask], jobs: int) -> Iterator[None]:
    if jobs == 1:
        for job in todo:
            job.run()
            yield
        return
    workers = min(jobs, len(todo))
    with ProcessPoolExecutor(workers, mp_context=get_context("forkserver")) as pool:
        try:
            for future in as_completed([pool.submit(job.run) for job in todo]):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _describe(root: Path, jobs: list[PhantomTask]) -> None:
    """Writes the table and the descriptions, last: a cohort without them is unfinished."""
    split = any(job.split for job in jobs)
    rows = [["participant_id", "site", *(["split"] * split)]]
    rows += [[job.identity, job.scanner.name, *([job.split] * split)] for job in jobs]
    for folder, name in (("vessels", "vessel masks"), ("brain", "brain masks")):
        _describe_set(root / "derivatives" / folder, f"AngioBench phantom: {name}", "derivative")
    _describe_set(root, "AngioBench phantom: simulated TOF-MRA", "raw")
    (root / "participants.tsv").write_text("".join("\t".join(r) + "\n" for r in rows))


def _describe_set(folder: Path, name: str, kind: str) -> None:
    about = {
        "Name": name,
        "BIDSVersion": "1.10.0",
        "DatasetType": kind,
        "License": "CC0",
        "GeneratedBy": [{"Name": "AngioBench", "Description": "simulated; no patient was scanned"}],
    }
    (folder / "dataset_description.json").write_text(json.dumps(about, indent=2) + "\n")
