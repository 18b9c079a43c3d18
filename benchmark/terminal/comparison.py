"""The comparison of two runs: settings that differ, and scores, patient by patient."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from benchmark.core.registry import segmenters
from benchmark.metrics.crossed import Crossed, Estimate, grid
from benchmark.metrics.paired import difference
from benchmark.metrics.ranking import holm
from benchmark.metrics.scores import NAMES
from benchmark.results.settings import all_settings
from benchmark.results.spec import RunSpec
from leaderboard.columns import estimate_text
from leaderboard.entries import Entry
from leaderboard.scores import scores_on

CAPTION = (
    "Differences: the second run less the first, paired by patient, with Student's 95 % interval. "
    "p: of the same test, corrected by Holm for the {} that are shown. All of this is of these two "
    "fits; only several seeds tell what the next ones would reach (bench report)."
)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A score of both runs on one test set, over the patients that have it.

    Attributes:
        test_set: Its name.
        score: Its name.
        patients: How many have it in both.
        left: The first run's mean.
        right: The second's.
        gain: By how much the second is above, paired by patient.
        p: The two-sided p-value of this test alone; ``None`` for a single patient.
    """

    test_set: str
    score: str
    patients: int
    left: float
    right: float
    gain: Estimate
    p: float | None


def settings_that_differ(left: RunSpec, right: RunSpec) -> dict[str, tuple[str, str]]:
    """Return both values of everything in the specs that differs, by flat name."""
    sides = [dict(_flat(_whole(spec))) for spec in (left, right)]
    names = list(dict.fromkeys([*sides[0], *sides[1]]))
    both = {name: (sides[0].get(name, "–"), sides[1].get(name, "–")) for name in names}
    return {name: values for name, values in both.items() if values[0] != values[1]}


def _whole(spec: RunSpec) -> dict[str, Any]:
    """A spec with the settings that it leaves out at their default."""
    said = spec.as_dict()
    for name, registry in (("generator", spec.registry), ("segmenter", segmenters)):
        said[name] = {**said[name], "settings": all_settings(registry, getattr(spec, name))}
    return said


def _flat(value: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for name, one in value.items():
        if isinstance(one, Mapping):
            yield from _flat(one, f"{before}{name}.")
        else:
            yield before + name, str(one)


def differences(left: Entry, right: Entry) -> list[Difference]:
    """Compare every score on every test set that both runs have, on the same patients."""
    shared = [
        name
        for name, digest in left.spec.test_data.items()
        if right.spec.test_data.get(name) == digest
    ]
    found = (_difference(name, score, left, right) for name in shared for score in NAMES)
    return [one for one in found if one is not None]


def _difference(test_set: str, score: str, left: Entry, right: Entry) -> Difference | None:
    """Of two fits on the same patients: nothing is told of others, so that seeds are no part."""
    try:
        one, other = (
            grid({0: scores_on(test_set, run).patients.by_patient(score)}, is_certain=True)
            for run in (left, right)
        )
    except ValueError:
        return None
    gain, paired = difference(other, one)
    if paired == "nothing":
        return None
    return Difference(
        test_set=test_set,
        score=score,
        patients=gain.patients or 0,
        left=float(one.values.mean()),
        right=float(other.values.mean()),
        gain=gain,
        p=gain.p if isinstance(gain, Crossed) else None,
    )


def settings_table(left: RunSpec, right: RunSpec) -> Table:
    """Make a table with one line for each setting that differs."""
    table = _table("what decides a run", left.key, right.key)
    for name, values in settings_that_differ(left, right).items():
        table.add_row(name, *values)
    return table


def scores_table(found: list[Difference], left: str, right: str) -> Table:
    """Make a table with one line for each score and test set.

    Args:
        found: The differences.
        left: The heading of the first run.
        right: The heading of the second.
    """
    table = _table("score", left, right)
    for heading in ("difference [95 %]", "p", "patients"):
        table.add_column(heading, justify="right")
    tests = [one.p for one in found if one.p is not None]
    corrected = iter(holm(tests).tolist())
    for before, one in zip([None, *found], found, strict=False):
        if before is not None and before.test_set != one.test_set:
            table.add_section()
        p = "–" if one.p is None else f"{next(corrected):.2g}"
        means = (f"{one.left:.3f}", f"{one.right:.3f}")
        name = f"{one.score}, {one.test_set}"
        gain = estimate_text(one.gain, 3, signed=True)
        table.add_row(name, *means, gain, p, str(one.patients))
    table.caption = Text(CAPTION.format(f"{len(tests)} tests"))
    table.caption_justify = "left"
    return table


def _table(heading: str, left: str, right: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(heading)
    table.add_column(left, justify="right")
    table.add_column(right, justify="right")
    return table
