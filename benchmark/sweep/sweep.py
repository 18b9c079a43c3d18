"""A sweep from a request to its rows: gather, plan, run, remember."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from benchmark.core.errors import BenchError, DataError, PlugInError
from benchmark.core.registry import segmenters
from benchmark.data.folders import check_writable
from benchmark.data.reading import AS_FOUND, Reading
from benchmark.metrics import weights
from benchmark.sweep import remarks
from benchmark.sweep.cell import recipe_of, training_patches
from benchmark.sweep.editions import found as edition
from benchmark.sweep.inputs import Inputs, gather
from benchmark.sweep.matrix import MATRIX, Square, cross_site, write_matrix
from benchmark.sweep.own_curve import OWN_CURVE, OwnPoint, own_curve, write_own_curve
from benchmark.sweep.own_patients import own_patches, withheld
from benchmark.sweep.parents import Parent
from benchmark.sweep.payment import is_paid, ledger_in, spendings_of
from benchmark.sweep.planning import cells, guarantee_of, reference_of
from benchmark.sweep.request import Request, check, make
from benchmark.sweep.runner import Events, Outcome, run_tasks
from benchmark.sweep.sites import fitted_on, inputs_of
from benchmark.sweep.spec import RunSpec
from benchmark.sweep.store import Store
from benchmark.sweep.summary import SUMMARY, Row, choices, rows, write_summary
from benchmark.sweep.tracking import Tracker, default_uri
from benchmark.sweep.worker import Task, check_device


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a sweep runs and what it runs on; decides no result but by the data's content.

    Attributes:
        out: The store's folder.
        cache: The cache folder.
        state: The state folder: the ledger and this machine's secret.
        data: A cohort's folder; ``None`` for the embedded one.
        test_data: Folders of further test sets.
        reading: How all folders are read.
        fid_weights: An Inception weights file; ``None`` to look in the usual places.
        jobs: Cells at a time.
        device: A torch device's name.
        backend: Where the sites of federated cells run.
        site_timeout_s: How long a site may take for an answer.
        tracking_uri: MLflow's store; ``None`` for the one in ``out``, ``none`` for none.
    """

    out: Path
    cache: Path
    state: Path
    data: Path | None = None
    test_data: Sequence[Path] = ()
    reading: Reading = AS_FOUND
    fid_weights: Path | None = None
    jobs: int = 1
    device: str = "cpu"
    backend: str = "in-process"
    site_timeout_s: float = 600.0
    tracking_uri: str | None = None


@dataclass(frozen=True, kw_only=True)
class Listener:
    """Who hears of a sweep.

    Attributes:
        preparing: A stage before the cells, with a count.
        planned: Every cell, and those still to run.
        events: What the cells do.
        warning: A sentence about something that costs no result.
        news: A sentence about something that went well.
        drawn: Draws the cross-site matrix into a folder, and says where it is.
    """

    preparing: Callable[[str, int, int], None]
    planned: Callable[[list[RunSpec], list[RunSpec]], None]
    events: Events
    warning: Callable[[str], None]
    news: Callable[[str], None]
    drawn: Callable[[Sequence[Square], Path], Path]


class Finished(NamedTuple):
    """A sweep that is over.

    Attributes:
        table: The table's rows.
        outcomes: How every cell ended.
        matrix: The cross-site matrix.
        notes: Sentences without which the table could be misread.
        own: Dice against the number of own patients.
    """

    table: list[Row]
    outcomes: list[Outcome]
    matrix: list[Square]
    notes: list[str]
    own: list[OwnPoint]


def run_sweep(request: Request, place: Place, listener: Listener) -> Finished:
    """Runs what is not yet done; writes ``summary.csv``, and ``matrix.csv`` where there are sites.

    Raises:
        BenchError: For wrong usage or unusable data, before anything is computed.
    """
    request = replace(request, private=place.data is not None)
    check(request)
    _check(place)
    found = weights.find(place.fid_weights, place.cache)
    place = replace(place, fid_weights=found)
    inputs = gather(
        place.data,
        place.test_data,
        cache=place.cache,
        state=place.state,
        jobs=place.jobs,
        progress=listener.preparing,
        reading=place.reading,
        phantoms=edition(request.protocol).phantoms,
    )
    inputs = withheld(inputs, request.own_patients)
    specs = cells(request, inputs, weights.digest(found) if found else "")
    for sentence in [
        *remarks.of_patients(inputs, place.state),
        *remarks.of_tuning(request, specs),
        *remarks.of_sites(request),
    ]:
        listener.warning(sentence)
    store = Store(place.out)
    references = {spec.key: reference_of(spec, specs) for spec in specs}
    pending = [spec for spec in specs if store.result(spec) is None]
    listener.planned(specs, pending)
    tasks, unplanned = _tasks(pending, references, inputs, place, listener)
    ledger_in(place.state).check(
        [
            spending
            for task in tasks
            if not _goes_on(task, store)
            for spending in spendings_of(task.spec, task.guarantee, inputs, place.cache)
        ]
    )
    _cut_patches([task.spec for task in tasks], inputs, place, listener)
    _cut_own_patches([task.spec for task in tasks], inputs, place, listener)
    tracker = _tracker(specs, place, listener)
    outcomes = _run(specs, tasks, unplanned, store, tracker, place.jobs, listener)
    table = rows(outcomes, references, store)
    write_summary(place.out / SUMMARY, table)
    tracker.compare(table, private=inputs.private)
    matrix = cross_site(outcomes, inputs, store)
    if matrix:
        write_matrix(place.out / MATRIX, matrix)
        tracker.keep(place.out / MATRIX)
        tracker.keep(listener.drawn(matrix, place.out))
    own = own_curve(outcomes, store)
    if own:
        write_own_curve(place.out / OWN_CURVE, own)
        tracker.keep(place.out / OWN_CURVE)
    tracker.close(any(outcome.state == "failed" for outcome in outcomes))
    notes = [*remarks.of_the_table(request, inputs), *(c.words for c in choices(outcomes, store))]
    return Finished(table, outcomes, matrix, notes, own)


def _goes_on(task: Task, store: Store) -> bool:
    spec, folder = task.spec, store.folder(task.spec)
    mine = inputs_of(spec, task.inputs)
    return is_paid(spec, task.guarantee, mine, folder=folder, state=task.state)


def _check(place: Place) -> None:
    for folder in (place.out, place.cache, place.state):
        check_writable(folder)
    ledger_in(place.state).cap()  # one that cannot be used stops everything
    check_device(place.device)


def _tasks(
    pending: Sequence[RunSpec],
    references: dict[str, RunSpec | None],
    inputs: Inputs,
    place: Place,
    listener: Listener,
) -> tuple[list[Task], list[Outcome]]:
    """Plans every cell's guarantee, so that a budget that cannot be honoured stops the sweep.

    A cell whose plug-in fails here, by whatever error, has failed, and no other has.
    """
    tasks, failed = [], []
    for done, spec in enumerate(pending):
        listener.preparing("Calibrating noise", done, len(pending))
        try:
            guarantee = guarantee_of(spec, inputs, place.cache)
            make(segmenters, spec.segmenter)
        except Exception as error:  # a plug-in may raise anything
            if isinstance(error, BenchError) and not isinstance(error, PlugInError):
                raise
            reason = str(error) if isinstance(error, BenchError) else traceback.format_exc()
            Store(place.out).fail(spec, reason)
            failed.append(Outcome(spec, "failed", reason))
            continue
        tasks.append(
            Task(
                spec=spec,
                guarantee=guarantee,
                reference=references[spec.key],
                inputs=inputs,
                root=place.out,
                cache=place.cache,
                state=place.state,
                fid_weights=place.fid_weights,
                device=place.device,
                backend=place.backend,
                site_timeout_s=place.site_timeout_s,
            )
        )
    return tasks, failed


def _cut_patches(
    specs: Sequence[RunSpec], inputs: Inputs, place: Place, listener: Listener
) -> None:
    """Fills the cache once for all the cells that share their patches."""
    cuts = {
        (recipe_of(spec), spec.seed, mine.data): (spec, mine)
        for spec in specs
        for mine in fitted_on(spec, inputs)
    }
    faults: list[DataError] = []
    for spec, mine in cuts.values():
        training_patches(
            spec,
            mine,
            place.cache,
            faults=faults,
            jobs=place.jobs,
            progress=lambda done, total: listener.preparing("Cutting patches", done, total),
        )
    for fault in dict.fromkeys(map(str, faults)):
        listener.warning(f"Counted, and contributing nothing: {fault}")


def _cut_own_patches(
    specs: Sequence[RunSpec], inputs: Inputs, place: Place, listener: Listener
) -> None:
    """The same for own patients, so that one without a patch stops the sweep before any fit."""
    cuts = {(recipe_of(spec), spec.seed): spec for spec in specs if spec.own}
    for spec in cuts.values():
        own_patches(
            spec,
            inputs,
            place.cache,
            jobs=place.jobs,
            progress=lambda done, total: listener.preparing("Cutting own patches", done, total),
        )


def _run(
    specs: Sequence[RunSpec],
    tasks: Sequence[Task],
    unplanned: Sequence[Outcome],
    store: Store,
    tracker: Tracker,
    jobs: int,
    listener: Listener,
) -> list[Outcome]:
    """Runs the tasks, and shows MLflow every cell, also those kept from before."""
    running = {task.spec.key for task in tasks}
    for spec in specs:
        if spec.key not in running:
            tracker.cell(store.folder(spec))

    def ended(outcome: Outcome) -> None:
        tracker.cell(store.folder(outcome.spec))
        listener.events.ended(outcome)

    for outcome in unplanned:
        listener.events.ended(outcome)
    events = replace(listener.events, ended=ended)
    ran = run_tasks(tasks, jobs=jobs, events=events)
    by_key = {o.spec.key: o for o in [*unplanned, *ran]}
    return [by_key.get(spec.key, Outcome(spec, "kept")) for spec in specs]


def _tracker(specs: Sequence[RunSpec], place: Place, listener: Listener) -> Tracker:
    uri = place.tracking_uri or default_uri(place.out)
    return Tracker(uri, place.out, Parent.of_sweep(specs), listener.warning)
