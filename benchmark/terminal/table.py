"""The tables that are printed at the end of a sweep."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import fmean

from rich import box
from rich.table import Table
from rich.text import Text

from benchmark.core.budget import RELATION, delta_text, epsilon_text
from benchmark.metrics.scores import HD95, ON_BOARD
from benchmark.results.bookends import FREE, GAIN, gain
from benchmark.results.matrix import Square
from benchmark.results.promises import MEANINGFUL
from benchmark.results.scored import Mean, TestSet
from benchmark.results.summary import SummaryRow
from benchmark.results.tuned_settings import NOT_ACCOUNTED
from leaderboard.columns import A_PATCH_ABOVE, costs_more, interval_text, number_text, short_text


def sweep_table(rows: Sequence[SummaryRow]) -> Table:
    """Make a table with one line for each generator, segmenter and ε.

    Test sets are side by side, and seeds are averaged.
    """
    sets = list(dict.fromkeys(row.test_set for row in rows))
    lines: dict[tuple[str, str, float], list[SummaryRow]] = {}
    for row in rows:
        lines.setdefault((row.who, row.segmenter, row.epsilon), []).append(row)
    several = len({row.segmenter for row in rows if not row.is_direct}) > 1
    table = Table(
        header_style="bold",
        pad_edge=False,
        caption=Text(_caption(rows)),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        collapse_padding=True,
    )
    table.add_column("generator")
    unit = rows[0].unit if rows else "patch"
    for heading in (f"ε asked, {unit}", "spent, patch", "spent, patient"):
        table.add_column(heading, justify="right")
    for name in sets:
        table.add_column(f"Dice, {name}{_patients_of(name, rows)}", justify="right")
    far = (_distance_heading(rows), "masks")
    for heading in ("of real", "gain", *far, HD95.column, "s"):
        table.add_column(heading, justify="right")
    for group in sorted(lines.values(), key=_order_of):
        table.add_row(*_line(group, sets, several))
    return table


def matrix_table(squares: Sequence[Square]) -> Table:
    """Make the table of the cross-site matrix.

    There is one line for each generator, ε and training site, and a column for each test site.
    """
    tested = {square.tested: square.patients for square in squares}
    lines: dict[tuple[str, str, float, str], dict[str, float | None]] = {}
    for square in squares:
        key = (square.generator, square.segmenter, square.epsilon, square.trained)
        lines.setdefault(key, {})[square.tested] = square.dice
    several = len({square.segmenter for square in squares}) > 1
    nobody = ", ".join(site for site in sorted(tested) if not tested[site])
    table = Table(
        header_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        caption=Text(f"No held-out patients at: {nobody}." if nobody else ""),
        caption_justify="left",
    )
    for heading in ("generator", "ε", "trained at"):
        table.add_column(heading, justify="right" if heading == "ε" else "left")
    for site in sorted(tested):
        table.add_column(f"Dice, {site} ({tested[site]})", justify="right")
    before = None
    for (generator, segmenter, epsilon, trained), dice in lines.items():
        name, group = generator + (f" + {segmenter}" if several else ""), (generator, epsilon)
        if before not in (None, group):
            table.add_section()
        before = group
        cells = (number_text(dice.get(site), 3) for site in sorted(tested))
        table.add_row(name, epsilon_text(epsilon), trained, *cells)
    return table


def patients_table(tested: TestSet) -> Table:
    """Make a table with one line for each patient of a test set, and their means with intervals."""
    said = (
        "Measured on held-out patients, outside of any guarantee: it is yours to keep or to tell."
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption=Text(said), caption_justify="left")
    table.add_column("patient")
    table.add_column("site")
    for metric in ON_BOARD:
        table.add_column(metric.column, justify="right")
    for one in tested.patients:
        numbers = (number_text(one.score(metric.name), metric.digits) for metric in ON_BOARD)
        table.add_row(one.patient, one.site, *numbers)
    table.add_section()
    means = (_with_interval(tested.mean(metric.name), metric.digits) for metric in ON_BOARD)
    table.add_row(f"mean, n = {len(tested.patients)}", "", *means)
    return table


def _patients_of(name: str, rows: Sequence[SummaryRow]) -> str:
    """How many patients its means are over."""
    told = {row.patients for row in rows if row.test_set == name and row.patients}
    return f" (n = {', '.join(map(str, sorted(told)))})" if told else ""


def _with_interval(found: Mean | None, digits: int) -> str:
    """The mean, with its 95 % interval over patients."""
    if found is None:
        return "–"
    return interval_text(found.mean, found.low, found.high, digits)


def _caption(rows: Sequence[SummaryRow]) -> str:
    seeds = len({row.seed for row in rows})
    brackets = (
        "one draw, which has no interval; [95 % interval] where nothing is drawn"
        if seeds == 1
        else f"mean of {seeds} seeds [95 % interval over seeds and patients]"
    )
    spent = [e for row in rows for e in (row.epsilon_patch, row.epsilon_patient) if e is not None]
    words = [f"Dice: {brackets}."] if rows else []
    if rows:
        noise = "seeded, so for a benchmark alone" if rows[0].noise == "seeded" else "the system's"
        words.append(f"δ = {delta_text(rows[0].delta)}; neighbours: {RELATION}; noise: {noise}.")
    if any(MEANINGFUL < epsilon < math.inf for epsilon in spent):
        words.append(f"An ε above {MEANINGFUL:g} is no meaningful guarantee.")
    if any(costs_more(row.epsilon_patch, row.epsilon_patient) for row in rows):
        words.append(A_PATCH_ABOVE)
    if fast := sorted({row.segmenter for row in rows if row.segmenter.endswith(")")}):
        words.append(f"Not in exact arithmetic: {', '.join(fast)}.")
    if any(row.selection == NOT_ACCOUNTED for row in rows):
        words.append(f"Tuned on patients; selection: {NOT_ACCOUNTED}.")
    if any(row.free is not None for row in rows):
        words.append(GAIN)
    if any(row.mask_distance is not None for row in rows):
        words.append("masks: how far synthetic vessels lie from real ones by shape, 0 to 1.")
    if direct := sorted({row.who for row in rows if row.is_direct and not row.is_free}):
        words.append(f"{', '.join(direct)}: the segmenter itself is private; nothing synthetic.")
    lost = [row for row in rows if row.lost_steps]
    if lost:
        most, cells = max(row.lost_steps or 0 for row in lost), sorted({_cell(row) for row in lost})
        words.append(
            f"Killed, and gone on as another draw, with up to {most} steps lost and counted: "
            f"{', '.join(cells)}."
        )
    return " ".join(words)


def _cell(row: SummaryRow) -> str:
    return f"{row.who} at ε = {epsilon_text(row.epsilon)}, seed {row.seed}"


def order(generator: str, segmenter: str, epsilon: float) -> tuple[str, str, float]:
    """Return a sort key: the upper bookend, generators by falling ε, then the other bookends."""
    free = {name: f"3{number}" for number, name in enumerate(FREE)}
    rank = {segmenter: "2", "real": "0", **free}.get(generator, "1")
    return rank + generator, segmenter, -epsilon


def _order_of(group: Sequence[SummaryRow]) -> tuple[str, str, float]:
    return order(group[0].who, group[0].segmenter, group[0].epsilon)


def _line(group: Sequence[SummaryRow], sets: Sequence[str], several: bool) -> list[str | Text]:
    first = group[0]
    name = first.who + (f" + {first.segmenter}" if several and not first.is_direct else "")
    name += " *" if first.is_best_free else ""
    done = [row for row in group if row.status == "done"]
    seeds, left = len({row.seed for row in group}), len({row.seed for row in done})
    head: list[str | Text] = [name, epsilon_text(first.epsilon)]
    if not done:
        return [*head, Text(first.status, "red")]
    if left < seeds:
        head[0] = Text(f"{name} ({left} of {seeds} seeds)", "red")
    main = [row for row in done if row.test_set == sets[0]]
    return [
        *head,
        epsilon_text(_worst(main, lambda row: row.epsilon_patch)),
        epsilon_text(_worst(main, lambda row: row.epsilon_patient)),
        *(_dice([row for row in done if row.test_set == name]) for name in sets),
        *(number_text(value, 2) for value in _against_bookends(main)),
        short_text(_mean(main, lambda row: row.offline_distance if row.fid is None else row.fid)),
        number_text(_mean(main, lambda row: row.mask_distance), 2),
        number_text(_mean(main, lambda row: row.scores.get(HD95.name)), HD95.digits),
        number_text(_mean(main, lambda row: row.seconds), 0),
    ]


def _against_bookends(rows: Sequence[SummaryRow]) -> tuple[float | None, float | None]:
    """``of real`` and ``gain`` of a row's seeds: ratios of means, as on a board."""
    dice, free = _mean(rows, lambda row: row.dice), _mean(rows, lambda row: row.dice_of_free)
    real = _mean(rows, lambda row: row.dice_of_real)
    return dice / real if dice is not None and real else None, gain(dice, free, real)


def _dice(rows: Sequence[SummaryRow]) -> str:
    """The mean of the row's seeds; of one draw without an interval."""
    if not rows or rows[0].dice_mean is None:
        return "–"
    mean, low, high = rows[0].dice_mean, rows[0].dice_mean_low, rows[0].dice_mean_high
    if low is None or high is None:
        return number_text(mean, 3)
    return interval_text(mean, low, high, 3)


def _mean(rows: Sequence[SummaryRow], of: Callable[[SummaryRow], float | None]) -> float | None:
    values = [value for value in map(of, rows) if value is not None]
    return fmean(values) if values else None


def _worst(rows: Sequence[SummaryRow], of: Callable[[SummaryRow], float | None]) -> float | None:
    values = [of(row) for row in rows]
    return None if None in values else max(value for value in values if value is not None)


def _distance_heading(rows: Sequence[SummaryRow]) -> str:
    with_fid = next((row for row in rows if row.fid is not None), None)
    if with_fid is None:
        return "offline distance"
    return f"FID (n={with_fid.fid_n}, {with_fid.fid_dims}-d)"
