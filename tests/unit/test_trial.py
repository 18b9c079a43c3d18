"""A trial goes on while it keeps up, and is given up once it falls behind."""

from collections.abc import Sequence
from pathlib import Path

import optuna
import pytest
from cells import SPEC
from scored import NO_FID, result_of, scored_set

from benchmark.core.errors import UsageError
from benchmark.results.result import Result
from benchmark.tuning.trial import UNPRUNED, Going, pruner

OTHERS = [0.70, 0.72, 0.74, 0.76]


def result(dice: float, distance: float = 1.0) -> Result:
    return result_of(SPEC, scored_set(dice=dice, offline_distance=distance, fid=NO_FID))


def going(
    study: optuna.Study,
    *,
    seeds: int = 2,
    spared: bool = False,
    objectives: Sequence[str] = ("dice",),
) -> Going:
    return Going(study.ask(), ["spec"] * seeds, objectives, spared)  # type: ignore[list-item]


@pytest.fixture
def study(tmp_path: Path) -> optuna.Study:
    """A study in which as many trials are finished as a median needs."""
    store = f"sqlite:///{tmp_path / 'optuna.db'}"
    study = optuna.create_study(storage=store, direction="maximize", pruner=pruner())
    assert len(OTHERS) == UNPRUNED
    for dice in OTHERS:
        other = going(study)
        assert not other.hear(result(dice)), "nobody is given up before there is a median"
        assert other.hear(result(dice + 0.02))
    return study


def test_a_finished_trial_scores_the_mean_of_its_seeds(study: optuna.Study) -> None:
    assert [trial.value for trial in study.trials] == pytest.approx([d + 0.01 for d in OTHERS])


@pytest.mark.parametrize(
    ("dice", "spared", "over"), [(0.60, False, True), (0.60, True, False), (0.75, False, False)]
)
def test_what_falls_behind_the_median_is_given_up_unless_it_is_the_default(
    study: optuna.Study, dice: float, spared: bool, over: bool
) -> None:
    trial = going(study, spared=spared)
    assert trial.hear(result(dice)) is over
    assert study.trials[-1].state.name == ("PRUNED" if over else "RUNNING")
    if over:
        assert study.trials[-1].value == dice
        assert study.best_value == pytest.approx(max(OTHERS) + 0.01)


def test_with_two_goals_nobody_falls_behind(tmp_path: Path) -> None:
    study = optuna.create_study(directions=["maximize", "minimize"], pruner=pruner())
    for dice, distance in [(0.7, 2.0)] * UNPRUNED + [(0.1, 9.0)]:
        trial = going(study, objectives=("dice", "distance"))
        assert not trial.hear(result(dice, distance))
        assert trial.hear(result(dice, distance + 1))
    assert study.trials[-1].values == [0.1, 9.5]


def test_a_goal_without_a_score_is_said(study: optuna.Study) -> None:
    with pytest.raises(UsageError, match="no FID"):
        going(study, objectives=("fid",)).hear(result(0.7))


def test_what_is_given_back_is_asked_again(study: optuna.Study) -> None:
    trial = going(study)
    batch = trial.trial.suggest_int("batch", 1, 100)
    trial.give_back()
    assert study.trials[trial.trial.number].state.name == "FAIL"
    assert study.ask().suggest_int("batch", 1, 100) == batch
