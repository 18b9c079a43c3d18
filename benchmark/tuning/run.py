"""``bench tune``: one study for every generator and ε, and the settings that they found."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmark.core.addresses import folder_name, sqlite_url
from benchmark.core.editions import found as edition
from benchmark.core.errors import UsageError
from benchmark.core.folders import check_writable
from benchmark.core.names import unknown
from benchmark.data.phantom import PhantomCohort
from benchmark.data.phantom.annotators import USUAL
from benchmark.metrics import weights
from benchmark.privacy.ledger.ledger import OverCapError, ledger_in
from benchmark.results.composed import Together
from benchmark.results.outcome import Outcome
from benchmark.results.spec import VALIDATION
from benchmark.results.store import Store
from benchmark.results.tuned_settings import (
    FOLDER,
    FREE,
    NOT_ACCOUNTED,
    PHANTOM,
    PRIVATE,
    Found,
    check_replaceable,
    file_of,
)
from benchmark.sweep import remarks
from benchmark.sweep.executors.run import check_cluster
from benchmark.sweep.executors.task import check_device
from benchmark.sweep.inputs import Inputs, gather
from benchmark.sweep.request import Request, check, is_bookend
from benchmark.sweep.tracking.mlflow_runs import STUDY, Tracker, default_uri
from benchmark.sweep.tracking.parents import Parent
from benchmark.sweep.workspace import Listener, Workspace
from benchmark.tuning.objectives import OBJECTIVES
from benchmark.tuning.optuna_storage import storage_at
from benchmark.tuning.starts import spent
from benchmark.tuning.study import (
    DONE,
    PHANTOM_SEED,
    Lab,
    StudySpec,
    found_by,
    study_of,
)
from benchmark.tuning.worker import KEYS, search

if TYPE_CHECKING:
    import optuna

DATABASE = "optuna.db"
CELLS = "trials"
DESCRIPTION = (
    "One study: each child run is a cell of a trial. Its Dice is that of *validation* patients, by "
    "whom the settings are chosen; it is no result. Tuned on {on} data; selection: {selection}."
)


@dataclass(frozen=True, kw_only=True)
class Order:
    """The request for a search.

    Attributes:
        request: A sweep without bookends; one study for each generator and ε that it can run at.
        objectives: What is optimised; the first decides the winner.
        trials: For each study.
        storage: Optuna's store; ``None`` for a file in ``out``.
        private: Whether patients are tuned on, in which case the selection is not accounted.
        annotators: Who labels the phantoms: a key of ``annotators.ANNOTATORS``.
        command: The command that was typed.
    """

    request: Request
    objectives: Sequence[str]
    trials: int
    storage: str | None
    private: bool
    annotators: str = USUAL
    command: str = ""


@dataclass(frozen=True)
class Answer:
    """A finished study.

    Attributes:
        study: Its trials.
        found: The settings it found.
        file: The file with them.
        keep: Logs a file, as a picture, with the study's run in MLflow.
    """

    study: optuna.Study
    found: Found
    file: Path
    keep: Callable[[Path], None]


class Searched(NamedTuple):
    """The results of a command's studies.

    Attributes:
        answers: One for each study that has a finished trial.
        cost: What all of them together cost patients; ``None`` on phantoms.
        stopped: Why no further trial was run, if the ledger's cap allowed none.
    """

    answers: list[Answer]
    cost: Together | None
    stopped: OverCapError | None


def run_studies(order: Order, workspace: Workspace, listener: Listener) -> Searched:
    """Run what is left of every study, and write the settings they found below ``OUT/tuned``.

    On phantoms, what one level found is tried at the next. On patients it is not: it would carry
    information about them into a study that does not count it.

    Args:
        order: What is to be tuned.
        workspace: Folders, machine and jobs.
        listener: Called for everything that happens.

    Raises:
        BenchError: For wrong usage or unusable data, before anything is computed.
    """
    fid_weights = _fid_weights(order, workspace)
    study_specs = list(_study_specs(order, workspace, fid_weights))
    version = edition(order.request.protocol).phantoms
    phantoms = PhantomCohort(version, PHANTOM_SEED, order.annotators)
    for folder in (workspace.out, workspace.machine.cache, workspace.machine.state):
        check_writable(folder)
    ledger_in(workspace.machine.state).cap()  # one that cannot be used stops everything
    if workspace.cluster is None:
        check_device(workspace.machine.device)
    else:
        check_cluster(workspace.cluster)
    if order.storage is not None:
        storage_at(order.storage)
    inputs = gather(
        workspace.data,
        (),
        cache=workspace.machine.cache,
        state=workspace.machine.state,
        jobs=workspace.readers,
        progress=listener.preparing,
        reading=workspace.reading,
        held_out=VALIDATION,
        phantoms=phantoms,
    )
    for sentence in remarks.of_patients(inputs, workspace.machine.state):
        listener.warning(sentence)
    workspace = workspace.with_weights(fid_weights)
    answers: list[Answer] = []
    studies, stopped = [], None
    for study_spec in study_specs:
        found = [answer.found for answer in answers if not order.private]
        hints = [one.settings for one in found if one.generator == study_spec.generator]
        asked = replace(study_spec, hints=hints)
        study, answer, stopped = _answered(asked, order, inputs, workspace, listener)
        studies.append(study)
        answers += [answer] if answer else []
        if stopped is not None:
            break
    cost = spent(studies, order.request.unit) if order.private else None
    return Searched(answers, cost, stopped)


def _fid_weights(order: Order, workspace: Workspace) -> Path | None:
    """The Inception weights, if they are needed: FID takes longer than all else of a trial.

    Raises:
        UsageError: If they are missing.
    """
    if "fid" not in order.objectives:
        return None
    found = weights.find(workspace.machine.fid_weights, workspace.machine.cache)
    if found is None:
        raise UsageError(f"--objective fid: {weights.missing_reason()}")
    return found


def _study_specs(
    order: Order, workspace: Workspace, fid_weights: Path | None
) -> Iterator[StudySpec]:
    """One for each generator and level; the search space of each is looked at before any runs."""
    _check(order, workspace)
    for generator in order.request.generators:
        if is_bookend(generator):
            raise UsageError(
                f"{generator} is a bookend: it stays as it is, so that results compare."
            )
        for epsilon in levels(order.request, generator):
            request = replace(order.request, generators=(generator,), epsilons=(epsilon,))
            study_spec = StudySpec(
                request=request,
                objectives=tuple(order.objectives),
                trials=order.trials,
                command=order.command,
                fid_weights=weights.digest(fid_weights) if fid_weights else "",
            )
            study_spec.space()
            if order.private:
                check_replaceable(file_of(workspace.out / FOLDER, generator, request.unit, epsilon))
            yield study_spec


def _check(order: Order, workspace: Workspace) -> None:
    """Refuses what cannot be tuned together."""
    if order.private != (workspace.data is not None):
        raise UsageError(
            "--data is for --on private, and --on private needs --data; without both, phantoms are "
            "tuned on, whose settings carry over and cost no privacy."
        )
    if order.private and order.annotators != USUAL:
        raise UsageError(
            f"--annotators {order.annotators} is of phantoms, and --on private tunes on your own "
            "patients; give one of the two."
        )
    for objective in order.objectives:
        if objective not in OBJECTIVES:
            raise UsageError(unknown("objective", objective, list(OBJECTIVES)))
    check(order.request)


def levels(request: Request, generator: str) -> list[float]:
    """Return the ε at which a generator is tuned: all, or ∞ alone if it is not private."""
    from benchmark.core.registry import generators

    private = generators.get(generator).is_private
    return list(request.epsilons) if private else [float("inf")]


def _answered(
    study_spec: StudySpec, order: Order, inputs: Inputs, workspace: Workspace, listener: Listener
) -> tuple[optuna.Study, Answer | None, OverCapError | None]:
    """The study, what it found, if anything, and what stopped it, if anything did."""
    name = study_spec.name(inputs)
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    root = workspace.out / CELLS / digest
    uri = workspace.tracking_uri or default_uri(workspace.out)
    parent = _parent(study_spec, name, digest, private=order.private)
    tracker, store = Tracker(uri, workspace.out, parent, listener.warning), Store(root)

    def ended(outcome: Outcome, trial: int) -> None:
        if outcome.state == "failed":
            tracker.failed(outcome.spec, _trial(trial))
        else:
            tracker.cell(store.folder(outcome.spec), _trial(trial))
        listener.events.ended(outcome)

    lab = Lab(
        inputs=inputs,
        root=root.absolute(),
        machine=workspace.machine,
        storage=order.storage or sqlite_url(workspace.out / DATABASE),
        is_shared=order.storage is not None,
        jobs=workspace.jobs,
        cluster=workspace.cluster,
        progress=listener.events.progress,
        ended=ended,
        news=listener.news,
    )
    workspace.out.mkdir(parents=True, exist_ok=True)
    stopped = None
    try:
        study = search(study_spec, lab)
    except OverCapError as error:
        study, stopped = study_of(study_spec, lab), error
    for trial in study.trials:
        for key in trial.user_attrs.get(KEYS, ()):  # also those that MLflow missed
            tracker.cell(root / folder_name(study_spec.generator) / key, _trial(trial.number))
    if stopped is not None and all(trial.state.name != DONE for trial in study.trials):
        tracker.close(failed=True)
        return study, None, stopped
    found = found_by(study_spec, lab, study)
    file = found.write(workspace.out / FOLDER)
    tracker.keep(file)
    tracker.best(_scores(found), found.settings)
    tracker.close(failed=stopped is not None)
    return study, Answer(study, found, file, tracker.keep), stopped


def _parent(study_spec: StudySpec, name: str, digest: str, *, private: bool) -> Parent:
    """The study's run in MLflow, which says on whose data it chose."""
    on, selection = (PRIVATE, NOT_ACCOUNTED) if private else (PHANTOM, FREE)
    params = {
        "tuned_on": on,
        "selection": selection,
        "epsilon": f"{study_spec.epsilon:g}",
        "unit": study_spec.request.unit,
        "objectives": ",".join(study_spec.objectives),
    }
    mode = f", on {on} data; selection: {selection}"
    note = DESCRIPTION.format(on=on, selection=selection)
    return Parent(f"{STUDY}{digest}", f"study of {name}{mode}", note, params)


def _trial(number: int) -> str:
    """As the news count them, from 1 on."""
    return f"trial {number + 1}: "


def _scores(found: Found) -> dict[str, float]:
    how = found.provenance
    first = how.objectives[0]
    scores = {f"best_{first}": how.score, f"default_{first}": how.default, "trials": how.trials}
    return {**scores, f"epsilon_of_all_trials_{found.unit}": how.epsilon_of_all_trials}
