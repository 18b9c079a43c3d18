"""Scores and standings for the page's script: plain JSON, with the texts to show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmark.metrics.crossed import Crossed, Estimate, OneDraw
from benchmark.metrics.paired import Chance, chance
from leaderboard.answers import Answers, chance_text
from leaderboard.cohorts import Cohorts
from leaderboard.columns import short
from leaderboard.markdown import COLUMNS
from leaderboard.rows import Row, Table
from leaderboard.scores import Scored
from leaderboard.standings import Standing, standings_of


def standings_json(
    table: Table, name: str, free: Mapping[int, float], cohorts: Cohorts
) -> list[dict[str, Any]]:
    """Return for each level the answer in words, and every generator's place.

    Args:
        table: The table.
        name: The test set's name.
        free: By row number, the corrected p-value of the hypothesis that the row equals the free
            row.
        cohorts: The board's tables, by what they share beside their patients.
    """
    answers = Answers(table, name, free, cohorts)
    return [
        {
            "headline": answers.headline(one),
            "words": answers.of(one),
            "places": _places(one, table, name),
        }
        for one in standings_of(table, name)
    ]


def _places(standing: Standing, table: Table, name: str) -> list[dict[str, Any]]:
    """Every place; ``beaten``: how probably a fresh fit of the first beats one of this row."""
    told = [table.rows[place.row].tests[name].told for place in standing.places]
    return [
        {
            "row": place.row,
            "first": place.rank.first,
            "last": place.rank.last,
            "tied": place.is_tied,
            "p": short(place.p),
            "beaten": _chance(chance(told[0], one)) if number else None,
        }
        for number, (place, one) in enumerate(zip(standing.places, told, strict=True))
    ]


def scored_json(row: Row, scored: Scored, free: float | None) -> dict[str, Any]:
    """Return the numbers to sort by, and the texts of the columns."""
    found: dict[str, Any] = {n: _interval(one) for n, one in scored.scores.items()}
    found |= {"real": short(scored.fraction_of_real), "over": _interval(scored.over_free)}
    found |= {"gain": short(scored.gain), "parts": _parts(scored.dice)}
    found |= {"better": _chance(scored.better), "better_text": chance_text(scored.better)}
    cells = [column.text(row, scored) for column in COLUMNS]
    found["free_p"] = short(free)
    return found | {"paired": scored.paired, "patients": scored.patients, "cells": cells}


def _parts(found: Estimate) -> dict[str, float | None]:
    """What Dice varies by; of one draw, what other seeds of its generator do, if that is known."""
    if isinstance(found, OneDraw):
        return {} if found.seed_sd is None else {"known": short(found.seed_sd)}
    parts = found.parts._asdict() if isinstance(found, Crossed) else {}
    return {name: short(value) for name, value in parts.items()}


def _chance(found: Chance | None) -> list[float] | None:
    return None if found is None else [round(value, 4) for value in found]


def _interval(found: Estimate | None) -> list[float] | None:
    """The mean and its ends; of one draw the mean alone."""
    if found is None:
        return None
    ends = (found.low, found.high) if isinstance(found, Crossed) else ()
    return [round(value, 6) for value in (found.mean, *ends)]
