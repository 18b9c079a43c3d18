"""The table of planned fits, made before any data are read."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from benchmark.core.budget import RELATION, delta_text, epsilon_text
from benchmark.results.promises import MEANINGFUL
from benchmark.sweep.feasibility import DOUBTFUL, FREE, HOPELESS, WORKABLE, Prospect

STYLES = {WORKABLE: "green", FREE: "green", DOUBTFUL: "yellow", HOPELESS: "red"}
NUMBERS = ("ε asked", "spent, patch", "spent, patient", "δ", "σ", "q", "T", "C", "noise / signal")
EVIDENCE = (
    "Noise / signal: the length of all noise of a fit over that of the longest sum that all units "
    "could make, if they agreed in every step. The verdict rests on that, so on public numbers, "
    "and on a few measured cases (docs/privacy.md): it promises nothing, and whether ε is small "
    "enough is another question."
)
UNKNOWN = "–"


def prospects_table(found: Sequence[Prospect]) -> Table:
    """Make a table with one line for each generator and ε."""
    table = Table(
        header_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
        caption=Text(_caption(found)),
        caption_justify="left",
    )
    table.add_column("generator")
    table.add_column("unit")
    for heading in NUMBERS:
        table.add_column(heading, justify="right")
    table.add_column("verdict")
    for one in found:
        said = Text(one.verdict, STYLES.get(one.verdict, ""))
        table.add_row(one.generator, one.unit, epsilon_text(one.epsilon), *_mechanism(one), said)
    return table


def _mechanism(one: Prospect) -> list[str]:
    plan = one.plan
    if plan is None:
        return [UNKNOWN] * (len(NUMBERS) - 1)
    noised = 0 < plan.noise_multiplier < math.inf
    return [
        epsilon_text(plan.epsilon_patch),
        epsilon_text(plan.epsilon_patient),
        delta_text(plan.delta),
        _number(plan.noise_multiplier if noised else None),
        _number(plan.sampling_rate if plan.steps else None),
        str(plan.steps),
        _number(plan.clip_norm if noised else None),
        UNKNOWN if one.noise_to_signal is None else f"{one.noise_to_signal:.2g}",
    ]


def _caption(found: Sequence[Prospect]) -> str:
    plans = [one.plan for one in found if one.plan is not None]
    spent = [e for plan in plans for e in (plan.epsilon_patch, plan.epsilon_patient)]
    words = [EVIDENCE, f"Neighbours: {RELATION}."]
    if any(e is not None and MEANINGFUL < e < math.inf for e in spent):
        words.append(f"An ε above {MEANINGFUL:g} is no meaningful guarantee.")
    return " ".join(words)


def _number(value: float | None) -> str:
    if value is None:
        return UNKNOWN
    return f"{value:.4g}" if value < 1000 else f"{value:.1e}"
