"""One trial: the cells of its settings, a seed after the other, given up once it falls behind.

The intermediate scores are those of whole cells, so a pruner sees nothing that the ledger has not
charged: no score is read from a fit that is still running.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING

from benchmark.core.errors import UsageError
from benchmark.results.result import Result
from benchmark.results.spec import RunSpec
from benchmark.tuning.objectives import OBJECTIVES

if TYPE_CHECKING:
    import optuna

ERROR = "error"
UNPRUNED = 4
"""So many trials are finished before one is given up, as there is no median before."""


def pruner() -> optuna.pruners.BasePruner:
    """Gives up a trial whose mean so far is below the median of the others' at the same seed."""
    from optuna.pruners import MedianPruner

    return MedianPruner(n_startup_trials=UNPRUNED)


@dataclass
class Going:
    """A trial that is not over.

    Attributes:
        trial: Optuna's.
        specs: Its cells, one for each seed.
        objectives: Names of what is optimised; only a single one can be pruned by.
        spared: Whether it is finished whatever its scores, as the default's is.
        scores: What the finished cells scored.
    """

    trial: optuna.Trial
    specs: Sequence[RunSpec]
    objectives: Sequence[str]
    spared: bool
    scores: list[list[float]] = field(default_factory=list)

    @property
    def next(self) -> RunSpec:
        """The cell to run."""
        return self.specs[len(self.scores)]

    def hear(self, result: Result) -> bool:
        """Takes a finished cell's scores; tells Optuna if they end the trial, and whether they do.

        A trial that another worker took for dead is over already, and stays what it was said to be.

        Raises:
            UsageError: If the cell has no score for an objective.
        """
        if not self._runs():
            return True
        values = [OBJECTIVES[name].score(result) for name in self.objectives]
        if None in values:
            raise UsageError("no FID without the Inception weights")
        self.scores.append([float(value) for value in values if value is not None])
        means = [fmean(column) for column in zip(*self.scores, strict=True)]
        if len(self.scores) == len(self.specs):
            self.trial.study.tell(self.trial, means, skip_if_finished=True)
            return True
        return len(means) == 1 and self._fell_behind(means[0])

    def fail(self, reason: str) -> None:
        """It cannot be finished."""
        from optuna.trial import TrialState

        if self._runs():
            self.trial.set_user_attr(ERROR, reason.strip().splitlines()[-1])
            self.trial.study.tell(self.trial, state=TrialState.FAIL, skip_if_finished=True)

    def give_back(self) -> None:
        """It is to be run again, by the next worker."""
        from optuna.trial import TrialState

        if self._runs():
            self.trial.study.enqueue_trial(self.trial.params)
            self.trial.study.tell(self.trial, state=TrialState.FAIL, skip_if_finished=True)

    def _runs(self) -> bool:
        """Whether nobody took it for dead."""
        trials = self.trial.study.get_trials(deepcopy=False)
        return trials[self.trial.number].state.name == "RUNNING"

    def _fell_behind(self, mean: float) -> bool:
        from optuna.trial import TrialState

        self.trial.report(mean, step=len(self.scores) - 1)
        if self.spared or not self.trial.should_prune():
            return False
        self.trial.study.tell(self.trial, state=TrialState.PRUNED, skip_if_finished=True)
        return True
