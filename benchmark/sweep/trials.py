"""The trials of a study: asked of Optuna one by one, run as cells, told when they have ended."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from benchmark.core.errors import UsageError
from benchmark.sweep.cell import ledger_in, spendings_of
from benchmark.sweep.planning import guarantee_of
from benchmark.sweep.runner import Outcome, run_tasks
from benchmark.sweep.spec import RunSpec
from benchmark.sweep.store import Store
from benchmark.sweep.study import (
    DONE,
    HEARTBEAT_S,
    OVER,
    Bench,
    Question,
    best_of,
    storage_at,
    study_of,
)
from benchmark.sweep.trial import ERROR, Going
from benchmark.sweep.worker import Task

if TYPE_CHECKING:
    import optuna

POLL_S = 2.0


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
        self._open: list[Going] = []
        self._between: list[Going] = []
        self._running: dict[str, Going] = {}

    def enough(self) -> bool:
        """Whether all trials are over, other workers' too."""
        return self._count(*OVER) >= self._question.trials

    def tasks(self) -> Iterator[Task]:
        """The cells of trials, while any are left that no worker runs."""
        from optuna.storages import fail_stale_trials

        while True:
            with _quietly():
                fail_stale_trials(self.study)
            going = self._between.pop(0) if self._between else self._asked()
            if going is None:
                return
            if (task := self._next(going)) is not None:
                yield task

    def ended(self, outcome: Outcome) -> None:
        """A trial's cell ended."""
        going = self._running.pop(outcome.spec.key)
        result = self._store.result(outcome.spec)
        if result is None:
            self._over(going, outcome.error or "no result")
        elif self._hear(going, result):
            self._between.append(going)
        self._bench.events.ended(outcome)

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Tells Optuna that this worker lives; on the way out, gives back what it had begun."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(HEARTBEAT_S):
                for going in list(self._open):
                    self._storage.record_heartbeat(going.trial._trial_id)

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            for going in self._open:
                going.give_back()

    def _asked(self) -> Going | None:
        """The next trial; ``None`` if all are over or run by somebody.

        Raises:
            UsageError: If as many failed as were asked for.
        """
        if self._count(*OVER, "RUNNING") >= self._question.trials:
            return None
        if self._failed() >= self._question.trials:
            raise UsageError(
                f"{self.study.study_name}: as many trials failed as were asked for; "
                f"{self._bench.root} has their reasons, in error.txt."
            )
        with _quietly():
            trial = self.study.ask()
        self._storage.record_heartbeat(trial._trial_id)  # without one it could never be missed
        settings = {name: _suggested(trial, name, law) for name, law in self._space.items()}
        specs = self._question.specs(self._bench.inputs, settings)
        trial.set_user_attr("run_keys", [spec.key for spec in specs])
        spared = self._question.starts_with(settings)
        self._open.append(Going(trial, specs, self._question.objectives, spared))
        return self._open[-1]

    def _next(self, going: Going) -> Task | None:
        """The trial's next cell; ``None`` if it is over, as the results of all are known."""
        while (kept := self._store.result(going.next)) is not None:
            if not self._hear(going, kept):
                return None
        task = _task(going.next, self._bench)
        self._running[going.next.key] = going
        return task

    def _hear(self, going: Going, result: Mapping[str, Any]) -> bool:
        """Whether the trial goes on after this result."""
        try:
            over = going.hear(result)
        except UsageError as error:
            self._over(going, str(error))
            return False
        if over:
            self._close(going)
        return not over

    def _over(self, going: Going, reason: str) -> None:
        going.fail(reason)
        self._close(going)

    def _close(self, going: Going) -> None:
        self._open.remove(going)
        over = self.study.trials[going.trial.number]
        best = f"; the best so far {best_of(self.study).values[0]:.4g}" if self._count(DONE) else ""
        ended = {"COMPLETE": "scored", "PRUNED": "fell behind at"}.get(over.state.name, "failed")
        scores = ", ".join(f"{score:.4g}" for score in over.values or ())
        name, number = self.study.study_name, over.number + 1
        self._bench.news(f"{name}: trial {number} {ended} {scores}".rstrip() + f"{best}.")

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
