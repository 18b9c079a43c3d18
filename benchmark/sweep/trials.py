"""The trials of a study: asked of Optuna one by one, run as cells, told when they have ended."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from benchmark.core.errors import UsageError
from benchmark.sweep.cell import ledger_in, spendings_of
from benchmark.sweep.planning import guarantee_of
from benchmark.sweep.runner import Outcome, run_tasks
from benchmark.sweep.spec import RunSpec
from benchmark.sweep.store import Store
from benchmark.sweep.study import HEARTBEAT_S, OBJECTIVES, Bench, Question, storage_at, study_of
from benchmark.sweep.worker import Task

if TYPE_CHECKING:
    import optuna

POLL_S = 2.0
ERROR = "error"


def search(question: Question, bench: Bench) -> optuna.Study:
    """Runs trials until enough are finished, by whichever worker; waits for other workers' last.

    Raises:
        UsageError: If as many trials failed as were asked for.
    """
    trials = Trials(question, bench)
    with trials.beating():
        while not trials.enough():
            events = replace(bench.events, ended=trials.ended)
            run_tasks(trials.tasks(), jobs=bench.jobs, events=events)
            if not trials.enough():
                time.sleep(POLL_S)
    return trials.study


class Trials:
    """Asks Optuna for trials while some are left to run, and tells it how they ended.

    Args:
        question: What the study asks.
        bench: Where trials run.
    """

    def __init__(self, question: Question, bench: Bench) -> None:
        self.study = study_of(question, bench)
        self._question, self._bench = question, bench
        self._storage = storage_at(bench.storage)
        self._space, self._store = question.space(), Store(bench.root)
        self._running: dict[str, optuna.Trial] = {}

    def enough(self) -> bool:
        """Whether all trials are finished, or nothing will be gained by more."""
        return self._count("COMPLETE") >= self._question.trials

    def tasks(self) -> Iterator[Task]:
        """The cells of trials, while any are left that no worker runs."""
        from optuna.storages import fail_stale_trials

        while True:
            with _quietly():
                fail_stale_trials(self.study)
            if self._count("COMPLETE", "RUNNING") >= self._question.trials:
                return
            if self._failed() >= self._question.trials:
                raise UsageError(
                    f"{self.study.study_name}: as many trials failed as were asked for; "
                    f"{self._bench.root} has their reasons, in error.txt."
                )
            task = self._asked()
            if task is not None:
                yield task

    def _asked(self) -> Task | None:
        """The cell of the next trial; ``None`` if its result is known, or it cannot be."""
        with _quietly():
            trial = self.study.ask()
        self._storage.record_heartbeat(trial._trial_id)  # without one it could never be missed
        settings = {name: _suggested(trial, name, law) for name, law in self._space.items()}
        spec = self._question.spec(self._bench.inputs, settings)
        trial.set_user_attr("run_key", spec.key)
        self._running[spec.key] = trial
        try:
            kept = self._store.result(spec)
            task = None if kept else _task(spec, self._bench)
        except BaseException:
            self._give_back(self._running.pop(spec.key))
            raise
        if kept:
            self._tell(spec)
        return task

    def ended(self, outcome: Outcome) -> None:
        """A trial's cell ended."""
        self._tell(outcome.spec, outcome.error if outcome.state == "failed" else "")
        self._bench.events.ended(outcome)

    def _tell(self, spec: RunSpec, error: str = "") -> None:
        from optuna.trial import TrialState

        trial = self._running.pop(spec.key)
        result = self._store.result(spec) or {}
        values = [OBJECTIVES[n][1](result) for n in self._question.objectives] if result else []
        if not values or None in values:
            reason = error or ("no FID without the Inception weights" if values else "no result")
            trial.set_user_attr(ERROR, reason.strip().splitlines()[-1])
            self.study.tell(trial, state=TrialState.FAIL)
        else:
            self.study.tell(trial, [float(value) for value in values if value is not None])

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Tells Optuna that this worker lives; on the way out, gives back what it had begun."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(HEARTBEAT_S):
                for trial in list(self._running.values()):
                    self._storage.record_heartbeat(trial._trial_id)

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            for trial in self._running.values():
                self._give_back(trial)

    def _give_back(self, trial: optuna.Trial) -> None:
        """An interrupted trial is to be run again, by the next worker."""
        from optuna.trial import TrialState

        self.study.enqueue_trial(trial.params)
        self.study.tell(trial, state=TrialState.FAIL)

    def _failed(self) -> int:
        """Trials whose cell failed; those that an interrupt gave back are none."""
        return sum(ERROR in trial.user_attrs for trial in self.study.get_trials(deepcopy=False))

    def _count(self, *states: str) -> int:
        return sum(trial.state.name in states for trial in self.study.get_trials(deepcopy=False))


@contextmanager
def _quietly() -> Iterator[None]:
    """Optuna warns of heartbeats without its own loop; here `beating` sends them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _task(spec: RunSpec, bench: Bench) -> Task:
    """The trial's cell, planned; the ledger's cap is asked before anything is computed."""
    guarantee = guarantee_of(spec, bench.inputs, bench.cache)
    ledger_in(bench.state).check(spendings_of(spec, guarantee, bench.inputs, bench.cache))
    return Task(
        spec=spec,
        guarantee=guarantee,
        reference=None,
        inputs=bench.inputs,
        root=bench.root,
        cache=bench.cache,
        state=bench.state,
        fid_weights=bench.fid_weights,
        device=bench.device,
    )


def _suggested(trial: optuna.Trial, name: str, law: optuna.distributions.BaseDistribution) -> Any:
    """A value from a range, which Optuna takes only by the range's kind."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if isinstance(law, FloatDistribution):
        return trial.suggest_float(name, law.low, law.high, log=law.log)
    if isinstance(law, IntDistribution):
        return trial.suggest_int(name, law.low, law.high, log=law.log)
    assert isinstance(law, CategoricalDistribution)  # noqa: S101  (Optuna has these three)
    return trial.suggest_categorical(name, law.choices)
