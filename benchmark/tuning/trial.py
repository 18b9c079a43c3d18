"""One trial: the cells of its settings, one seed after the other, until it falls behind.

The intermediate scores are those of whole cells. So a pruner sees nothing that the ledger has not
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
"""How many trials are finished before one may be stopped early. Before that, there is no median."""


def pruner() -> optuna.pruners.BasePruner:
    """Return a pruner that stops a trial whose mean so far is below the median of the others.

    Means over the same seeds are compared.
    """
    from optuna.pruners import MedianPruner

    return MedianPruner(n_startup_trials=UNPRUNED)


@dataclass
class Going:
    """A trial that is not finished.

    Attributes:
        trial: Optuna's trial.
        specs: Its cells, one for each seed.
        objectives: Names of what is optimised. Pruning needs a single one.
        spared: Whether it is never pruned, like the default's trial.
        scores: The scores of the finished cells.
    """

    trial: optuna.Trial
    specs: Sequence[RunSpec]
    objectives: Sequence[str]
    spared: bool
    scores: list[list[float]] = field(default_factory=list)

    @property
    def next(self) -> RunSpec:
        """The next cell to run."""
        return self.specs[len(self.scores)]

    def hear(self, result: Result) -> bool:
        """Take a finished cell's scores, and tell Optuna if they end the trial.

        A trial that another worker took for dead is already finished, and stays as it was recorded.

        Args:
            result: The cell's result.

        Returns:
            Whether the trial has ended.

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
        """Tell Optuna that the trial failed.

        Args:
            reason: Its last line is recorded.
        """
        from optuna.trial import TrialState

        if self._runs():
            self.trial.set_user_attr(ERROR, reason.strip().splitlines()[-1])
            self.trial.study.tell(self.trial, state=TrialState.FAIL, skip_if_finished=True)

    def give_back(self) -> None:
        """End the trial and queue its settings again, for the next worker."""
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
