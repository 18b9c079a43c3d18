"""The patches that a cell's generator, or its private segmenter, is fitted on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmark.core.errors import DataError
from benchmark.core.patches import Patches
from benchmark.core.protocol import Recipe, protocol_recipe
from benchmark.core.seeds import stream
from benchmark.data.patching import cached
from benchmark.results.spec import RunSpec
from benchmark.sweep.inputs import Inputs


def training_patches(
    spec: RunSpec,
    inputs: Inputs,
    cache: Path,
    *,
    faults: list[DataError] | None = None,
    jobs: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Patches:
    """Cut the patches that a cell's generator is fitted on.

    They are cached for cells that share them.

    Args:
        spec: The cell.
        inputs: The data that it is fitted on.
        cache: The cache folder.
        faults: With ``inputs.skip_bad``, collects the faults of patients without a patch.
        jobs: How many patients are read at a time.
        progress: Called with how many patients are done, and how many there are.

    Raises:
        DataError: For a patient without a patch, unless ``inputs.skip_bad`` is true.
    """
    collected = [] if faults is None else faults
    return cached(
        inputs.train,
        recipe_of(spec),
        seed=stream(spec.seed, "patches"),
        cache=cache,
        data=inputs.data,
        faults=collected if inputs.skip_bad else None,
        jobs=jobs,
        progress=progress,
    )


def recipe_of(spec: RunSpec) -> Recipe:
    """Return how a cell's training patches are taken."""
    return protocol_recipe(spec.protocol)
