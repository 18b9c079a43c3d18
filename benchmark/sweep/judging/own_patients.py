"""The value of synthetic patches to a hospital that has a few labelled patients of its own.

This is the question of Kossen et al. (2021), Computers in Biology and Medicine 131:104254. Some
patients of the training split are withheld from every fit of a sweep. For each number m of them, a
segmenter learns from the synthetic patches and from those of m own patients, which are at least
half of its patches. Another segmenter learns from those m alone. The first m of a seed's order are
taken. So a smaller set is always part of a larger one, and one fit of the generator serves every m.

No ε is claimed for own patients: their hospital uses them, and nothing made from them leaves it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmark.core.errors import NotLearntError, UsageError
from benchmark.core.files import held, plain, read_json, write_json
from benchmark.core.patches import Patches
from benchmark.core.protocol import protocol_recipe, spacing_of
from benchmark.core.seeds import stream
from benchmark.core.segmenter import TrainContext
from benchmark.data.cohort import Patient
from benchmark.data.patching import cached
from benchmark.results.provenance import suite
from benchmark.results.result import OwnResult
from benchmark.results.scored import TestSet
from benchmark.results.spec import RunSpec, canonical
from benchmark.results.spec_parts import OwnPatients
from benchmark.sweep.inputs import Inputs
from benchmark.sweep.judging.testing import Listener, tested, train_segmenter

HALF = "half"
"""The way in which own and synthetic patches are mixed (docs/experiments.md): see ``mixed``."""

WITHHOLDING_SEED = 20210331
"""Chooses who is withheld: the same patients for all seeds of a sweep. Fewer are always among
more."""

FOLDER = "own-alone"


def withheld(inputs: Inputs, counts: Sequence[int]) -> Inputs:
    """Withhold training patients as own patients, as many as the largest count.

    What is planned, charged and fitted afterwards uses the remaining patients alone.

    Args:
        inputs: The sweep's data.
        counts: How many own patients are asked for; empty to leave everything as it is.

    Raises:
        UsageError: If no patient would remain to fit on.
    """
    if not counts:
        return inputs
    most, many = max(counts), len(inputs.train)
    if most >= many:
        raise UsageError(
            f"Expected --own-patients to leave at least one of the {many} training patients to fit "
            f"generators on, got {most}; ask for at most {many - 1}, or give a larger cohort."
        )
    order = np.random.default_rng(WITHHOLDING_SEED).permutation(many)
    apart, rest = sorted(order[:most]), sorted(order[most:])
    return replace(
        inputs,
        train=tuple(inputs.train[i] for i in rest),
        patients=tuple(inputs.patients[i] for i in rest if inputs.patients),
        data=_digest(f"{inputs.data} without {most} own"),
        own=tuple(inputs.train[i] for i in apart),
        own_data=_digest(f"{inputs.data} {most} own"),
    )


def said_of(counts: Sequence[int]) -> OwnPatients | None:
    """Return the part of a cell's spec for some numbers of own patients; ``None`` for none."""
    return OwnPatients(patients=tuple(counts), mixture=HALF) if counts else None


def ordered(inputs: Inputs, seed: int) -> list[Patient]:
    """Return the own patients in a seed's order. For m own patients, the first m are used."""
    order = np.random.default_rng(stream(seed, "own patients")).permutation(len(inputs.own))
    return [inputs.own[i] for i in order]


def own_patches(
    spec: RunSpec,
    inputs: Inputs,
    cache: Path,
    *,
    jobs: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Patches:
    """Cut the patches of all own patients, by the protocol's recipe, in the order of the seed.

    Args:
        spec: The cell.
        inputs: With own patients.
        cache: The cache folder, where the patches are kept.
        jobs: How many patients are read at a time.
        progress: Called with how many patients are done, and how many there are.

    Raises:
        DataError: For an own patient without a patch, because m would then be wrong.
    """
    return cached(
        ordered(inputs, spec.seed),
        protocol_recipe(spec.protocol),
        seed=stream(spec.seed, "own patches"),
        cache=cache,
        data=inputs.own_data,
        jobs=jobs,
        progress=progress,
    )


def of_first(patches: Patches, many: int) -> Patches:
    """Return the patches of the first patients.

    Args:
        patches: With ``patient`` given.
        many: How many patients.

    Raises:
        ValueError: If ``patches.patient`` is ``None``.
    """
    if patches.patient is None:
        raise ValueError("Expected patches of patients, got synthetic ones.")
    mine = patches.patient < many
    return Patches(images=patches.images[mine], masks=patches.masks[mine])


def mixed(synthetic: Patches, own: Patches) -> Patches:
    """Combine synthetic and own patches. Own ones are repeated until they are at least half."""
    rows = np.resize(np.arange(len(own)), max(len(own), len(synthetic)))
    return Patches(
        images=np.concatenate([synthetic.images, own.images[rows]]),
        masks=np.concatenate([synthetic.masks, own.masks[rows]]),
    )


@dataclass(frozen=True)
class Judge:
    """Trains and tests the segmenters of one cell that learn from own patients.

    Attributes:
        spec: The cell.
        inputs: With own patients.
        cache: The folder for own patches, and for the scores of segmenters that learnt from these
            alone.
        device: A torch device's name; affects no result.
        listener: Called for every stage.
    """

    spec: RunSpec
    inputs: Inputs
    cache: Path
    device: str
    listener: Listener

    def beside(self, synthetic: Patches) -> tuple[OwnResult, ...]:
        """Test segmenters for each number of own patients, with synthetic patches and without.

        Args:
            synthetic: The synthetic patches of the cell.
        """
        patches = own_patches(self.spec, self.inputs, self.cache)
        made = []
        for many in self.spec.own_counts:
            mine = of_first(patches, many)
            tests = self._tests(mixed(synthetic, mine), f"with {many} own patients")
            alone = self._alone(mine, many)
            made.append(OwnResult(patients=many, test_sets=tests, alone=alone))
        return tuple(made)

    def _alone(self, own: Patches, many: int) -> tuple[TestSet, ...]:
        """The tests of training on own patients alone; computed once for all the cells."""
        folder = self.cache / FOLDER / self._key(many)
        with held(folder, wait=True):
            file = folder / "tests.json"
            found = read_json(file)
            if "test_sets" not in found:
                tests = self._tests(own, f"{many} own patients alone")
                folder.chmod(0o700)  # scores of single patients
                write_json(file, {"test_sets": [test.as_dict() for test in tests]})
                return tests
        return tuple(TestSet.model_validate(test) for test in found["test_sets"])

    def _key(self, many: int) -> str:
        """Of all that decides what own patients alone are worth; no generator does."""
        spec = self.spec.as_dict()
        decides = [spec[name] for name in ("segmenter", "protocol", "seed", "test_data", "schema")]
        said = [*decides, self.inputs.own_data, many, suite()["version"]]
        return _digest(canonical(plain(said)))

    def _tests(self, patches: Patches, stage: str) -> tuple[TestSet, ...]:
        """Each test set's scores; none where the segmenter learnt nothing."""
        context = TrainContext(
            seed=self.spec.seed,
            progress=lambda step, total, curves: self.listener(stage, step, total),
            device=self.device,
        )
        try:
            segmenter = train_segmenter(self.spec.segmenter, patches, context)
        except NotLearntError:
            return ()
        spacing_mm = spacing_of(self.spec.protocol)
        return tuple(
            tested(segmenter, name, group, self.listener, spacing_mm=spacing_mm)
            for name, group in self.inputs.tests.items()
        )


def _digest(said: str) -> str:
    return hashlib.sha256(said.encode()).hexdigest()[:16]
