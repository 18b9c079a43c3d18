"""Two runs side by side: which settings differ, and which scores, patient by patient."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from benchmark.metrics.bootstrap import Interval, interval
from benchmark.metrics.scores import Scores
from benchmark.sweep.spec import RunSpec
from leaderboard.entries import Entry
from leaderboard.scores import per_patient, scores_on


class Difference(NamedTuple):
    """A score of both runs on one test set, over the patients that have it.

    Attributes:
        test_set: Its name.
        score: Its name.
        patients: How many.
        left: The first run's mean.
        right: The second's.
        gain: By how much the second is above, paired by patient.
        p: Of the signed-rank test, two-sided (Wilcoxon 1945).
    """

    test_set: str
    score: str
    patients: int
    left: float
    right: float
    gain: Interval
    p: float


def settings_that_differ(left: RunSpec, right: RunSpec) -> dict[str, tuple[str, str]]:
    """Both values of all that decides a run and differs."""
    sides = [dict(_flat(spec.as_dict())) for spec in (left, right)]
    names = list(dict.fromkeys([*sides[0], *sides[1]]))
    both = {name: (sides[0].get(name, "–"), sides[1].get(name, "–")) for name in names}
    return {name: values for name, values in both.items() if values[0] != values[1]}


def _flat(value: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for name, one in value.items():
        if isinstance(one, Mapping):
            yield from _flat(one, f"{before}{name}.")
        else:
            yield before + name, str(one)


def differences(left: Entry, right: Entry) -> list[Difference]:
    """Every score on every test set that both were tested on, the same patients in both."""
    shared = [
        name
        for name, digest in left.spec.test_data.items()
        if right.spec.test_data.get(name) == digest
    ]
    found = (_difference(name, score, left, right) for name in shared for score in Scores._fields)
    return [one for one in found if one is not None]


def _difference(test_set: str, score: str, left: Entry, right: Entry) -> Difference | None:
    from scipy.stats import wilcoxon

    mine, theirs = (per_patient([scores_on(test_set, one)], score) for one in (left, right))
    patients = [patient for patient in mine if patient in theirs]
    if not patients:
        return None
    one, other = (np.array([side[p] for p in patients]) for side in (mine, theirs))
    gain = other - one
    p = float(wilcoxon(gain).pvalue) if gain.any() else 1.0
    means = float(one.mean()), float(other.mean())
    return Difference(test_set, score, len(patients), *means, interval(gain.tolist()), p)


def settings_table(left: RunSpec, right: RunSpec) -> Table:
    """One line for each setting that differs."""
    table = _table("what decides a run", left.key, right.key)
    for name, values in settings_that_differ(left, right).items():
        table.add_row(name, *values)
    return table


def scores_table(found: list[Difference], left: str, right: str) -> Table:
    """One line for each score and test set."""
    table = _table("score", left, right)
    for heading in ("difference [95 %]", "p", "patients"):
        table.add_column(heading, justify="right")
    for before, one in zip([None, *found], found, strict=False):
        if before is not None and before.test_set != one.test_set:
            table.add_section()
        gain = f"{one.gain.mean:+.3f} [{one.gain.low:+.3f}–{one.gain.high:+.3f}]"
        means = (f"{one.left:.3f}", f"{one.right:.3f}")
        name = f"{one.score}, {one.test_set}"
        table.add_row(name, *means, gain, f"{one.p:.2g}", str(one.patients))
    least = min((2.0 ** (1 - one.patients) for one in found), default=1.0)
    table.caption = Text(
        "Differences: the second run less the first, paired by patient; p: Wilcoxon's signed-rank "
        f"test of one score alone. With these patients p cannot be below {least:.2g}."
    )
    table.caption_justify = "left"
    return table


def _table(heading: str, left: str, right: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(heading)
    table.add_column(left, justify="right")
    table.add_column(right, justify="right")
    return table
