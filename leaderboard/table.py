"""The table that a sweep ends with."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from benchmark.sweep.summary import Row

MEANINGLESS = 10.0


def sweep_table(rows: Sequence[Row]) -> Table:
    """One line a cell, every test set beside the others."""
    sets = list(dict.fromkeys(row.test_set for row in rows))
    cells: dict[str, list[Row]] = {}
    for row in rows:
        cells.setdefault(row.run_key, []).append(row)
    table = Table(title=None, header_style="bold", pad_edge=False)
    seeds = len({row.seed for row in rows}) > 1
    for heading in ("generator", "ε asked (unit)", "ε spent: patch", "patient"):
        table.add_column(heading, justify="left" if heading == "generator" else "right")
    for name in sets:
        table.add_column(f"Dice, {name}", justify="right")
    for heading in ("of real", _distance_heading(rows), "95HD mm", "s"):
        table.add_column(heading, justify="right")
    for group in sorted(cells.values(), key=lambda g: _order(g[0])):
        table.add_row(*_line(group, seeds))
    return table


def _order(row: Row) -> tuple[str, float, int]:
    rank = {"real": "0", "simulator": "2"}.get(row.generator, "1")
    return rank + row.generator, -row.epsilon, row.seed


def _line(group: Sequence[Row], seeds: bool) -> list[str | Text]:
    row = group[0]
    name = row.generator + (f" (seed {row.seed})" if seeds else "")
    head: list[str | Text] = [name, _asked(row)]
    if row.status != "done":
        return [*head, Text(row.status, "red")]
    distance = row.offline_distance if row.fid is None else row.fid
    return [
        *head,
        _epsilon(row.epsilon_patch),
        _epsilon(row.epsilon_patient),
        *(
            f"{_number(r.dice, 3)} [{_number(r.dice_low, 2)}–{_number(r.dice_high, 2)}]"
            for r in group
        ),
        _number(row.fraction_of_real, 2),
        _number(distance, 2),
        _number(row.hd95_mm, 1),
        _number(row.seconds, 0),
    ]


def _distance_heading(rows: Sequence[Row]) -> str:
    with_fid = next((row for row in rows if row.fid is not None), None)
    if with_fid is None:
        return "offline distance"
    return f"FID (n={with_fid.fid_n}, {with_fid.fid_dims}-d)"


def _asked(row: Row) -> str:
    return "0" if row.epsilon == 0 else f"{_epsilon(row.epsilon)} ({row.unit})"


def _epsilon(value: float | None) -> str:
    if value is None:
        return "unknown"
    if math.isinf(value):
        return "∞"
    return f"{value:.4g}" if value < MEANINGLESS * 100 else f"{value:.1e}"


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
