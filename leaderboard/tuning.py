"""What studies found: a table, their histories, what mattered, and how the best settings move."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import altair as alt
from rich import box
from rich.table import Table
from rich.text import Text

from benchmark.sweep.studies import Answer
from benchmark.sweep.tuned import NOT_ACCOUNTED, Found

HISTORY, IMPORTANCE, SETTINGS = "tuning-history.png", "tuning-importance.png", "tuning-settings.png"
FEW = 4
"""Of fewer trials nobody can say what mattered."""


def tuning_table(found: Sequence[Found]) -> Table:
    """One line for each study; what was chosen on patients says that nobody accounted it."""
    leaky = [one for one in found if one.provenance.selection == NOT_ACCOUNTED]
    said = "Dice of validation patients, by whom the settings were chosen: it is no result."
    if leaky:
        said += f" Selection: {NOT_ACCOUNTED}; whoever saw all trials has seen the composed ε."
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption=Text(said), caption_justify="left")
    for heading in ("generator", "ε", "trials", "default", "tuned"):
        table.add_column(heading, justify="left" if heading == "generator" else "right")
    if leaky:
        table.add_column("ε of all trials", justify="right")
    table.add_column("settings")
    for one in found:
        how = one.provenance
        composed = [_epsilon(how.epsilon_of_all_trials)] if leaky else []
        settings = ", ".join(f"{name}={_short(value)}" for name, value in one.settings.items())
        numbers = (f"{how.default:.3f}", f"{how.score:.3f}")
        level = _epsilon(one.epsilon)
        table.add_row(one.generator, level, str(how.trials), *numbers, *composed, settings)
    return table


def draw_studies(answers: Sequence[Answer], out: Path) -> list[Path]:
    """Writes the pictures; returns their files."""
    drawn = {
        HISTORY: _history(answers),
        IMPORTANCE: _importance(answers),
        SETTINGS: _settings(answers),
    }
    files = []
    for name, chart in drawn.items():
        if chart is not None:
            chart.save(str(out / name), scale_factor=2)
            files.append(out / name)
    return files


def _history(answers: Sequence[Answer]) -> Any:
    """Every trial's first objective, and the best so far."""
    points = []
    for answer in answers:
        best = -math.inf
        for trial in answer.study.trials:
            if trial.state.name == "COMPLETE":
                best = max(best, trial.values[0])
                by = {"by": _by(answer), "trial": trial.number}
                points.append({**by, "value": trial.values[0], "best": best})
    base = alt.Chart().encode(x=alt.X("trial:Q", title="trial", axis=alt.Axis(tickMinStep=1)))
    dots = base.mark_point(filled=True).encode(
        y=alt.Y("value:Q", title="validation Dice", scale=alt.Scale(domain=[0, 1]))
    )
    line = base.mark_line(interpolate="step-after", color="grey").encode(y="best:Q")
    chart = alt.layer(line, dots, data={"values": points}).properties(width=240, height=150)
    return _facets(chart, answers, "Trials, and the best so far")


def _importance(answers: Sequence[Answer]) -> Any:
    """How much of the objective's variance each setting explains (fANOVA)."""
    from optuna.importance import get_param_importances

    bars = []
    for answer in answers:
        done = [t for t in answer.study.trials if t.state.name == "COMPLETE"]
        if len(done) < FEW or len({t.values[0] for t in done}) < FEW:
            continue
        several = len(answer.study.directions) > 1
        target = (lambda trial: trial.values[0]) if several else None
        for name, share in get_param_importances(answer.study, target=target).items():
            bars.append({"by": _by(answer), "setting": name, "share": share})
    if not bars:
        return None
    chart = alt.Chart({"values": bars}).mark_bar()
    chart = chart.encode(
        x=alt.X("share:Q", title="share of the variance"), y=alt.Y("setting:N", title=None)
    ).properties(width=240, height=150)
    return _facets(chart, answers, "What mattered")


def _settings(answers: Sequence[Answer]) -> Any:
    """The best settings against ε, a small chart for each."""
    points = [
        {
            "generator": answer.found.generator,
            "epsilon": _epsilon(answer.found.epsilon),
            "setting": name,
            "value": value,
        }
        for answer in sorted(answers, key=lambda answer: answer.found.epsilon)
        for name, value in answer.found.settings.items()
    ]
    order = list(dict.fromkeys(str(point["epsilon"]) for point in points))
    chart = alt.Chart({"values": points}).mark_line(point=True)
    chart = chart.encode(
        x=alt.X("epsilon:O", sort=order, title="ε", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False)),
        color=alt.Color("generator:N", title=None, legend=alt.Legend(orient="bottom")),
    ).properties(width=150, height=110)
    faceted = chart.facet(alt.Facet("setting:N", title=None), columns=4)
    return faceted.resolve_scale(y="independent").properties(title="The best settings against ε")


def _facets(chart: Any, answers: Sequence[Answer], title: str) -> Any:
    sort = [_by(answer) for answer in answers]
    return chart.facet(alt.Facet("by:N", title=None, sort=sort), columns=3, title=title)


def _by(answer: Answer) -> str:
    return f"{answer.found.generator}, ε = {_epsilon(answer.found.epsilon)}"


def _epsilon(value: float) -> str:
    return "∞" if math.isinf(value) else f"{value:.4g}"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
