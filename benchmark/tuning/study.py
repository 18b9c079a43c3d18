"""Studies: one for each generator, ε, unit and cohort. Every trial consists of cells of its own.

The objective is read from *validation* patients: no test patient's file is opened. Optuna keeps the
trials, in a file beside the results or in any store that several machines share. The cells keep
their results, so a killed study continues and computes nothing twice.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.core.editions import preset_in
from benchmark.core.errors import UsageError
from benchmark.core.registry import generators
from benchmark.core.seeds import stream
from benchmark.core.settings import Settings
from benchmark.results.outcome import Outcome
from benchmark.results.provenance import suite
from benchmark.results.spec import RunSpec, canonical
from benchmark.results.spec_parts import TunedBy
from benchmark.results.tuned_settings import (
    FREE,
    NOT_ACCOUNTED,
    PHANTOM,
    PRIVATE,
    Found,
    Provenance,
)
from benchmark.sweep.executors.cluster import Cluster
from benchmark.sweep.inputs import Inputs
from benchmark.sweep.machine import Machine
from benchmark.sweep.plan_cells import cells
from benchmark.sweep.request import Request
from benchmark.tuning.objectives import OBJECTIVES
from benchmark.tuning.optuna_storage import SETTLE_S, storage_at
from benchmark.tuning.starts import composed
from benchmark.tuning.trial import pruner

if TYPE_CHECKING:
    import optuna

PHANTOM_SEED = 21
"""The seed of the phantoms that are tuned on: neither the embedded cohort's nor the
experiments'."""

DONE = "COMPLETE"
OVER = (DONE, "PRUNED")
STARTUP = 6
"""The number of random trials, including the default, before the sampler learns from them."""


@dataclass(frozen=True, kw_only=True)
class StudySpec:
    """The question of a study.

    Attributes:
        request: A sweep of one generator, one ε and one segmenter; a trial's score is the mean over
            its seeds.
        objectives: Names among ``OBJECTIVES``; the first decides the winner.
        trials: How many are to be finished or stopped early.
        hints: Settings to try right after the default's: what other levels found, on phantoms.
        command: The command that was typed.
        fid_weights: Digest of the Inception weights; empty unless FID is an objective.
    """

    request: Request
    objectives: Sequence[str] = ("dice",)
    trials: int = 20
    hints: Sequence[Mapping[str, Any]] = ()
    command: str = ""
    fid_weights: str = ""

    @property
    def generator(self) -> str:
        """The generator's name."""
        return self.request.generators[0]

    @property
    def epsilon(self) -> float:
        """The level."""
        return self.request.epsilons[0]

    def start(self) -> Settings:
        """Return the settings that the search starts from."""
        kind, texts = generators.get(self.generator), self.request.settings
        request = self.request
        preset = preset_in(request.protocol, kind.presets, self.generator, request.preset)
        return preset.with_texts(texts.get(self.generator, {}))

    def starts_with(self, settings: Mapping[str, Any]) -> bool:
        """Tell whether these are the settings that the search starts from."""
        return settings.items() <= self.start().as_dict().items()

    def chosen(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return all settings of a trial but those that the user set."""
        fixed = self.request.settings.get(self.generator, {})
        won = replace(self.start(), **settings)
        return {n: v for n, v in won.completed(won.as_dict()).items() if n not in fixed}

    def space(self) -> dict[str, optuna.distributions.BaseDistribution]:
        """Return the ranges that are searched. Settings that the user set are not varied.

        Raises:
            UsageError: If there is nothing to vary.
        """
        fixed = self.request.settings.get(self.generator, {})
        space = self.start().search_space(self.request.unit)
        left = {name: law for name, law in space.items() if name not in fixed}
        if not left:
            raise UsageError(f"{self.generator} has no setting that tuning may vary.")
        return left

    def specs(self, inputs: Inputs, settings: Mapping[str, Any]) -> list[RunSpec]:
        """Return the cells of a trial, by rising seed.

        On patients, each cell's spec says that the selection is not accounted.

        Args:
            inputs: Training and validation patients.
            settings: The settings of the trial.
        """
        specs = self._cells(inputs, settings)
        if not inputs.private:
            return specs
        how = TunedBy(
            epsilon=self.epsilon,
            study=self.name(inputs),
            on=PRIVATE,
            selection=NOT_ACCOUNTED,
            trial=True,
        )
        return [replace(spec, tuned=how) for spec in specs]

    def name(self, inputs: Inputs) -> str:
        """Return the study's name, with a digest of all that decides a trial but its settings."""
        keys = [spec.key for spec in self._cells(inputs, {})]
        said = canonical([keys, list(self.objectives), sorted(self.space())])
        digest = hashlib.sha256(said.encode()).hexdigest()[:8]
        return f"{self.generator} ε={self.epsilon:g} {self.request.unit} {digest}"

    def held(self) -> tuple[str, ...]:
        """Return the settings that the user set, as they were written."""
        return tuple(
            f"{plug_in}.{name}={text}"
            for plug_in, texts in self.request.settings.items()
            for name, text in texts.items()
        )

    def _cells(self, inputs: Inputs, settings: Mapping[str, Any]) -> list[RunSpec]:
        texts = {name: str(value) for name, value in settings.items()}
        ours = {**self.request.settings.get(self.generator, {}), **texts}
        asked = {**self.request.settings, self.generator: ours}
        request = replace(self.request, settings=asked, bookends=False)
        return cells(request, inputs, self.fid_weights)


@dataclass(frozen=True, kw_only=True)
class Lab:
    """The data and the machine of a study's trials.

    Attributes:
        inputs: Training patients, and validation patients to choose by.
        root: The store of the study's cells, and of no other's.
        machine: The machine that the cells run on; its weights matter if FID is an objective.
        storage: The URL of Optuna's store.
        is_shared: Whether workers elsewhere may use that store.
        jobs: Trials at a time, each in a process of its own; 0 for this very process.
        cluster: The cluster on whose nodes trials run; ``None`` for this machine.
        progress: Hears of every stage of a trial's cell.
        ended: Hears of every cell that ended, and of its trial's number.
        news: Hears of every trial that is over.
    """

    inputs: Inputs
    root: Path
    machine: Machine
    storage: str
    is_shared: bool = False
    jobs: int = 1
    cluster: Cluster | None = None
    progress: Callable[[RunSpec, str, int, int], None]
    ended: Callable[[Outcome, int], None]
    news: Callable[[str], None]


def study_of(study_spec: StudySpec, lab: Lab) -> optuna.Study:
    """Return the study. A new one is created with its first trials waiting in it."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    name = study_spec.name(lab.inputs)
    storage = storage_at(lab.storage)
    try:
        study = optuna.create_study(
            study_name=name,
            storage=storage,
            directions=[OBJECTIVES[objective].direction for objective in study_spec.objectives],
            pruner=pruner(),
        )
    except optuna.exceptions.DuplicatedStudyError:
        study = optuna.load_study(study_name=name, storage=storage, pruner=pruner())
        if lab.is_shared and not study.trials:
            time.sleep(SETTLE_S)  # whoever made it is about to say where it starts
    if not (lab.is_shared and study.trials):
        for settings in first_trials(study_spec):  # a kill may have left some out
            study.enqueue_trial(settings, skip_if_exists=True)
    return study


def first_trials(study_spec: StudySpec) -> Iterator[dict[str, Any]]:
    """Yield the settings that are tried before any are drawn.

    They are the settings that the search starts from, then what other levels found. Then follows
    each other choice of a setting that has choices alone, such as a pretraining, with all else as
    at the start.
    """
    from optuna.distributions import CategoricalDistribution

    space, start = study_spec.space(), study_spec.start().as_dict()
    for settings in (start, *study_spec.hints):
        yield {name: settings[name] for name in space}
    for name, law in space.items():
        for choice in law.choices if isinstance(law, CategoricalDistribution) else ():
            if choice != start[name]:
                yield {other: start[other] for other in space} | {name: choice}


def sampler_for(study: optuna.Study, number: int) -> optuna.samplers.BaseSampler:
    """What draws the settings of the trial of that number.

    It depends on the study, the number and the trials before: a search that is killed and goes on
    draws what it would have drawn.
    """
    import optuna

    seed = stream(0, f"{study.study_name} trial {number}") % 2**32
    return optuna.samplers.TPESampler(multivariate=True, n_startup_trials=STARTUP, seed=seed)


def best_of(study: optuna.Study) -> optuna.trial.FrozenTrial:
    """Return the finished trial whose first objective is best; of equals, the earliest.

    Raises:
        UsageError: If no trial was finished.
    """
    from optuna.study import StudyDirection
    from optuna.trial import TrialState

    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not done:
        raise UsageError(f"{study.study_name}: every trial failed; their folders say why.")
    sign = 1 if study.directions[0] == StudyDirection.MAXIMIZE else -1
    return max(done, key=lambda trial: (sign * trial.values[0], -trial.number))


def found_by(study_spec: StudySpec, lab: Lab, study: optuna.Study) -> Found:
    """Return the winner's settings with their provenance.

    Args:
        study_spec: The question of the study.
        lab: The data and the machine.
        study: Its trials.

    Raises:
        UsageError: If no trial was finished.
    """
    best, first = best_of(study), _first(study_spec, study)
    private, request = lab.inputs.private, study_spec.request
    over = [trial for trial in study.trials if trial.state.name in OVER]
    made_by = suite()
    return Found(
        generator=study_spec.generator,
        version=generators.get(study_spec.generator).version,
        unit=request.unit,
        epsilon=study_spec.epsilon,
        settings=study_spec.chosen(best.params),
        provenance=Provenance(
            command=study_spec.command,
            study=study.study_name,
            preset=request.preset,
            segmenter=request.segmenters[0],
            sites=request.federation.sites,
            partition=request.federation.partition if request.federation.asked else "",
            held=study_spec.held(),
            objectives=tuple(study_spec.objectives),
            trials=len(over),
            seeds=request.seeds,
            data=lab.inputs.data,
            on=PRIVATE if private else PHANTOM,
            selection=NOT_ACCOUNTED if private else FREE,
            delta=study_spec.specs(lab.inputs, {})[0].delta,
            epsilon_of_all_trials=composed([study], request.unit) if private else 0.0,
            score=best.values[0],
            default=math.nan if first is None else first.values[0],
            suite_version=made_by["version"],
            suite_commit=made_by["commit"],
            protocol=request.protocol,
        ),
    )


def _first(study_spec: StudySpec, study: optuna.Study) -> optuna.trial.FrozenTrial | None:
    """The finished trial of the settings that the search started from."""
    done = (trial for trial in study.trials if trial.state.name == DONE)
    return next((trial for trial in done if study_spec.starts_with(trial.params)), None)
