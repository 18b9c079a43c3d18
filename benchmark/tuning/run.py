"""``bench tune``: a study for every generator and ε, and what they found."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmark.core.editions import found as edition
from benchmark.core.errors import UsageError
from benchmark.core.folders import check_writable
from benchmark.core.names import unknown
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
from benchmark.sweep.executors.task import check_device
from benchmark.sweep.inputs import Inputs, gather
from benchmark.sweep.place import Listener, Place
from benchmark.sweep.request import Request, check, is_bookend
from benchmark.sweep.tracking.mlflow_runs import STUDY, Tracker, default_uri
from benchmark.sweep.tracking.parents import Parent
from benchmark.tuning.objectives import OBJECTIVES
from benchmark.tuning.optuna_storage import storage_at
from benchmark.tuning.starts import spent
from benchmark.tuning.study import (
    DONE,
    PHANTOM_SEED,
    Lab,
    Question,
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
    """What is to be tuned.

    Attributes:
        request: A sweep without bookends; one study for each generator and ε that it can run at.
        objectives: What is optimised; the first decides the winner.
        trials: For each study.
        storage: Optuna's store; ``None`` for a file in ``out``.
        private: Whether patients are tuned on, which nobody accounts.
        command: What was typed.
    """

    request: Request
    objectives: Sequence[str]
    trials: int
    storage: str | None
    private: bool
    command: str = ""


@dataclass(frozen=True)
class Answer:
    """A study that is over.

    Attributes:
        study: Its trials.
        found: The settings it found.
        file: Where they are.
        keep: Logs a file, as a picture, with the study's run in MLflow.
    """

    study: optuna.Study
    found: Found
    file: Path
    keep: Callable[[Path], None]


class Searched(NamedTuple):
    """What a command's studies came to.

    Attributes:
        answers: One for each study that has a finished trial.
        cost: What all of them together cost patients; ``None`` on phantoms.
        stopped: Why no further trial was run, if the ledger's cap allowed none.
    """

    answers: list[Answer]
    cost: Together | None
    stopped: OverCapError | None


def run_studies(order: Order, place: Place, listener: Listener) -> Searched:
    """Runs what is left of every study, and writes the settings they found below ``OUT/tuned``.

    What one level found is tried at the next on phantoms alone: on patients it would carry what was
    seen of them into a study that does not count it.

    Raises:
        BenchError: For wrong usage or unusable data, before anything is computed.
    """
    fid_weights = _fid_weights(order, place)
    questions = list(_questions(order, place, fid_weights))
    for folder in (place.out, place.machine.cache, place.machine.state):
        check_writable(folder)
    ledger_in(place.machine.state).cap()  # one that cannot be used stops everything
    check_device(place.machine.device)
    if order.storage is not None:
        storage_at(order.storage)
    inputs = gather(
        place.data,
        (),
        cache=place.machine.cache,
        state=place.machine.state,
        jobs=place.readers,
        progress=listener.preparing,
        reading=place.reading,
        held_out=VALIDATION,
        seed=PHANTOM_SEED,
        phantoms=edition(order.request.protocol).phantoms,
    )
    for sentence in remarks.of_patients(inputs, place.machine.state):
        listener.warning(sentence)
    place = place.with_weights(fid_weights)
    answers: list[Answer] = []
    studies, stopped = [], None
    for question in questions:
        found = [answer.found for answer in answers if not order.private]
        hints = [one.settings for one in found if one.generator == question.generator]
        asked = replace(question, hints=hints)
        study, answer, stopped = _answered(asked, order, inputs, place, listener)
        studies.append(study)
        answers += [answer] if answer else []
        if stopped is not None:
            break
    cost = spent(studies, order.request.unit) if order.private else None
    return Searched(answers, cost, stopped)


def _fid_weights(order: Order, place: Place) -> Path | None:
    """The Inception weights, if they are needed: FID takes longer than all else of a trial.

    Raises:
        UsageError: If they are missing.
    """
    if "fid" not in order.objectives:
        return None
    found = weights.find(place.machine.fid_weights, place.machine.cache)
    if found is None:
        raise UsageError(f"--objective fid: {weights.missing_reason()}")
    return found


def _questions(order: Order, place: Place, fid_weights: Path | None) -> Iterator[Question]:
    """One for each generator and level; the search space of each is looked at before any runs."""
    if order.private != (place.data is not None):
        raise UsageError(
            "--data is for --on private, and --on private needs --data; without both, phantoms are "
            "tuned on, whose settings carry over and cost no privacy."
        )
    for objective in order.objectives:
        if objective not in OBJECTIVES:
            raise UsageError(unknown("objective", objective, list(OBJECTIVES)))
    check(order.request)
    for generator in order.request.generators:
        if is_bookend(generator):
            raise UsageError(
                f"{generator} is a bookend: it stays as it is, so that results compare."
            )
        for epsilon in levels(order.request, generator):
            request = replace(order.request, generators=(generator,), epsilons=(epsilon,))
            question = Question(
                request=request,
                objectives=tuple(order.objectives),
                trials=order.trials,
                command=order.command,
                fid_weights=weights.digest(fid_weights) if fid_weights else "",
            )
            question.space()
            if order.private:
                check_replaceable(file_of(place.out / FOLDER, generator, request.unit, epsilon))
            yield question


def levels(request: Request, generator: str) -> list[float]:
    """At which ε a generator is tuned: all, or ∞ alone if it is not private."""
    from benchmark.core.registry import generators

    private = generators.get(generator).is_private
    return list(request.epsilons) if private else [float("inf")]


def _answered(
    question: Question, order: Order, inputs: Inputs, place: Place, listener: Listener
) -> tuple[optuna.Study, Answer | None, OverCapError | None]:
    """The study, what it found, if anything, and what stopped it, if anything did."""
    name = question.name(inputs)
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    root = place.out / CELLS / digest
    uri = place.tracking_uri or default_uri(place.out)
    parent = _parent(question, name, digest, private=order.private)
    tracker, store = Tracker(uri, place.out, parent, listener.warning), Store(root)

    def ended(outcome: Outcome, trial: int) -> None:
        if outcome.state == "failed":
            tracker.failed(outcome.spec, _trial(trial))
        else:
            tracker.cell(store.folder(outcome.spec), _trial(trial))
        listener.events.ended(outcome)

    lab = Lab(
        inputs=inputs,
        root=root,
        machine=place.machine,
        storage=order.storage or f"sqlite:///{(place.out / DATABASE).absolute()}",
        jobs=place.jobs,
        progress=listener.events.progress,
        ended=ended,
        news=listener.news,
    )
    place.out.mkdir(parents=True, exist_ok=True)
    stopped = None
    try:
        study = search(question, lab)
    except OverCapError as error:
        study, stopped = study_of(question, lab), error
    for trial in study.trials:
        for key in trial.user_attrs.get(KEYS, ()):  # also those that MLflow missed
            tracker.cell(root / question.generator / key, _trial(trial.number))
    if stopped is not None and all(trial.state.name != DONE for trial in study.trials):
        tracker.close(failed=True)
        return study, None, stopped
    found = found_by(question, lab, study)
    file = found.write(place.out / FOLDER)
    tracker.keep(file)
    tracker.best(_scores(found), found.settings)
    tracker.close(failed=stopped is not None)
    return study, Answer(study, found, file, tracker.keep), stopped


def _parent(question: Question, name: str, digest: str, *, private: bool) -> Parent:
    """The study's run in MLflow, which says on whose data it chose."""
    on, selection = (PRIVATE, NOT_ACCOUNTED) if private else (PHANTOM, FREE)
    params = {
        "tuned_on": on,
        "selection": selection,
        "epsilon": f"{question.epsilon:g}",
        "unit": question.request.unit,
        "objectives": ",".join(question.objectives),
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
