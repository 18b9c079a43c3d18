"""Training of a segmenter on synthetic patches alone, and its tests on held-out patients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from benchmark.core.patches import Patches
from benchmark.core.registry import segmenters
from benchmark.core.segmenter import Segmenter, TrainContext
from benchmark.data.cohort import Patient
from benchmark.metrics.bootstrap import interval
from benchmark.metrics.scores import NAMES, score
from benchmark.results.scored import Packed, PatientScores, TestSet
from benchmark.results.spec_parts import PlugIn
from benchmark.sweep.judging.marking import marked

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
    """Score a segmenter on every patient of a test set, one patient in memory at a time.

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
        rows.append(_scores_of(segmenter, patient, spacing_mm))
        listener(f"scoring {name}", done, len(patients))
    means = {name: _mean(rows, name) for name in NAMES}
    return TestSet(name=name, n=len(rows), **means, patients=Packed(rows))


def _scores_of(segmenter: Segmenter, patient: Patient, spacing_mm: float) -> PatientScores:
    """One patient's scores. The volumes are released before the next patient's are read."""
    volume = patient.read()
    found = marked(segmenter, volume, spacing_mm)
    scores = score(found, volume.vessels, volume.spacing_mm)
    said = {"patient": patient.id, "site": patient.site, **scores, "empty": not bool(found.any())}
    return PatientScores.model_validate(said)


def _mean(rows: Sequence[PatientScores], name: str) -> Any:
    """The mean with its interval, over the patients that have the score."""
    values = [value for one in rows if (value := one.score(name)) is not None]
    return interval(values)._asdict() if values else None
