"""The board's tables as Markdown, with the columns of the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from benchmark.core.budget import delta_text, epsilon_text
from benchmark.metrics.crossed import Crossed
from benchmark.metrics.scores import DICE, ON_BOARD, Metric
from benchmark.results.over_seeds import is_certain
from leaderboard.columns import (
    distance_of,
    estimate_text,
    fid_in_short,
    mask_distance_of,
    number_text,
    peak_of,
    seconds_of,
    selection_of,
    share_text,
    short_text,
    status_of,
    suite_of,
    version_of,
)
from leaderboard.rows import Row
from leaderboard.scores import Scored


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        heading: The heading.
        text: Writes a row's cell, given its scores on the test set if it has any.
    """

    heading: str
    text: Callable[[Row, Scored | None], str]


def _score(metric: Metric) -> Column:
    def text(row: Row, scored: Scored | None) -> str:
        return estimate_text(scored.scores.get(metric.name) if scored else None, metric.digits)

    return Column(metric.column, text)


def _of_row(text: Callable[[Row], str]) -> Callable[[Row, Scored | None], str]:
    return lambda row, scored: text(row)


COLUMNS = (
    Column("generator", _of_row(lambda row: row.who)),
    Column("ε asked", _of_row(lambda row: epsilon_text(row.spec.epsilon))),
    Column("unit", _of_row(lambda row: row.spec.unit)),
    Column(DICE.column, lambda row, s: estimate_text(s.dice, 3) if s else status_of(row)),
    Column("patients", lambda row, s: _count(s.patients if s else None)),
    Column("seed sd", lambda row, s: _sd(s, "seeds")),
    Column("patient sd", lambda row, s: _sd(s, "patients")),
    Column("of real", lambda row, s: share_text(s.of_real, s.fraction_of_real) if s else "–"),
    Column("gain", lambda row, s: share_text(s.gained, s.gain) if s else "–"),
    Column("over free", lambda row, s: estimate_text(s.over_free if s else None, 3)),
    Column("ε spent, patch", _of_row(lambda row: _spent(row, "epsilon_patch"))),
    Column("ε spent, patient", _of_row(lambda row: _spent(row, "epsilon_patient"))),
    Column("δ", _of_row(lambda row: delta_text(row.spec.delta))),
    *(_score(metric) for metric in ON_BOARD if metric is not DICE),
    Column("FID", _of_row(fid_in_short)),
    Column("offline distance", _of_row(lambda row: short_text(distance_of(row)))),
    Column("mask distance", _of_row(lambda row: short_text(mask_distance_of(row)))),
    Column("seconds", _of_row(lambda row: short_text(seconds_of(row)))),
    Column("peak MiB", _of_row(lambda row: short_text(peak_of(row)))),
    Column("seeds", _of_row(lambda row: f"{len(row.done)} of {row.asked}")),
    Column("selection", _of_row(selection_of)),
    Column("noise", _of_row(lambda row: row.spec.noise)),
    Column("sites", _of_row(lambda row: str(row.spec.sites))),
    Column("version", _of_row(version_of)),
    Column("suite", _of_row(lambda row: " ".join(suite_of(row)))),
    Column("checked", _of_row(lambda row: ", ".join(row.badges))),
)


def lines_of(rows: Sequence[Row], test_set: str) -> list[str]:
    """Return the rows on one test set as lines of Markdown, with a heading."""
    body = [[c.text(row, row.tests.get(test_set)) for c in COLUMNS] for row in rows]
    return table_of([column.heading for column in COLUMNS], body)


def overview_of(rows: Sequence[Row], test_set: str) -> list[str]:
    """Return Dice on one test set: a line for each generator, and a column for each ε."""
    levels = sorted({row.spec.epsilon for row in rows})
    most = max((len(row.done) for row in rows), default=0)
    found: dict[str, dict[float, str]] = {}
    for row in rows:
        found.setdefault(row.who, {})[row.spec.epsilon] = _dice(row, test_set, most)
    body = [[who, *(at.get(level, "") for level in levels)] for who, at in found.items()]
    return table_of(["Dice", *(f"ε = {epsilon_text(level)}" for level in levels)], body)


def _dice(row: Row, test_set: str, most: int) -> str:
    scored = row.tests.get(test_set)
    if scored is None:
        return status_of(row)
    few = len(row.done) < most and not is_certain(row.spec)
    seeds = f" ({len(row.done)} seed{'s' if row.done[1:] else ''})" if few else ""
    return estimate_text(scored.dice, 3) + seeds


def table_of(head: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    """Return a table as lines of Markdown, with all columns but the first on the right."""
    under = [":--", *["--:"] * (len(head) - 1)]
    shown = ([text.replace("|", "¦") for text in line] for line in (head, under, *body))
    return [f"| {' | '.join(line)} |" for line in shown]


def _spent(row: Row, name: str) -> str:
    if row.guarantee is None:
        return "–"
    return epsilon_text(getattr(row.guarantee, name))


def _count(value: int | None) -> str:
    return "–" if value is None else str(value)


def _sd(scored: Scored | None, part: str) -> str:
    """Dice's standard deviation over seeds, or over patients; of one draw neither is known."""
    found = scored.dice if scored else None
    return number_text(getattr(found.parts, part) if isinstance(found, Crossed) else None, 3)
