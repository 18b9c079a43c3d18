"""Training of a segmenter on synthetic patches alone, and its tests on held-out patients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.core.directory import kept_directory
from benchmark.core.patches import Patches
from benchmark.core.protocol import NATIVE
from benchmark.core.registry import segmenters
from benchmark.core.segmenter import Segmenter, TrainContext
from benchmark.data.cohort import Patient, PatientVolume
from benchmark.data.inplane import at_spacing, resized
from benchmark.metrics.bootstrap import interval
from benchmark.metrics.scores import NAMES, score
from benchmark.results.scored import PatientScores, TestSet
from benchmark.results.spec import PlugIn

Listener = Callable[[str, int, int], None]
"""A callback with a stage, what is done of it and how much there is."""


def train_segmenter(plug_in: PlugIn, synthetic: Patches, context: TrainContext) -> Segmenter:
    """Make a segmenter and fit it on synthetic patches.

    Args:
        plug_in: The segmenter with its settings.
        synthetic: The patches.
        context: Seed, progress and device.

    Raises:
        NotLearntError: If nothing was learnt.
    """
    kind = segmenters.get(plug_in.name)
    segmenter: Segmenter = kind(kind.Params(**plug_in.settings))
    segmenter.fit(synthetic, context)
    return segmenter


def tested(
    segmenter: Segmenter,
    name: str,
    patients: Sequence[Patient],
    listener: Listener,
    *,
    spacing_mm: float,
) -> TestSet:
    """Score a segmenter on every patient of a test set.

    Args:
        segmenter: A fitted one.
        name: The test set's name.
        patients: Held out from every fit.
        listener: Called for every patient.
        spacing_mm: A pixel's side, in mm, of what the segmenter is shown; scores are on the
            volume's own voxels.

    Returns:
        The patients' scores, and their means with intervals over patients.
    """
    rows: list[PatientScores] = []
    for done, patient in enumerate(patients, 1):
        volume = patient.read()
        found = marked(segmenter, volume, spacing_mm)
        scores = score(found, volume.vessels, volume.spacing_mm)
        rows.append(
            PatientScores.model_validate(
                {
                    "patient": patient.id,
                    "site": patient.site,
                    **scores,
                    "empty": not bool(np.any(found)),
                }
            )
        )
        listener(f"scoring {name}", done, len(patients))
    means = {name: _mean(rows, name) for name in NAMES}
    return TestSet(name=name, n=len(rows), **means, patients=tuple(rows))


def marked(segmenter: Segmenter, volume: PatientVolume, spacing_mm: float) -> NDArray[np.bool_]:
    """Mark the vessels in a patient's brain, on the volume's own voxels.

    Args:
        segmenter: A fitted one.
        volume: The patient's volume.
        spacing_mm: A pixel's side of what the segmenter is shown; ``NATIVE`` for the volume's own.

    Returns:
        bool ``(X, Y, Z)``.
    """
    if spacing_mm == NATIVE:
        with kept_directory():
            return segmenter.predict(volume.image, volume.spacing_mm) & volume.brain
    shown = at_spacing(volume, spacing_mm)
    with kept_directory():
        margin = segmenter.margin(shown.image, shown.spacing_mm)
    return (resized(margin, volume.image.shape[:2]) > 0) & volume.brain


def _mean(rows: Sequence[PatientScores], name: str) -> Any:
    """The mean with its interval, over the patients that have the score."""
    values = [value for one in rows if (value := one.score(name)) is not None]
    return interval(values)._asdict() if values else None
