"""The trend of a generator's Dice as ε tightens, and the sentence about it."""

from __future__ import annotations

import numpy as np

from benchmark.metrics.paired import means_by_seed
from benchmark.metrics.ranking import ALPHA, holm
from benchmark.metrics.trend import Trend, trend
from leaderboard.columns import p_text
from leaderboard.rows import Row, Table

FEWEST = 3
TEST = "Page's exact test on seed means, one-sided, corrected by Holm"


def trends_of(table: Table, test_set: str) -> dict[str, Trend]:
    """Test the trend of each generator with three levels or more.

    The seeds are those that all its levels have, three or more: of two, no order could be
    significant among several generators. The p-values are corrected by Holm for all generators of
    a family. Results of the installed versions are one family, and those of other versions another.
    """
    rows = [
        row
        for row in table.rows
        if test_set in row.tests and not (row.is_refused or row.is_bookend or row.spec.control)
    ]
    present = _family([row for row in rows if not row.unranked], test_set)
    return present | _family([row for row in rows if row.unranked], test_set)


def _family(rows: list[Row], test_set: str) -> dict[str, Trend]:
    """Of each generator, corrected for all of them."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.who, []).append(row)
    found = {who: one for who, rows in groups.items() if (one := _trend(rows, test_set))}
    adjusted = holm([one.p for one in found.values()]).tolist()
    return {who: one._replace(p=p) for (who, one), p in zip(found.items(), adjusted, strict=True)}


def _trend(rows: list[Row], test_set: str) -> Trend | None:
    """``None`` for fewer than three levels or seeds."""
    levels = {row.spec.epsilon: means_by_seed(row.tests[test_set].told) for row in rows}
    seeds = sorted(set.intersection(*({*means} for means in levels.values())))
    if len(levels) < 3 or len(seeds) < FEWEST or len(levels) < len(rows):
        return None
    return trend(np.array([[levels[at][seed] for at in sorted(levels)] for seed in seeds]))


def trend_sentences(table: Table, test_set: str) -> list[str]:
    """Write for which generators Dice falls significantly as ε tightens, and for which not."""
    found = trends_of(table, test_set)
    falls = [f"{who} ({_text(one)})" for who, one in found.items() if one.p < ALPHA]
    others = [f"{who} ({_text(one)})" for who, one in found.items() if one.p >= ALPHA]
    said = [f"Dice falls as ε tightens: {', '.join(falls)}."] if falls else []
    said += [f"No fall of Dice as ε tightens is shown: {', '.join(others)}."] if others else []
    return [*said, f"{TEST}."] if said else []


def _text(found: Trend) -> str:
    return f"{found.levels} levels of ε, {found.seeds} seeds, {p_text(found.p)}"
