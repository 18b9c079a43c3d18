"""The worker of a study: it asks Optuna for trials, runs them as cells, and reports their ends."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from benchmark.core.budget import Guarantee
from benchmark.core.errors import UsageError
from benchmark.privacy.ledger.ledger import OverCapError, Spending, ledger_in
from benchmark.results.outcome import Outcome
from benchmark.results.result import Result
from benchmark.results.store import Store
from benchmark.sweep.executors.executor import Events
from benchmark.sweep.executors.run import executor_for
from benchmark.sweep.executors.task import Task
from benchmark.sweep.payment import spendings_of
from benchmark.sweep.plan_cells import guarantee_of
from benchmark.tuning.optuna_storage import GRACE_S, HEARTBEAT_S, storage_at, try_again
from benchmark.tuning.presence import entering
from benchmark.tuning.starts import enter, entered, place_of
from benchmark.tuning.study import DONE, OVER, Lab, StudySpec, best_of, sampler_for, study_of
from benchmark.tuning.trial import ERROR, Going

if TYPE_CHECKING:
    import optuna

POLL_S = 2.0
KEYS = "run_keys"
"""The attribute with a trial's cells. It is written after the first heartbeat, so it implies
one."""


def search(study_spec: StudySpec, lab: Lab) -> optuna.Study:
    """Run trials until enough are finished, by all workers, and wait for other workers' last ones.

    Returns:
        The study.

    Raises:
        OverCapError: If the ledger's cap allows no further trial; those that ran have ended.
        UsageError: If as many trials failed as were asked for.
    """
    trials = Trials(study_spec, lab)
    with (
        trials.beating(),
        executor_for(lab.jobs, lab.cluster, lab.root, lab.machine) as executor,
    ):
        while not trials.enough():
            events = Events(progress=lab.progress, ended=trials.ended)
            executor.run(trials.tasks(), events)
            if trials.stopped is not None:
                raise trials.stopped
            if not trials.enough():
                time.sleep(POLL_S)
    return trials.study


class Trials:
    """Asks Optuna for trials while some are left to run, and tells it how they ended.

    Args:
        study_spec: The question of the study.
        lab: The data and the machine.

    Attributes:
        study: Optuna's study.
        stopped: Why no further trial may run.
    """

    def __init__(self, study_spec: StudySpec, lab: Lab) -> None:
        with entering(lab.root) as alone:
            self._begin(study_spec, lab, alone=alone)

    def _begin(self, study_spec: StudySpec, lab: Lab, *, alone: bool) -> None:
        self.study = study_of(study_spec, lab)
        self.stopped: OverCapError | None = None
        self._study_spec, self._lab = study_spec, lab
        self._storage = storage_at(lab.storage)
        self._space, self._store = study_spec.space(), Store(lab.root)
        self._place = place_of(lab.root, lab.machine.state)
        self._open: list[Going] = []
        self._between: list[Going] = []
        self._running: dict[str, Going] = {}
        if alone and not lab.is_shared:
            self._adopt()

    def enough(self) -> bool:
        """Whether all trials are over, other workers' too, the default's among them."""
        over = self._count(*OVER) >= self._study_spec.trials
        return over and not self._default_waits()

    def tasks(self) -> Iterator[Task]:
        """Yield the cells of trials, while any are left that no worker runs."""
        while self.stopped is None:
            self._bury()
            going = self._between.pop(0) if self._between else self._asked()
            if going is None:
                return
            try:
                task = self._next(going)
            except OverCapError as error:
                self.stopped = error
                return
            if task is not None:
                yield task

    def ended(self, outcome: Outcome) -> None:
        """Take the outcome of a trial's cell."""
        going = self._running.pop(outcome.spec.key)
        result = self._store.result(outcome.spec)
        if outcome.state == "busy":
            time.sleep(POLL_S)  # another worker computes the same cell
            self._between.append(going)
        elif result is None:
            self._over(going, outcome.error or "no result")
        elif self._hear(going, result):
            self._between.append(going)
        self._lab.ended(outcome, going.trial.number)

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Send heartbeats to Optuna while the context is open.

        At its end, give back unfinished trials.
        """
        over = threading.Event()

        def beat() -> None:
            while not over.wait(HEARTBEAT_S):
                for going in list(self._open):
                    with suppress(Exception):  # a store that was away is there for the next one
                        self._storage.record_heartbeat(going.trial._trial_id)

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            for going in self._open if self._lab.is_shared else ():
                going.give_back()  # of a store of its own, the next worker adopts what is open

    def _asked(self) -> Going | None:
        """The next trial; ``None`` if all are over or run by somebody.

        Raises:
            UsageError: If as many failed as were asked for.
        """
        begun = self._count(*OVER, "RUNNING") >= self._study_spec.trials
        if begun and not self._default_waits():
            return None
        if self._failed() >= self._study_spec.trials:
            raise UsageError(
                f"{self.study.study_name}: as many trials failed as were asked for; "
                f"{self._lab.root} has their reasons, in error.txt."
            )
        with _quietly():
            trial = self.study.ask()  # its number is its own, whoever else asks now
        return self._opened(self._drawn(trial._trial_id, trial.number))

    def _drawn(self, identity: int, number: int) -> optuna.Trial:
        """The trial with all its settings, drawn as its number says."""
        from optuna.trial import Trial

        self.study.sampler = sampler_for(self.study, number)
        with _quietly():
            trial = Trial(self.study, identity)
            for name, law in self._space.items():
                trial._suggest(name, law)
        return trial

    def _opened(self, trial: optuna.Trial) -> Going:
        self._storage.record_heartbeat(trial._trial_id)  # without one it could never be missed
        specs = self._study_spec.specs(self._lab.inputs, trial.params)
        trial.set_user_attr(KEYS, [spec.key for spec in specs])
        spared = self._study_spec.starts_with(trial.params)
        self._open.append(Going(trial, specs, self._study_spec.objectives, spared))
        return self._open[-1]

    def _adopt(self) -> None:
        """Goes on with the trials of workers that were killed, under their own numbers.

        A kill may have come before all settings of a trial were drawn; the rest is drawn now.
        """
        from optuna.trial import TrialState

        for orphan in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            trial = self._drawn(orphan._trial_id, orphan.number)
            self._between.append(self._opened(trial))

    def _default_waits(self) -> bool:
        """Whether the settings that the search starts from are still to be tried."""
        from optuna.trial import TrialState

        waiting = self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        starts = self._study_spec.starts_with
        fixed = (trial.system_attrs.get("fixed_params") for trial in waiting)
        return any(starts(settings) for settings in fixed if settings)

    def _bury(self) -> None:
        """Fails trials whose worker died, also before its first sign of life; they are retried."""
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.storages import fail_stale_trials
        from optuna.trial import TrialState

        since = datetime.now() - timedelta(seconds=GRACE_S)
        with _quietly():
            fail_stale_trials(self.study)
            for trial in self.study.get_trials(states=(TrialState.RUNNING,)):
                if KEYS not in trial.user_attrs and (trial.datetime_start or since) < since:
                    with suppress(UpdateFinishedTrialError):  # another worker did
                        self._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
                        try_again(self.study, trial)

    def _next(self, going: Going) -> Task | None:
        """The trial's next cell; ``None`` if it is over, as the results of all are known.

        Raises:
            OverCapError: If the ledger's cap does not allow it.
        """
        while (kept := self._store.result(going.next)) is not None:
            if not self._known(going) or not self._hear(going, kept):
                return None
        guarantee, spendings = self._spendings(going)
        ledger_in(self._lab.machine.state).check(spendings)
        if not self._enter(going, spendings):
            return None
        self._running[going.next.key] = going
        return Task(
            spec=going.next,
            guarantee=guarantee,
            reference=None,
            inputs=self._lab.inputs,
            root=self._lab.root,
            machine=self._lab.machine,
        )

    def _known(self, going: Going) -> bool:
        """Enters a cell that this study did not start: its store may be lost, and the cell kept."""
        if not self._lab.inputs.private or entered(self.study, going.next.key, self._place):
            return True
        return self._enter(going, self._spendings(going)[1])

    def _spendings(self, going: Going) -> tuple[Guarantee, list[Spending]]:
        """The next cell's plan, and what it costs whom."""
        inputs, cache = self._lab.inputs, self._lab.machine.cache
        guarantee = guarantee_of(going.next, inputs, cache)
        return guarantee, spendings_of(going.next, guarantee, inputs, cache)

    def _enter(self, going: Going, spendings: Sequence[Spending]) -> bool:
        """Enters what the trial's next cell costs patients; whether the trial may go on.

        One that was taken for dead meanwhile may not: nobody would see what it spends.
        """
        from optuna.exceptions import UpdateFinishedTrialError

        if not self._lab.inputs.private:
            return True
        try:
            enter(going.trial, spendings, self._place)
        except UpdateFinishedTrialError:
            self._close(going)
            return False
        return True

    def _hear(self, going: Going, result: Result) -> bool:
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
        self._lab.news(f"{name}: trial {number} {ended} {scores}".rstrip() + f"{best}.")

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
