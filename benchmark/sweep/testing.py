"""A segmenter learns from synthetic patches alone, and is tested on held-out patients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmark.core.patches import Patches
from benchmark.core.registry import segmenters
from benchmark.core.segmenter import Segmenter, TrainContext
from benchmark.data.cohort import Patient
from benchmark.metrics.bootstrap import interval
from benchmark.metrics.scores import Scores, score
from benchmark.sweep.spec import PlugIn

Listener = Callable[[str, int, int], None]
"""Hears a stage, what is done of it and how much there is."""


def trained(plug_in: PlugIn, synthetic: Patches, context: TrainContext) -> Segmenter:
    """The segmenter, fitted on synthetic patches."""
    kind = segmenters.get(plug_in.name)
    segmenter: Segmenter = kind(kind.Params(**plug_in.settings))
    segmenter.fit(synthetic, context)
    return segmenter


def tested(
    segmenter: Segmenter, name: str, patients: Sequence[Patient], listener: Listener
) -> dict[str, Any]:
    """Every patient's scores, how many they are, and their means with intervals over patients.

    Args:
        segmenter: A fitted one.
        name: Of the test set.
        patients: Held out from every fit.
        listener: Hears of every patient.
    """
    rows: list[dict[str, Any]] = []
    for done, patient in enumerate(patients, 1):
        volume = patient.read()
        found = segmenter.predict(volume.image, volume.spacing_mm) & volume.brain
        scores = score(found, volume.vessels, volume.spacing_mm)
        rows.append(
            {
                "patient": patient.id,
                "site": patient.site,
                **scores._asdict(),
                "empty": not bool(np.any(found)),
            }
        )
        listener(f"scoring {name}", done, len(patients))
    means = {score: _mean(rows, score) for score in Scores._fields}
    return {"name": name, "n": len(rows), **means, "patients": rows}


def _mean(rows: Sequence[Mapping[str, Any]], score: str) -> dict[str, float] | None:
    """The mean with its interval, over the patients that have the score."""
    values = [row[score] for row in rows if row[score] is not None]
    return interval(values)._asdict() if values else None
