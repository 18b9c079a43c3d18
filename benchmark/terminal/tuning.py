"""The results of studies: tables, histories, importances, and the best settings at each ε."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import altair as alt
from rich import box
from rich.table import Table
from rich.text import Text

from benchmark.core.budget import delta_text, epsilon_text
from benchmark.privacy.ledger.ledger import DELTA
from benchmark.results.tuned_settings import NOT_ACCOUNTED, Found
from benchmark.tuning.objectives import OBJECTIVES
from benchmark.tuning.run import Answer
from benchmark.tuning.study import best_of

HISTORY, IMPORTANCE, SETTINGS = "tuning-history.png", "tuning-importance.png", "tuning-settings.png"
FRONT = "tuning-front.png"
FEW = 4
"""The fewest trials from which importances are computed."""


def tuning_table(found: Sequence[Found]) -> Table:
    """Make a table with one line for each study.

    If settings were chosen on patients, the table says that the selection is not accounted.
    """
    leaky = any(one.provenance.selection == NOT_ACCOUNTED for one in found)
    objective = OBJECTIVES[found[0].provenance.objectives[0]].title
    unit = found[0].unit
    caption = Text(_caption(found, leaky=leaky))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption=caption, caption_justify="left")
    table.add_column("generator")
    for heading in (f"ε asked, {unit}", "trials", f"{objective}: default", "tuned"):
        table.add_column(heading, justify="right")
    if leaky:
        table.add_column(f"ε of all trials, {unit}", justify="right")
    table.add_column("settings")
    for one in found:
        how = one.provenance
        composed = [epsilon_text(how.epsilon_of_all_trials)] if leaky else []
        settings = ", ".join(f"{name}={_short(value)}" for name, value in one.settings.items())
        numbers = (f"{how.default:.3f}", f"{how.score:.3f}")
        level = epsilon_text(one.epsilon)
        table.add_row(one.generator, level, str(how.trials), *numbers, *composed, settings)
    return table


def _caption(found: Sequence[Found], *, leaky: bool) -> str:
    delta = max(one.provenance.delta for one in found)
    seeds = found[0].provenance.seeds
    mean = f"means over {seeds} seeds" if seeds > 1 else "one draw each"
    said = (
        f"Scores, {mean}, are those of validation patients, by whom the settings were chosen: they "
        f"are no results, and luck flatters the best. δ of a trial = {delta_text(delta)}."
    )
    if not leaky:
        return f"{said} Tuned on phantoms: free of private data."
    return (
        f"{said} Selection: {NOT_ACCOUNTED}. The ε of all trials is composed, at "
        f"δ = {DELTA:g}, and holds for the fitted patients. Validation patients have no guarantee."
    )


def front_table(answer: Answer) -> Table:
    """Make a table of the trials that no other trial dominates in all objectives."""
    objectives = answer.found.provenance.objectives
    caption = Text(
        f"{_by(answer)}: no finished trial is as good in all of these and better in one. The "
        f"winner (*) has the best {OBJECTIVES[objectives[0]].title}; of equals, the earliest."
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption=caption, caption_justify="left")
    for heading in ("trial", *(OBJECTIVES[name].title for name in objectives)):
        table.add_column(heading, justify="right")
    table.add_column("settings")
    winner = best_of(answer.study).number
    for trial in sorted(answer.study.best_trials, key=lambda trial: trial.values[0]):
        number = f"{trial.number + 1}{'*' if trial.number == winner else ''}"
        settings = ", ".join(f"{name}={_short(value)}" for name, value in trial.params.items())
        table.add_row(number, *(f"{value:.4g}" for value in trial.values), settings)
    return table


def draw_studies(answers: Sequence[Answer], out: Path) -> list[Path]:
    """Write the pictures, and return their files."""
    drawn = {
        HISTORY: _history(answers),
        FRONT: _front(answers),
        IMPORTANCE: _importance(answers),
        SETTINGS: _settings(answers),
    }
    files = []
    for name, chart in drawn.items():
        if chart is not None:
            chart.save(str(out / name), scale_factor=2)
            files.append(out / name)
    return files


def _finished(answer: Answer) -> list[Any]:
    return [trial for trial in answer.study.trials if trial.state.name == "COMPLETE"]


def _title(answers: Sequence[Answer], objective: int = 0) -> str:
    return OBJECTIVES[answers[0].found.provenance.objectives[objective]].title


def _history(answers: Sequence[Answer]) -> Any:
    """Every trial's first objective, and the best so far."""
    first = OBJECTIVES[answers[0].found.provenance.objectives[0]]
    better = max if first.direction == "maximize" else min
    points = []
    for answer in answers:
        best = None
        for trial in _finished(answer):
            value = trial.values[0]
            best = value if best is None else better(best, value)
            by = {"by": _by(answer), "trial": trial.number + 1}
            points.append({**by, "value": value, "best": best})
    base = alt.Chart().encode(x=alt.X("trial:Q", title="trial", axis=alt.Axis(tickMinStep=1)))
    scale = alt.Scale(domain=[0, 1]) if first.title.endswith("Dice") else alt.Scale(zero=False)
    dots = base.mark_point(filled=True).encode(y=alt.Y("value:Q", title=first.title, scale=scale))
    line = base.mark_line(interpolate="step-after", color="grey").encode(y="best:Q")
    chart = alt.layer(line, dots, data={"values": points}).properties(width=240, height=150)
    return _facets(chart, answers, f"{first.title}: trials, and the best so far")


def _front(answers: Sequence[Answer]) -> Any:
    """Every trial by its first two objectives; those of the front joined."""
    if len(answers[0].found.provenance.objectives) < 2:
        return None
    points = []
    for answer in answers:
        best = {trial.number for trial in answer.study.best_trials}
        for trial in _finished(answer):
            first, second = trial.values[:2]
            where = "front" if trial.number in best else "behind"
            points.append({"by": _by(answer), "first": first, "second": second, "where": where})
    base = alt.Chart().encode(
        x=alt.X("second:Q", title=_title(answers, 1), scale=alt.Scale(zero=False)),
        y=alt.Y("first:Q", title=_title(answers), scale=alt.Scale(zero=False)),
    )
    dots = base.mark_point(filled=True).encode(color=alt.Color("where:N", title=None))
    line = base.mark_line(color="grey").transform_filter("datum.where == 'front'")
    chart = alt.layer(line, dots, data={"values": points}).properties(width=240, height=150)
    return _facets(chart, answers, "No trial is better than those of the front in every objective")


def _importance(answers: Sequence[Answer]) -> Any:
    """How much each setting decides which trials are among the best (PED-ANOVA)."""
    from optuna.importance import get_param_importances

    first = OBJECTIVES[answers[0].found.provenance.objectives[0]]
    sign = -1 if first.direction == "maximize" else 1
    bars = []
    for answer in answers:
        done = _finished(answer)
        if len(done) < FEW or len({t.values[0] for t in done}) < FEW:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a target is taken for the better the lower it is
            found = get_param_importances(answer.study, target=lambda t: sign * t.values[0])
        for name, share in found.items():
            bars.append({"by": _by(answer), "setting": name, "share": share})
    if not bars:
        return None
    chart = alt.Chart({"values": bars}).mark_bar()
    chart = chart.encode(
        x=alt.X("share:Q", title="share of the importance"), y=alt.Y("setting:N", title=None)
    ).properties(width=240, height=150)
    return _facets(
        chart, answers, f"What decides whether a trial's {first.title} is among the best"
    )


def _settings(answers: Sequence[Answer]) -> Any:
    """The best settings against ε, a small chart for each."""
    found = sorted((answer.found for answer in answers), key=lambda one: one.epsilon)
    order = list(dict.fromkeys(epsilon_text(one.epsilon) for one in found))
    charts = []
    for name in dict.fromkeys(name for one in found for name in one.settings):
        points = [
            {
                "generator": o.generator,
                "epsilon": epsilon_text(o.epsilon),
                "value": o.settings[name],
            }
            for o in found
            if name in o.settings
        ]
        number = all(type(point["value"]) in (int, float) for point in points)
        y = alt.Y(f"value:{'Q' if number else 'N'}", title=None)
        if number:
            y = y.scale(zero=False).axis(format=".4~g")  # one level alone gives no step to round by
        chart = alt.Chart({"values": points}).mark_line(point=True)
        chart = chart.encode(
            x=alt.X("epsilon:O", sort=order, title="ε asked", axis=alt.Axis(labelAngle=0)),
            y=y,
            color=alt.Color("generator:N", title=None, legend=alt.Legend(orient="bottom")),
        )
        charts.append(chart.properties(width=150, height=110, title=name))
    delta = max(one.provenance.delta for one in found)
    title = f"The best settings against ε of a {found[0].unit} at δ = {delta_text(delta)}"
    return alt.concat(*charts, columns=4, title=title + _selection(answers))


def _facets(chart: Any, answers: Sequence[Answer], title: str) -> Any:
    sort = [_by(answer) for answer in answers]
    title += _selection(answers)
    return chart.facet(alt.Facet("by:N", title=None, sort=sort), columns=3, title=title)


def _by(answer: Answer) -> str:
    found = answer.found
    delta = delta_text(found.provenance.delta)
    return f"{found.generator}, ε = {epsilon_text(found.epsilon)} ({found.unit}, δ = {delta})"


def _selection(answers: Sequence[Answer]) -> str:
    """What every picture's title ends with, where patients decided."""
    leaky = answers[0].found.provenance.selection == NOT_ACCOUNTED
    return f"; selection: {NOT_ACCOUNTED}" if leaky else ""


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
