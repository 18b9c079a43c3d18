"""The run that is released: its result, its generator, and the patients that it was fitted on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from benchmark.core.editions import edition_of
from benchmark.core.editions import found as edition
from benchmark.core.errors import DataError, UsageError
from benchmark.core.generator import Generator
from benchmark.core.patches import Patches
from benchmark.core.seeds import stream
from benchmark.core.sums import sum_of_folder
from benchmark.data.cohort import Patient
from benchmark.data.patching import cached
from benchmark.data.reading import Reading
from benchmark.results.result import Result
from benchmark.results.store import GENERATOR, check_files, found
from benchmark.sweep.inputs import Inputs, Progress, gather
from benchmark.sweep.saved_generator import released
from benchmark.sweep.sites import inputs_of, partition_of, split
from benchmark.sweep.training_patches import recipe_of, training_patches


@dataclass(frozen=True, kw_only=True)
class Source:
    """A finished run with what it left.

    Attributes:
        folder: Its folder.
        result: Its result.
    """

    folder: Path
    result: Result

    @cached_property
    def generator(self) -> Generator:
        """The fitted generator.

        Raises:
            UsageError: If the run kept none.
            DataError: If it is damaged, or of another version.
        """
        return released(self.folder)

    @cached_property
    def generator_sum(self) -> str:
        """SHA-256 over the names and digests of the generator's files."""
        return sum_of_folder(self.folder / GENERATOR)

    @property
    def is_free(self) -> bool:
        """Whether no patient was looked at (ε = 0)."""
        return self.result.guarantee.epsilon == 0


def source_of(run: str, out: Path) -> Source:
    """Find a finished run, and check that its files are what it wrote.

    Args:
        run: Its folder or its key.
        out: The store's folder.

    Raises:
        UsageError: If there is no such run, or nothing of it can be released.
        DataError: If its files are damaged.
    """
    folder, result = found(run, out)
    check_files(folder)
    if result.spec.is_direct:
        raise UsageError(
            f"{folder}: this run fitted a segmenter itself, so it has no synthetic patches; "
            "release a run of a generator."
        )
    if result.spec.own is not None:
        raise UsageError(
            f"{folder}: own patients were withheld from this run's fit (--own-patients); release "
            "a run without that option."
        )
    if not (folder / GENERATOR).is_dir():
        raise UsageError(
            f"{folder}: the run kept no generator, because what is made from patients may leave "
            "only under a finite ε with the system's noise; run it so, and release that run."
        )
    return Source(folder=folder, result=result)


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """The patients of a run, as its owner has them.

    Attributes:
        result: The run's result.
        inputs: The data, whose digest is the run's.
        cache: The cache folder.
    """

    result: Result
    inputs: Inputs
    cache: Path

    @property
    def parts(self) -> Mapping[str, Inputs]:
        """The fitted patients: at each site, or all under an empty name."""
        spec = self.result.spec
        if spec.is_federated:
            return split(partition_of(spec), self.inputs)
        return {"": inputs_of(spec, self.inputs)}

    @cached_property
    def fitted(self) -> Patches:
        """The patches that the generator was fitted on."""
        spec = self.result.spec
        cuts = [training_patches(spec, mine, self.cache) for mine in self.parts.values()]
        return _together(cuts)

    @property
    def held_out_patients(self) -> tuple[Patient, ...]:
        """Patients of the cohort that no fit of the run has read."""
        return (*self.inputs.tests[self.inputs.main], *self.inputs.validation)

    @cached_property
    def held_out(self) -> Patches:
        """Their patches, cut by the same recipe."""
        digests = [self.inputs.test_data[self.inputs.main], self.inputs.validation_data]
        return self._cut(self.held_out_patients, "held-out patches", " ".join(digests))

    @cached_property
    def unfitted(self) -> Patches:
        """Other patches of the fitted patients, in the order of ``fitted``."""
        cuts = [self._cut(mine.train, "other patches", mine.data) for mine in self.parts.values()]
        return _together(cuts)

    def _cut(self, patients: Sequence[Patient], purpose: str, data: str) -> Patches:
        spec = self.result.spec
        return cached(
            patients,
            recipe_of(spec),
            seed=stream(spec.seed, purpose),
            cache=self.cache,
            data=f"{data} {purpose}",
            faults=[] if self.inputs.skip_bad else None,
        )


def cohort_of(
    source: Source,
    data: Path | None,
    *,
    reading: Reading,
    cache: Path,
    state: Path,
    jobs: int,
    progress: Progress,
) -> Cohort:
    """Find the patients of a run, and check that they are those that it was fitted on.

    Args:
        source: The run.
        data: The cohort's folder; ``None`` for the embedded phantoms.
        reading: How it is read; as it was for the run.
        cache: The cache folder.
        state: The state folder.
        jobs: How many phantoms are made at a time.
        progress: Called for every patient.

    Raises:
        UsageError: If no folder is given and the run's data are private.
        DataError: If the cohort is another one, or cannot be read.
    """
    result = source.result
    if result.private_data is (data is None):
        said = (
            "name the cohort that it was fitted on with --data, for the audit and the search for "
            "copies, which stay on this machine"
            if data is None
            else "it was fitted on the embedded phantoms; leave --data out"
        )
        raise UsageError(f"{source.folder}: {said}.")
    inputs = gather(
        data,
        [],
        cache=cache,
        state=state,
        jobs=jobs,
        progress=progress,
        reading=reading,
        phantoms=edition(edition_of(result.spec.protocol)).phantoms,
    )
    if inputs.data != result.spec.data:
        raise DataError(
            f"{data}: this is not the cohort of the run {result.run_key}: the digest of its "
            f"training patients is {inputs.data}, and the run's {result.spec.data}; give the same "
            "files, read with the same options, on the machine of the run."
        )
    return Cohort(result=result, inputs=inputs, cache=cache)


def _together(cuts: Sequence[Patches]) -> Patches:
    """The patches of several sites as those of one cohort."""
    if len(cuts) == 1:
        return cuts[0]
    before = np.cumsum([0, *(cut.patients for cut in cuts)])
    owners = [np.asarray(cut.patient) + first for cut, first in zip(cuts, before, strict=False)]
    return Patches(
        images=np.concatenate([cut.images for cut in cuts]),
        masks=np.concatenate([cut.masks for cut in cuts]),
        patient=np.concatenate(owners),
        patients=int(before[-1]),
        patches_per_patient=cuts[0].patches_per_patient,
    )
