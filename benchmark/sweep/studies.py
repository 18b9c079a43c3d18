"""``bench tune``: a study for every generator and ε, and what they found."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.core.errors import UsageError
from benchmark.core.registry import unknown
from benchmark.data.folders import check_writable
from benchmark.metrics import weights
from benchmark.sweep.inputs import VALIDATION, Inputs, gather
from benchmark.sweep.objectives import OBJECTIVES
from benchmark.sweep.planning import LOWER, UPPER, Request, check
from benchmark.sweep.runner import Events, Outcome
from benchmark.sweep.store import Store
from benchmark.sweep.study import PHANTOM_SEED, Bench, Question, found_by, storage_at
from benchmark.sweep.sweep import Listener, Place
from benchmark.sweep.tracking import Parent, Tracker, default_uri
from benchmark.sweep.trials import search
from benchmark.sweep.tuned import FOLDER, Found
from benchmark.sweep.worker import check_device

if TYPE_CHECKING:
    import optuna

DATABASE = "optuna.db"
CELLS = "trials"
DESCRIPTION = (
    "One study: each child run is a trial. Its Dice is that of *validation* patients, by whom the "
    "settings are chosen; it is no result."
)
PRIVATE = "private"


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is to be tuned.

    Attributes:
        request: A sweep without bookends; one study for each generator and ε that it can run at.
        objectives: What is optimised; the first decides the winner.
        trials: For each study.
        storage: Optuna's store; ``None`` for a file in ``out``.
        private: Whether patients are tuned on, which nobody accounts.
    """

    request: Request
    objectives: Sequence[str]
    trials: int
    storage: str | None
    private: bool


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


def run_studies(order: Order, place: Place, listener: Listener) -> list[Answer]:
    """Runs what is left of every study, and writes the settings they found below ``OUT/tuned``.

    Raises:
        BenchError: For wrong usage or unusable data, before anything is computed.
    """
    questions = list(_questions(order, place))
    for folder in (place.out, place.cache, place.state):
        check_writable(folder)
    check_device(place.device)
    if order.storage is not None:
        storage_at(order.storage)
    fid_weights = weights.find(place.fid_weights, place.cache)
    if "fid" in order.objectives and fid_weights is None:
        raise UsageError(f"--objective fid: {weights.missing_reason()}")
    inputs = gather(
        place.data,
        (),
        cache=place.cache,
        state=place.state,
        jobs=place.jobs,
        progress=listener.preparing,
        layout=place.layout,
        skip_bad=place.skip_bad,
        held_out=VALIDATION,
        seed=PHANTOM_SEED,
    )
    place = replace(place, fid_weights=fid_weights)
    answers: list[Answer] = []
    for question in questions:
        found = [answer.found for answer in answers]
        hints = [one.settings for one in found if one.generator == question.generator]
        question = replace(question, hints=hints)
        answers.append(_answered(question, order, inputs, place, listener))
    return answers


def _questions(order: Order, place: Place) -> Iterator[Question]:
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
        if generator in (UPPER, LOWER):
            raise UsageError(
                f"{generator} is a bookend: it stays as it is, so that results compare."
            )
        for epsilon in levels(order.request, generator):
            request = replace(order.request, generators=(generator,), epsilons=(epsilon,))
            question = Question(
                request=request, objectives=tuple(order.objectives), trials=order.trials
            )
            question.space()
            yield question


def levels(request: Request, generator: str) -> list[float]:
    """At which ε a generator is tuned: all, or ∞ alone if it is not private."""
    from benchmark.core.registry import generators

    private = generators.get(generator).is_private
    return list(request.epsilons) if private else [float("inf")]


def _answered(
    question: Question, order: Order, inputs: Inputs, place: Place, listener: Listener
) -> Answer:
    name = question.name(inputs)
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    root = place.out / CELLS / digest
    uri = place.tracking_uri or default_uri(place.out)
    parent = Parent(f"study-{digest}", f"study of {name}", DESCRIPTION)
    tracker, store = Tracker(uri, place.out, parent, listener.warning), Store(root)

    def ended(outcome: Outcome) -> None:
        tracker.cell(store.folder(outcome.spec))
        listener.events.ended(outcome)

    bench = Bench(
        inputs=inputs,
        root=root,
        cache=place.cache,
        state=place.state,
        storage=order.storage or f"sqlite:///{(place.out / DATABASE).absolute()}",
        jobs=place.jobs,
        device=place.device,
        fid_weights=place.fid_weights,
        events=Events(progress=listener.events.progress, ended=ended),
        news=listener.news,
    )
    place.out.mkdir(parents=True, exist_ok=True)
    study = search(question, bench)
    found = found_by(question, bench, study)
    file = found.write(place.out / FOLDER)
    tracker.keep(file)
    tracker.close(failed=False)
    return Answer(study, found, file, tracker.keep)
