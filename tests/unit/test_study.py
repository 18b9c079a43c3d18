"""What a study's trials cost together, how dead workers' trials end, and what its store is told."""

import math
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from made import INPUTS

from benchmark.core.errors import UsageError
from benchmark.data.phantom import PhantomCohort
from benchmark.privacy.accounting.composition import total_epsilon
from benchmark.privacy.ledger.ledger import DELTA, OverCapError, ledger_in
from benchmark.results.outcome import Outcome
from benchmark.sweep.inputs import Inputs
from benchmark.sweep.machine import Machine
from benchmark.sweep.payment import spendings_of
from benchmark.sweep.plan_cells import guarantee_of
from benchmark.sweep.request import Request
from benchmark.sweep.site_plans import site_plans
from benchmark.sweep.sites import Federation
from benchmark.sweep.workspace import Workspace
from benchmark.tuning import run as studies
from benchmark.tuning.optuna_storage import storage_at
from benchmark.tuning.run import Answer, Order
from benchmark.tuning.starts import spent
from benchmark.tuning.study import PHANTOM_SEED, Lab, StudySpec, first_trials
from benchmark.tuning.worker import Trials

FAST = {"generator_steps": "3", "batch": "16", "critic_steps": "1", "pretrain": "none"}
PATIENTS = replace(INPUTS, tests={"val": INPUTS.tests["test"]}, private=True)
STUDY = StudySpec(
    request=Request(
        generators=("dp-wgan",),
        epsilons=(5.0,),
        settings={"dp-wgan": FAST},
        bookends=False,
        noise="system",
    ),
    trials=4,
)


def bench(folder: Path, machine: str = "one", inputs: Inputs = PATIENTS) -> Lab:
    """One of several machines that share a store and nothing else."""
    return Lab(
        inputs=inputs,
        root=folder / machine / "trials",
        machine=Machine(cache=folder / "cache", state=folder / machine / "state"),
        storage=f"sqlite:///{folder / 'optuna.db'}",
        is_shared=True,
        progress=lambda *_: None,
        ended=lambda *_: None,
        news=lambda _: None,
    )


def died(trials: Trials) -> Iterator[int]:
    """Starts a cell after the other, each of which fails at once."""
    for task in trials.tasks():
        yield task.guarantee.steps
        trials.ended(Outcome(task.spec, "failed", "it died"))


def test_what_every_machine_started_is_composed_on_each(tmp_path: Path) -> None:
    for machine in ("one", "other"):
        starts = died(Trials(STUDY, bench(tmp_path, machine)))
        assert next(starts) == next(starts) == 3
    study = Trials(STUDY, bench(tmp_path, "third")).study
    whole = spent([study], "patch")
    assert whole.fits == 4
    for machine in ("one", "other", "third"):
        assert not ledger_in(bench(tmp_path, machine).machine.state).entries(), "no cell was run"
    four = ledger_in(tmp_path / "state")
    specs = STUDY.specs(PATIENTS, {})
    plan = guarantee_of(specs[0], PATIENTS, tmp_path / "cache")
    for _ in range(4):
        four.charge(spendings_of(specs[0], plan, PATIENTS, tmp_path / "cache")[0])
    assert whole.epsilon == four.total_of({specs[0].key}, unit="patch") > plan.epsilon
    assert whole.epsilon_patient == four.total_of({specs[0].key}, unit="patient")


def test_sites_pay_each_for_its_own_patients(tmp_path: Path) -> None:
    federation = Federation(sites=2, partition="size-skew:3,1")
    study_spec = replace(STUDY, request=replace(STUDY.request, federation=federation))
    trials = Trials(study_spec, bench(tmp_path))
    next(died(trials))
    plans = site_plans(study_spec.specs(PATIENTS, {})[0], PATIENTS, tmp_path / "cache")
    each = [total_epsilon([plan], DELTA, unit="patch") for plan in plans.values()]
    assert len(each) == 2
    assert spent([trials.study], "patch").epsilon == max(each)


def test_the_start_the_hints_and_each_other_choice_come_before_anything_drawn(
    tmp_path: Path,
) -> None:
    free = replace(STUDY, request=replace(STUDY.request, settings={}))
    settings = free.start().as_dict()
    start = {name: settings[name] for name in free.space()}
    hinted = replace(free, hints=[{**settings, "critic_rate": 3e-3}])
    assert list(first_trials(hinted)) == [
        start,
        {**start, "critic_rate": 3e-3},
        {**start, "pretrain": "simulator"},
    ]
    trials = Trials(free, bench(tmp_path))
    starts = died(trials)
    next(starts), next(starts)
    assert trials.study.trials[0].params == start
    assert trials.study.trials[1].params == {**start, "pretrain": "simulator"}


@pytest.mark.parametrize("private", [True, False])
def test_a_level_starts_from_what_another_found_on_phantoms_alone(
    private: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[StudySpec] = []

    def answered(study_spec: StudySpec, *_: Any) -> tuple[Any, Answer, None]:
        asked.append(study_spec)
        found = SimpleNamespace(generator="dp-wgan", settings={"batch": len(asked)})
        return None, Answer(None, found, tmp_path, lambda _: None), None  # type: ignore[arg-type]

    monkeypatch.setattr(studies, "_answered", answered)
    monkeypatch.setattr(studies, "gather", lambda *_, **__: PATIENTS)
    monkeypatch.setattr(studies, "spent", lambda *_: None)
    request = replace(STUDY.request, epsilons=(2.0, 5.0))
    order = Order(request=request, objectives=("dice",), trials=1, storage=None, private=private)
    data = tmp_path if private else None
    place = Workspace(out=tmp_path, machine=Machine(cache=tmp_path, state=tmp_path), data=data)
    studies.run_studies(order, place, SimpleNamespace(preparing=None))  # type: ignore[arg-type]
    assert [list(one.hints) for one in asked] == [
        [],
        [] if private else [{"batch": 1}],
    ]


def test_phantoms_are_labelled_as_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gathered: list[PhantomCohort] = []

    def gather(*_: Any, phantoms: PhantomCohort, **__: Any) -> Any:
        gathered.append(phantoms)
        return PATIENTS

    monkeypatch.setattr(studies, "_answered", lambda *_: (None, None, None))
    monkeypatch.setattr(studies, "gather", gather)
    order = Order(
        request=STUDY.request, objectives=("dice",), trials=1, storage=None, private=False
    )
    place = Workspace(out=tmp_path, machine=Machine(cache=tmp_path, state=tmp_path))
    for annotators in ("usual", "broad"):
        asked = replace(order, annotators=annotators)
        studies.run_studies(asked, place, SimpleNamespace(preparing=None))  # type: ignore[arg-type]
    assert [(one.seed, one.annotators) for one in gathered] == [
        (PHANTOM_SEED, "usual"),
        (PHANTOM_SEED, "broad"),
    ]


def test_a_trial_that_is_retried_is_counted_once(tmp_path: Path) -> None:
    trials = Trials(STUDY, bench(tmp_path))
    next(trials.tasks())
    age(tmp_path, trial=0)
    again = Trials(STUDY, bench(tmp_path, "other"))
    next(again.tasks())
    states = [trial.state.name for trial in again.study.trials]
    assert (states[0], states[-1]) == ("FAIL", "RUNNING")
    assert again.study.trials[-1].params == again.study.trials[0].params
    assert spent([again.study], "patch").fits == 2


def test_on_phantoms_nothing_is_spent_and_no_trial_is_marked(tmp_path: Path) -> None:
    free = replace(PATIENTS, private=False)
    trials = Trials(STUDY, bench(tmp_path, inputs=free))
    task = next(trials.tasks())
    assert task.spec.tuned is None
    assert spent([trials.study], "patch").epsilon == 0


def test_a_trial_on_patients_says_in_its_result_that_nobody_accounts_it(tmp_path: Path) -> None:
    task = next(Trials(STUDY, bench(tmp_path)).tasks())
    assert task.spec.tuned is not None
    assert task.spec.tuned.selection == "not accounted"
    assert task.spec.tuned.on == "private"


def age(folder: Path, trial: int) -> None:
    """As if its worker had been silent for an hour."""
    with sqlite3.connect(folder / "optuna.db") as store:
        for table, column in (("trials", "datetime_start"), ("trial_heartbeats", "heartbeat")):
            store.execute(
                f"UPDATE {table} SET {column} = datetime({column}, '-1 hour') "  # noqa: S608
                "WHERE trial_id IN (SELECT trial_id FROM trials WHERE number = ?)",
                (trial,),
            )
    store.close()


def asked_for(trials: Trials) -> None:
    with pytest.warns(UserWarning, match="Heartbeat"):
        trials.study.ask()


def test_a_trial_whose_worker_died_before_its_first_sign_of_life_is_tried_again(
    tmp_path: Path,
) -> None:
    trials = Trials(STUDY, bench(tmp_path))
    asked_for(trials)  # and its worker dies
    age(tmp_path, trial=0)
    task = next(Trials(STUDY, bench(tmp_path, "other")).tasks())
    states = [trial.state.name for trial in trials.study.trials]
    assert states[0] == "FAIL"
    assert states.count("RUNNING") == 1
    assert STUDY.start().as_dict().items() <= task.spec.generator.settings.items()


def test_a_young_trial_without_a_sign_of_life_is_left_alone(tmp_path: Path) -> None:
    trials = Trials(STUDY, bench(tmp_path))
    asked_for(trials)
    next(Trials(STUDY, bench(tmp_path, "other")).tasks())
    assert trials.study.trials[0].state.name == "RUNNING"


def test_a_trial_that_was_taken_for_dead_starts_no_further_cell(tmp_path: Path) -> None:
    two = replace(STUDY, request=replace(STUDY.request, seeds=2))
    trials = Trials(two, bench(tmp_path))
    tasks = trials.tasks()
    next(tasks)
    trials.study.tell(0, state=optuna.trial.TrialState.FAIL)
    (going,) = trials._open
    trials._between.append(going)
    going.scores.append([0.5])
    next(tasks)
    assert going not in trials._open
    assert [len(g.scores) for g in trials._open] == [0], "another trial was begun instead"


def test_a_heartbeat_survives_an_error_of_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.tuning.worker.HEARTBEAT_S", 0.01)
    trials = Trials(STUDY, bench(tmp_path))
    next(trials.tasks())
    beats: list[int] = []

    def fails_once(trial: int) -> None:
        beats.append(trial)
        if len(beats) == 1:
            raise OSError("the store is away")

    monkeypatch.setattr(trials._storage, "record_heartbeat", fails_once)
    with trials.beating():
        while len(beats) < 3:
            pass
    assert trials.study.trials[0].state.name == "FAIL", "it was given back"


def test_a_cap_stops_a_search_before_the_trial_that_would_go_over_it(tmp_path: Path) -> None:
    place = bench(tmp_path)
    ledger_in(place.machine.state).set_cap(0.1)
    trials = Trials(STUDY, place)
    assert next(trials.tasks(), None) is None
    assert isinstance(trials.stopped, OverCapError)
    assert spent([trials.study], "patch").fits == 0


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg2://bench:s3cr%40t@127.0.0.1:1/x",
        "cellar://bench:s3cr%40t@somewhere/x",
        "postgresql+psycopg2://127.0.0.1:1/x?user=bench&password=s3cr%40t",
    ],
)
def test_no_error_of_a_store_tells_its_password(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.tuning.optuna_storage.SETTLE_S", 0.0)
    with pytest.raises(UsageError, match=r"\*\*\*") as refused:
        storage_at(url)
    assert "s3cr" not in str(refused.value)


def test_an_infinite_trial_makes_the_whole_infinite(tmp_path: Path) -> None:
    request = replace(STUDY.request, epsilons=(math.inf,))
    trials = Trials(replace(STUDY, request=request), bench(tmp_path))
    next(died(trials))
    assert spent([trials.study], "patch").epsilon == math.inf
