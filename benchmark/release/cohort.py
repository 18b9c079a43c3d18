"""The patients of a fit, where they are: those it has read, and strangers to compare with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmark.core.editions import edition_of
from benchmark.core.editions import found as edition
from benchmark.core.errors import DataError, UsageError
from benchmark.core.patches import Patches
from benchmark.core.protocol import protocol_recipe
from benchmark.core.seeds import stream
from benchmark.data.cohort import Patient
from benchmark.data.patching import cached
from benchmark.data.phantom.cohorts import behind
from benchmark.data.reading import Reading
from benchmark.release.source import Source
from benchmark.results.result import Result
from benchmark.results.spec import FitSpec
from benchmark.sweep.inputs import Inputs, Progress, gather
from benchmark.sweep.sites import fitted_on


class Group(NamedTuple):
    """Some patients with the digest of their files; ``None`` for one whose files are unusable."""

    patients: Sequence[Patient | None]
    data: str


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """The patients of a fit at one place.

    Attributes:
        spec: What decided the fit.
        groups: The fitted patients: those of each site, or all in one group.
        strangers: Patients that the fit has not read.
        cache: The cache folder.
        skip_bad: Whether patients without a patch may stay, contributing nothing.
    """

    spec: FitSpec
    groups: Sequence[Group]
    strangers: Group
    cache: Path
    skip_bad: bool

    @property
    def patients(self) -> int:
        """How many were fitted on."""
        return sum(len(group.patients) for group in self.groups)

    @cached_property
    def fitted(self) -> Patches:
        """The patches that the generator was fitted on."""
        return _together([self._cut(group, "patches", group.data) for group in self.groups])

    @cached_property
    def unfitted(self) -> Patches:
        """Other patches of the fitted patients, in the order of ``fitted``."""
        return _together([self._again(group, "other patches") for group in self.groups])

    @cached_property
    def held_out(self) -> Patches:
        """The strangers' patches, cut by the same recipe."""
        return self._again(self.strangers, "held-out patches")

    def _again(self, group: Group, purpose: str) -> Patches:
        return self._cut(group, purpose, f"{group.data} {purpose}")

    def _cut(self, group: Group, purpose: str, data: str) -> Patches:
        return cached(
            group.patients,
            protocol_recipe(self.spec.protocol),
            seed=stream(self.spec.seed, purpose),
            cache=self.cache,
            data=data,
            faults=[] if self.skip_bad else None,
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
        UsageError: If no folder is given and the run's data are private, or each site has its own.
        DataError: If the cohort is another one, or cannot be read.
    """
    result = source.result
    if not isinstance(result, Result):
        raise UsageError(
            f"{source.folder}: only the sites of this deployment have its patients, and each "
            "examines the patches at its own place (`bench consent`); leave --data out."
        )
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
        phantoms=behind(result.spec.data, edition(edition_of(result.spec.protocol)).phantoms),
    )
    if inputs.data != result.spec.data:
        raise DataError(
            f"{data}: this is not the cohort of the run {result.run_key}: the digest of its "
            f"training patients is {inputs.data}, and the run's {result.spec.data}; give the same "
            "files, read with the same options, on the machine of the run."
        )
    return Cohort(
        spec=result.spec,
        groups=[Group(mine.train, mine.data) for mine in fitted_on(result.spec, inputs)],
        strangers=_strangers(inputs),
        cache=cache,
        skip_bad=inputs.skip_bad,
    )


def _strangers(inputs: Inputs) -> Group:
    """Patients of the cohort that no fit of the run has read."""
    digests = [inputs.test_data[inputs.main], inputs.validation_data]
    return Group((*inputs.tests[inputs.main], *inputs.validation), " ".join(digests))


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
