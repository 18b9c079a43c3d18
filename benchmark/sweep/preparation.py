"""The preparation of a sweep before its cells run: plans, the ledger's cap, patches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from benchmark.core.directory import kept_directory
from benchmark.core.errors import BenchError, DataError, PlugInError
from benchmark.privacy.ledger.ledger import ledger_in
from benchmark.results.bookends import references_of
from benchmark.results.outcome import Outcome
from benchmark.results.spec import RunSpec
from benchmark.results.store import Store
from benchmark.sweep.alike import PlansOfSeeds
from benchmark.sweep.executors.task import Task, reason_of
from benchmark.sweep.inputs import Inputs
from benchmark.sweep.judging.own_patients import own_patches
from benchmark.sweep.machine import Bench
from benchmark.sweep.shared_fit import CellFit
from benchmark.sweep.sites import fitted_on
from benchmark.sweep.training_patches import recipe_of, training_patches
from benchmark.sweep.workspace import Listener, Workspace


class Prepared(NamedTuple):
    """Cells that are ready to run.

    Attributes:
        specs: Every cell, also those that are done.
        tasks: Those still to run.
        unplanned: Those whose plug-in failed while planning.
    """

    specs: list[RunSpec]
    tasks: list[Task]
    unplanned: list[Outcome]


def prepared(
    specs: list[RunSpec],
    inputs: Inputs,
    workspace: Workspace,
    listener: Listener,
    store: Store | None = None,
) -> Prepared:
    """Plan the cells that are not done, check the ledger's cap, and cut the patches.

    Args:
        specs: Every cell of the sweep.
        inputs: Its data.
        workspace: Its folders, machine and jobs.
        listener: Called while this goes on.
        store: Where the results are; ``None`` for the workspace's own store.

    Raises:
        OverCapError: If the ledger's cap does not allow the fits together; nothing is charged.
        BenchError: For a budget that cannot be honoured, or data that cannot be used.
    """
    store = store or Store(workspace.out)
    pending = [spec for spec in specs if store.result(spec) is None]
    listener.planned(specs, pending)
    references = references_of(pending, specs)
    plans = PlansOfSeeds(inputs, workspace.machine.cache)
    tasks, unplanned = _tasks(pending, references, inputs, workspace, listener, plans)
    fits = [cell_fit(task, store) for task in tasks]
    ledger_in(workspace.machine.state).check(
        [spending for fit in to_pay(fits) for spending in plans.spendings(fit.spec, fit.planned)]
    )
    _name_shared(fits)
    _cut_patches([task.spec for task in tasks], inputs, workspace, listener)
    _cut_own_patches([task.spec for task in tasks], inputs, workspace, listener)
    return Prepared(specs, tasks, unplanned)


def cell_fit(task: Task, store: Store) -> CellFit:
    """Return the fit that a task's cell needs."""
    bench = Bench(folder=store.folder(task.spec), machine=task.machine)
    return CellFit(spec=task.spec, planned=task.guarantee, inputs=task.inputs, bench=bench)


def _name_shared(fits: Sequence[CellFit]) -> None:
    """Names the cell for which a fit is begun that several cells of the sweep share."""
    cells = Counter(fit.charged_as for fit in fits)
    for fit in fits:
        if cells[fit.charged_as] > 1:
            fit.name()


def to_pay(fits: Sequence[CellFit]) -> list[CellFit]:
    """Return the fits that will be charged, each once: for the first of the cells that share it.

    Args:
        fits: The fit of every cell.

    Raises:
        DataError: If a kept fit is damaged.
    """
    due: dict[str, CellFit] = {}
    for fit in fits:
        if fit.charged_as not in due and not fit.costs_nothing():
            due[fit.charged_as] = fit
    return [*due.values()]


def _tasks(
    pending: Sequence[RunSpec],
    references: dict[str, RunSpec | None],
    inputs: Inputs,
    workspace: Workspace,
    listener: Listener,
    plans: PlansOfSeeds,
) -> tuple[list[Task], list[Outcome]]:
    """Plans every cell's guarantee, so that a budget that cannot be honoured stops the sweep.

    A cell whose plug-in fails here, by whatever error, has failed, and no other has.
    """
    tasks, failed = [], []
    for done, spec in enumerate(pending):
        listener.preparing("Calibrating noise", done, len(pending))
        try:
            with kept_directory():
                guarantee = plans.guarantee(spec)
        except (Exception, SystemExit) as error:  # a plug-in may raise anything
            if isinstance(error, BenchError) and not isinstance(error, PlugInError):
                raise
            reason = str(error) if isinstance(error, BenchError) else reason_of(error)
            Store(workspace.out).fail(spec, reason)
            failed.append(Outcome(spec, "failed", reason))
            continue
        tasks.append(
            Task(
                spec=spec,
                guarantee=guarantee,
                reference=references[spec.key],
                inputs=inputs,
                root=workspace.out.absolute(),
                machine=workspace.machine,
            )
        )
    return tasks, failed


def _cut_patches(
    specs: Sequence[RunSpec], inputs: Inputs, workspace: Workspace, listener: Listener
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
            workspace.machine.cache,
            faults=faults,
            jobs=workspace.readers,
            progress=lambda done, total: listener.preparing("Cutting patches", done, total),
        )
    for fault in dict.fromkeys(map(str, faults)):
        listener.warning(f"Counted, and contributing nothing: {fault}")


def _cut_own_patches(
    specs: Sequence[RunSpec], inputs: Inputs, workspace: Workspace, listener: Listener
) -> None:
    """The same for own patients, so that one without a patch stops the sweep before any fit."""
    cuts = {(recipe_of(spec), spec.seed): spec for spec in specs if spec.own}
    for spec in cuts.values():
        own_patches(
            spec,
            inputs,
            workspace.machine.cache,
            jobs=workspace.readers,
            progress=lambda done, total: listener.preparing("Cutting own patches", done, total),
        )
