"""Scores of a row over all its seeds. The cells of a row differ in the seed alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmark.metrics.crossed import Means, OneDraw, Told, error_of, estimate, grid, within
from benchmark.results.bookends import METHODS
from benchmark.results.scored import TestSet
from benchmark.results.spec import RunSpec

Tests = Mapping[int, TestSet]
"""One test set in each seed's result, by seed."""


def is_certain(spec: RunSpec) -> bool:
    """Tell whether a cell has no randomness, so that one seed is enough."""
    return spec.generator.name in METHODS


def told_of(tests: Tests, score: str, *, certain: bool = False) -> Told:
    """Collect a score by seed and patient, or by seed alone where single patients are not given.

    Args:
        tests: By seed; one or more.
        score: Its name.
        certain: Whether a cell has no randomness.
    """
    cells = {seed: test.patients.by_patient(score) for seed, test in tests.items()}
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
    """Compute a row's mean Dice over seeds, its interval and its standard deviations.

    Args:
        tests: By seed; one or more.
        certain: Whether a cell has no randomness.

    Returns:
        The values by the names of the summary's columns.
    """
    found = within(estimate(told_of(tests, "dice", certain=certain)), 0, 1)
    said: dict[str, Any] = {"seeds": found.seeds, "dice_mean": found.mean}
    if isinstance(found, OneDraw):
        return said
    said |= {"dice_mean_low": found.low, "dice_mean_high": found.high}
    return said | {"seed_sd": found.parts.seeds, "patient_sd": found.parts.patients}
