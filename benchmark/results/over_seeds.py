"""What the cells of one row, which differ in the seed alone, say of a score together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmark.metrics.crossed import Means, OneDraw, Told, error_of, estimate, grid, within
from benchmark.results.bookends import METHODS
from benchmark.results.scored import TestSet
from benchmark.results.spec import RunSpec

Tests = Mapping[int, TestSet]
"""What each seed's result says of one test set."""


def is_certain(spec: RunSpec) -> bool:
    """Whether nothing of a cell is drawn at random, so that one seed tells all."""
    return spec.generator.name in METHODS


def told_of(tests: Tests, score: str, *, certain: bool = False) -> Told:
    """A score by seed and patient, or by seed where single patients are not told.

    Args:
        tests: By seed; one or more.
        score: Its name.
        certain: Whether nothing is drawn at random.
    """
    cells = {
        seed: {one.patient: getattr(one, score) for one in test.patients}
        for seed, test in tests.items()
    }
    try:
        return grid(cells, is_certain=certain)
    except ValueError:
        return _means(tests, score, certain)


def _means(tests: Tests, score: str, certain: bool) -> Means:
    said = [(mean, test.many) for test in tests.values() if (mean := test.mean(score))]
    errors = [error_of(one.low, one.high, many) for one, many in said]
    return Means(
        seeds=tuple(tests),
        values=np.array([one.mean for one, _ in said], np.float64),
        errors=np.array(errors, np.float64),
        patients=min((many for _, many in said if many), default=None),
        is_certain=certain,
    )


def dice_together(tests: Tests, *, certain: bool) -> dict[str, Any]:
    """Mean Dice of a row's seeds, its interval and what it varies by, as a summary's row has them.

    Args:
        tests: By seed; one or more.
        certain: Whether nothing is drawn at random.
    """
    found = within(estimate(told_of(tests, "dice", certain=certain)), 0, 1)
    said: dict[str, Any] = {"seeds": found.seeds, "dice_mean": found.mean}
    if isinstance(found, OneDraw):
        return said
    said |= {"dice_mean_low": found.low, "dice_mean_high": found.high}
    return said | {"seed_sd": found.parts.seeds, "patient_sd": found.parts.patients}
