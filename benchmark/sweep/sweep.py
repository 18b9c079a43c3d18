"""A sweep from a request to its table: gather data, plan, run, and track."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import NamedTuple

from benchmark.core.editions import found as edition
from benchmark.core.errors import UsageError
from benchmark.core.folders import check_places, check_writable
from benchmark.metrics import weights
from benchmark.privacy.ledger.ledger import OverCapError, ledger_in
from benchmark.results.bookends import references_of
from benchmark.results.matrix import MATRIX, Square, cross_site, write_matrix
from benchmark.results.outcome import Outcome
from benchmark.results.own_curve import OWN_CURVE, OwnPoint, own_curve, write_own_curve
from benchmark.results.read_once import ReadOnce
from benchmark.results.resolution import resolution
from benchmark.results.spec import RunSpec
from benchmark.results.store import Store
from benchmark.results.summary import SUMMARY, SummaryRow, choices, rows, write_summary
from benchmark.sweep import remarks
from benchmark.sweep.executors.run import run_tasks
from benchmark.sweep.executors.task import check_device
from benchmark.sweep.forecast.forecast import Forecast, forecast
from benchmark.sweep.forecast.record import note
from benchmark.sweep.forecast.work import memory_key, works_of
from benchmark.sweep.inputs import Inputs, gather
from benchmark.sweep.judging.own_patients import withheld
from benchmark.sweep.more_seeds import next_seeds, verdict, widths
from benchmark.sweep.plan_cells import cells
from benchmark.sweep.preparation import Prepared, prepared
from benchmark.sweep.request import Precision, Request, check
from benchmark.sweep.sites import held_out_sites
from benchmark.sweep.tracking.mlflow_runs import Tracker, default_uri
from benchmark.sweep.tracking.parents import Parent
from benchmark.sweep.workspace import Listener, Workspace
from federation.partition import Partition

UNFINISHED = "No seeds are added while a cell has failed, or another process holds it."


class Finished(NamedTuple):
    """A finished sweep.

    Attributes:
        table: The table's rows.
        outcomes: How every cell ended.
        matrix: The cross-site matrix.
        notes: Sentences without which the table could be misread.
        own: Dice against the number of own patients.
        store: Where the results are.
    """

    table: list[SummaryRow]
    outcomes: list[Outcome]
    matrix: list[Square]
    notes: list[str]
    own: list[OwnPoint]
    store: Store


@dataclass(frozen=True, kw_only=True)
class _Sweep:
    """What all rounds of a sweep share."""

    request: Request
    inputs: Inputs
    workspace: Workspace
    listener: Listener
    fid_weights: str
    store: ReadOnce

    def cells(self, seeds: int) -> list[RunSpec]:
        """Every cell with so many seeds."""
        return cells(replace(self.request, seeds=seeds), self.inputs, self.fid_weights)

    def prepared(self, specs: list[RunSpec]) -> Prepared:
        """Those cells, ready to run."""
        ready = prepared(specs, self.inputs, self.workspace, self.listener, self.store)
        if ready.tasks:
            self.store.keep(False)  # while cells run
        return ready


def run_sweep(request: Request, workspace: Workspace, listener: Listener) -> Finished:
    """Run the cells that are not done, and write ``summary.csv``, ``matrix.csv`` and others.

    With a precision, rounds of further seeds follow. They end when it is reached, at its most
    seeds, or when more seeds cannot help or run: patients alone vary too much, a cell has failed,
    or the ledger's cap is reached.

    Args:
        request: What the user asks for.
        workspace: Folders, machine and jobs.
        listener: Called for everything that happens.

    Raises:
        BenchError: For wrong usage or unusable data, before anything is computed.
    """
    sweep = _begun(request, workspace, listener)
    request, specs = sweep.request, sweep.cells(sweep.request.seeds)
    _remark(sweep, specs)
    ready = sweep.prepared(specs)
    listener.starting()
    tracker = _tracker(specs, sweep.workspace, listener)
    outcomes, notes = _run(ready, tracker, sweep), []
    if request.precision:
        outcomes, said = _with_more_seeds(outcomes, request.precision, tracker, sweep)
        notes = [said]
    return _finished(outcomes, notes, tracker, sweep)


def forecast_sweep(request: Request, workspace: Workspace, listener: Listener) -> Forecast:
    """Foretell what ``run_sweep`` would take and cost; nothing is fitted, written or charged.

    With a precision, it is the most that the rounds of seeds may take.

    Args:
        request: What the user asks for.
        workspace: Folders, machine and jobs.
        listener: Called while data are gathered and noise is calibrated.

    Raises:
        BenchError: For wrong usage or unusable data, as ``run_sweep`` does. A cap that would refuse
            the sweep is in the forecast instead.
    """
    sweep = _begun(request, workspace, listener)
    asked, notes = sweep.request, []
    seeds = asked.precision.most_seeds if asked.precision else asked.seeds
    if asked.precision:
        notes.append(
            f"This is for {seeds} seeds, the most that --seeds auto may reach; it begins with "
            f"{asked.seeds} and ends when the precision is reached."
        )
    specs, how = sweep.cells(seeds), asked.federation
    _remark(sweep, specs)
    sites = Partition(text=how.partition, sites=how.sites) if how.asked else None
    found = forecast(specs, sweep.inputs, sweep.workspace, listener, partition=sites)
    return replace(found, notes=notes)


def _begun(request: Request, workspace: Workspace, listener: Listener) -> _Sweep:
    """The sweep, once nothing in the request and the folders speaks against it."""
    request = replace(request, private=workspace.data is not None)
    check(request)
    _check(workspace)
    return _gathered(request, workspace, listener)


def _gathered(request: Request, workspace: Workspace, listener: Listener) -> _Sweep:
    found = weights.find(workspace.machine.fid_weights, workspace.machine.cache)
    inputs = gather(
        workspace.data,
        workspace.test_data,
        cache=workspace.machine.cache,
        state=workspace.machine.state,
        jobs=workspace.readers,
        progress=listener.preparing,
        reading=workspace.reading,
        phantoms=edition(request.protocol).phantoms,
    )
    if request.precision and len(inputs.tests[inputs.main]) < 2:
        raise UsageError(
            "--seeds auto needs two test patients or more, as one alone has no interval; "
            "ask for a number of seeds."
        )
    return _Sweep(
        request=request,
        inputs=withheld(inputs, request.own_patients),
        workspace=workspace.with_weights(found),
        listener=listener,
        fid_weights=weights.digest(found) if found else "",
        store=ReadOnce(workspace.out),
    )


def _remark(sweep: _Sweep, specs: Sequence[RunSpec]) -> None:
    """Says what is to be known before anything is paid."""
    request, inputs = sweep.request, sweep.inputs
    for sentence in [
        *remarks.of_patients(inputs, sweep.workspace.machine.state),
        *remarks.of_tuning(request, specs),
        *remarks.of_sites(request),
    ]:
        sweep.listener.warning(sentence)
    most = request.precision.most_seeds if request.precision else request.seeds
    tested = len(inputs.tests[inputs.main])
    for sentence in resolution(request.generators, request.unit, most, tested):
        sweep.listener.news(sentence)


def _with_more_seeds(
    outcomes: list[Outcome], precision: Precision, tracker: Tracker, sweep: _Sweep
) -> tuple[list[Outcome], str]:
    """Adds rounds of seeds; how every cell ended, and whether the precision was reached."""
    seeds, first = sweep.request.seeds, sweep.request.first_seed
    while True:
        found = widths(outcomes, sweep.store)
        said, more = verdict(found, precision, seeds), next_seeds(found, precision, seeds)
        if any(outcome.state in ("failed", "busy") for outcome in outcomes):
            return outcomes, f"{said} {UNFINISHED}"
        if more is None:
            return outcomes, said
        sweep.listener.news(f"{said} Seeds {first + seeds} to {first + more - 1} are added.")
        try:
            ready = sweep.prepared(sweep.cells(more))
        except OverCapError as error:
            return outcomes, f"{said} No seeds are added: {error}"
        seeds, outcomes = more, _run(ready, tracker, sweep)


def _finished(
    outcomes: list[Outcome], notes: Sequence[str], tracker: Tracker, sweep: _Sweep
) -> Finished:
    """Writes and logs what all cells say together."""
    out, store, specs = sweep.workspace.out, sweep.store, [o.spec for o in outcomes]
    store.keep(True)
    table = rows(outcomes, references_of(specs, specs), store)
    write_summary(out / SUMMARY, table)
    tracker.compare(table, private=sweep.inputs.private)
    matrix = cross_site(outcomes, held_out_sites(specs, sweep.inputs), store)
    if matrix:
        write_matrix(out / MATRIX, matrix)
        tracker.keep(out / MATRIX)
        picture = sweep.listener.drawn(matrix, out)
        if picture.is_file():
            tracker.keep(picture)
    own = own_curve(outcomes, store)
    if own:
        write_own_curve(out / OWN_CURVE, own)
        tracker.keep(out / OWN_CURVE)
    tracker.close(any(outcome.state == "failed" for outcome in outcomes))
    notes = [
        *remarks.of_the_table(sweep.request, sweep.inputs),
        *(choice.words for choice in choices(outcomes, store)),
        *notes,
    ]
    return Finished(table, outcomes, matrix, notes, own, store)


def _check(workspace: Workspace) -> None:
    check_writable(workspace.out)
    check_places(workspace.machine.cache, workspace.machine.state)
    ledger_in(workspace.machine.state).cap()  # one that cannot be used stops everything
    check_device(workspace.machine.device)
    machine = workspace.machine
    if machine.ray is not None:
        _check_cluster(machine.backend, machine.ray)
    if not workspace.jobs and (machine.cell_timeout_s or machine.cell_memory_gib):
        raise UsageError(
            "--cell-timeout and --cell-memory end a cell's own process, and with --jobs 0 cells "
            "have none; ask for --jobs 1."
        )


def _check_cluster(backend: str, address: str) -> None:
    from federation.backend import RAY, cluster_at

    if backend != RAY:
        raise UsageError(f"--ray needs --backend {RAY}, got {backend!r}; leave one of them out.")
    cluster_at(address)


def _run(ready: Prepared, tracker: Tracker, sweep: _Sweep) -> list[Outcome]:
    """Runs the tasks, and shows MLflow every cell, also those kept from before."""
    store, listener = sweep.store, sweep.listener
    running = {task.spec.key for task in ready.tasks}
    for spec in ready.specs:
        if spec.key not in running:
            tracker.cell(store.folder(spec))

    def ended(outcome: Outcome) -> None:
        tracker.cell(store.folder(outcome.spec))
        _note(outcome, sweep)
        listener.events.ended(outcome)

    for outcome in ready.unplanned:
        listener.events.ended(outcome)
    events = replace(listener.events, ended=ended)
    ran = run_tasks(ready.tasks, jobs=sweep.workspace.jobs, events=events)
    by_key = {o.spec.key: o for o in [*ready.unplanned, *ran]}
    return [by_key.get(spec.key, Outcome(spec, "kept")) for spec in ready.specs]


def _note(outcome: Outcome, sweep: _Sweep) -> None:
    """Remembers how long a cell took, for forecasts; a cache that is full stops no sweep."""
    workspace, inputs, spec = sweep.workspace, sweep.inputs, outcome.spec
    result = sweep.store.result(spec) if outcome.state == "done" else None
    if result is None:
        return
    works = works_of(spec, inputs, workspace.machine)
    memory = memory_key(spec, inputs, workspace.machine) if workspace.jobs else None
    with suppress(OSError):
        note(workspace.machine.cache, result, works, memory)


def _tracker(specs: Sequence[RunSpec], workspace: Workspace, listener: Listener) -> Tracker:
    uri = workspace.tracking_uri or default_uri(workspace.out)
    return Tracker(uri, workspace.out, Parent.of_sweep(specs), listener.warning)
