"""Tables and pictures of studies: in which direction better is, of what ε is, and the front."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import optuna
import pytest
import rich.console

from benchmark.results.tuned_settings import FREE, NOT_ACCOUNTED, Found, Provenance
from benchmark.terminal import tuning
from benchmark.tuning.run import Answer

HOW = Provenance(
    command="bench tune",
    study="a study",
    preset="quick",
    segmenter="unet",
    sites=1,
    partition="",
    held=(),
    objectives=("dice",),
    trials=4,
    seeds=1,
    data="abc",
    on="phantom",
    selection=FREE,
    delta=1e-6,
    epsilon_of_all_trials=0.0,
    score=0.8,
    default=0.7,
    suite_version="0.1.0",
    suite_commit="unknown",
)


def answer(
    scores: Sequence[Sequence[float]],
    objectives: Mapping[str, str],
    settings: Mapping[str, Any] = {"batch": 64},
    *,
    leaky: bool = False,
) -> Answer:
    study = optuna.create_study(directions=list(objectives.values()))
    for number, values in enumerate(scores):
        law = {"batch": optuna.distributions.IntDistribution(0, 99)}
        study.add_trial(
            optuna.create_trial(values=values, params={"batch": number}, distributions=law)
        )
    how = replace(HOW, objectives=tuple(objectives))
    if leaky:
        how = replace(how, on="private", selection=NOT_ACCOUNTED, epsilon_of_all_trials=9.5)
    found = Found(
        generator="dp-wgan",
        version=1,
        unit="patient",
        epsilon=5.0,
        settings=settings,
        provenance=how,
    )
    return Answer(study, found, Path("5.toml"), lambda _: None)


def points(chart: Any) -> list[dict[str, Any]]:
    said = chart.to_dict()
    return [point for data in said["datasets"].values() for point in data]


@pytest.mark.parametrize(
    ("objective", "direction", "best"),
    [("dice", "maximize", [0.5, 0.7, 0.7]), ("distance", "minimize", [0.5, 0.5, 0.1])],
)
def test_the_history_falls_where_less_is_better(
    objective: str, direction: str, best: list[float]
) -> None:
    chart = tuning._history([answer([[0.5], [0.7], [0.1]], {objective: direction})])
    assert [point["best"] for point in points(chart)] == best
    title = {"dice": "validation Dice", "distance": "offline distance"}[objective]
    said = json.dumps(chart.to_dict())
    assert f'"title": "{title}"' in said
    assert f"{title}: trials, and the best so far" in said


def test_names_are_drawn_as_names_and_numbers_as_numbers() -> None:
    settings = {"batch": 64, "loss": "hinge", "wild": True}
    said = tuning._settings([answer([[0.5]], {"dice": "maximize"}, settings)]).to_dict()
    kinds = {chart["title"]: chart["encoding"]["y"]["type"] for chart in said["concat"]}
    assert kinds == {"batch": "quantitative", "loss": "nominal", "wild": "nominal"}


def test_one_level_alone_shows_the_number_that_was_found() -> None:
    settings = {"batch": 239, "clip_norm": 0.21312940013089177}
    picture, drawn = tuning._settings([answer([[0.5]], {"dice": "maximize"}, settings)]), StringIO()
    picture.save(drawn, format="svg")
    assert ">239<" in drawn.getvalue()
    assert ">0.2131<" in drawn.getvalue()


def test_the_front_has_the_trials_that_no_other_beats_and_names_the_winner(tmp_path: Path) -> None:
    goals = {"dice": "maximize", "distance": "minimize"}
    made = answer([[0.5, 1.0], [0.8, 3.0], [0.4, 2.0], [0.8, 4.0], [0.3, 9.0]], goals)
    table = tuning.front_table(made)
    assert list(table.columns[0].cells) == ["1", "2*"]
    text = printed(table)
    assert "The winner (*) has the best validation Dice; of equals, the earliest" in text
    drawn = {(p["first"], p["second"]): p["where"] for p in points(tuning._front([made]))}
    assert [place for place, where in drawn.items() if where == "front"] == [(0.5, 1), (0.8, 3)]
    assert len(drawn) == 5
    assert [file.name for file in tuning.draw_studies([made], tmp_path)] == [
        "tuning-history.png",
        "tuning-front.png",
        "tuning-importance.png",
        "tuning-settings.png",
    ]


@pytest.mark.parametrize("second", [{}, {"distance": "minimize"}])
def test_what_mattered_is_what_the_best_trials_share_whichever_direction_is_better(
    second: dict[str, str],
) -> None:
    def most(direction: str, sign: int) -> str:
        """Only the best trials have the one value in `decides`; the worst share one in `other`."""
        law = optuna.distributions.IntDistribution(0, 40)
        objective = {"maximize": "dice", "minimize": "distance"}[direction]
        made = answer([], {objective: direction, **(second if direction == "maximize" else {})})
        for n in range(40):
            params = {"decides": 20 if n >= 36 else n, "other": 20 if n < 4 else n}
            values = [sign * n / 40] + [0.0] * (len(made.study.directions) - 1)
            laws = {"decides": law, "other": law}
            made.study.add_trial(
                optuna.create_trial(values=values, params=params, distributions=laws)
            )
        bars = points(tuning._importance([made]))
        return max(bars, key=lambda bar: bar["share"])["setting"]

    assert most("maximize", 1) == most("minimize", -1) == "decides"


def printed(table: Any) -> str:
    console = rich.console.Console(width=400)
    with console.capture() as shown:
        console.print(table)
    return " ".join(shown.get().split())


@pytest.mark.parametrize(("seeds", "said"), [(1, "one draw each"), (3, "means over 3 seeds")])
def test_scores_of_a_search_say_of_how_many_seeds_they_are(seeds: int, said: str) -> None:
    found = answer([[0.5]], {"dice": "maximize"}).found
    told = replace(found, provenance=replace(found.provenance, seeds=seeds))
    assert f"Scores, {said}, are those of validation patients" in printed(
        tuning.tuning_table([told])
    )


@pytest.mark.parametrize("leaky", [True, False])
def test_no_epsilon_is_bare_and_a_leaky_choice_says_so_on_every_picture(leaky: bool) -> None:
    made = answer([[0.5], [0.6], [0.7], [0.8]], {"dice": "maximize"}, leaky=leaky)
    text = printed(tuning.tuning_table([made.found]))
    assert "ε asked, patient" in text
    assert "δ of a trial = 1e-06" in text
    assert ("ε of all trials, patient" in text) == leaky
    assert ("Validation patients have no guarantee" in text) == leaky
    for draw in (tuning._history, tuning._importance, tuning._settings):
        said = json.dumps(draw([made]).to_dict(), ensure_ascii=False)
        assert "patient" in said
        assert "δ = 1e-06" in said
        assert ("selection: not accounted" in said) == leaky
