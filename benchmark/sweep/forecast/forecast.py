"""The forecast of a sweep: cells, hours, memory and ε, before anything is fitted or charged."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from benchmark.core.directory import kept_directory
from benchmark.core.errors import BenchError, PlugInError
from benchmark.privacy.ledger.ledger import OverCapError, Spending, ledger_in
from benchmark.results.outcome import Outcome
from benchmark.results.spec import RunSpec
from benchmark.results.store import Store
from benchmark.sweep.alike import PlansOfSeeds
from benchmark.sweep.executors.task import reason_of
from benchmark.sweep.forecast.calibration import calibrate
from benchmark.sweep.forecast.charges import Charge, charges, groups_of
from benchmark.sweep.forecast.predict import CellForecast, Predictor, wall_seconds
from benchmark.sweep.forecast.reference import shipped
from benchmark.sweep.forecast.work import FIT, PATCHES
from benchmark.sweep.inputs import Inputs
from benchmark.sweep.machine import Bench
from benchmark.sweep.preparation import to_pay
from benchmark.sweep.shared_fit import CellFit
from benchmark.sweep.workspace import Listener, Workspace
from federation.partition import Partition

PER_CELL_S = 0.3
"""What a cell costs beside its own work: its process, the store, MLflow (docs/experiments.md)."""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What a sweep would take and cost.

    Attributes:
        specs: Every cell.
        pending: The cells that are not done.
        cells: What each of those takes, in their order.
        jobs: How many run at a time; ``None`` for as many as a cluster takes.
        wall_s: The seconds of the whole sweep with so many jobs; ``None`` where a cluster decides.
        charges: What its fits cost each group of patients.
        cap: The ledger's cap; inf for none.
        refusal: Why the ledger would refuse the sweep; empty if it would not.
        unplanned: The cells whose plug-in fails while planning, with reasons.
        notes: What else is to be known.
        on_cluster: Whether the cells run on a cluster's nodes, and not on this machine.
    """

    specs: Sequence[RunSpec]
    pending: Sequence[RunSpec]
    cells: Sequence[CellForecast]
    jobs: int | None
    wall_s: float | None
    charges: Sequence[Charge]
    cap: float
    refusal: str
    unplanned: Sequence[Outcome]
    notes: Sequence[str] = ()
    on_cluster: bool = False

    @property
    def done(self) -> int:
        """How many cells are done."""
        return len(self.specs) - len(self.pending)

    @property
    def seconds(self) -> float:
        """The seconds of all cells, one after the other."""
        return sum(cell.seconds for cell in self.cells)

    @property
    def mib(self) -> float | None:
        """The most memory of the cells that run side by side here; ``None`` if one is unknown.

        On a cluster it is that of a single cell, as each may have a node of its own.
        """
        told = sorted((cell.mib for cell in self.cells if cell.mib is not None), reverse=True)
        if len(told) < len(self.cells):
            return None
        return sum(told[: 1 if self.on_cluster else max(1, self.jobs or 1)])


def forecast(
    specs: Sequence[RunSpec],
    inputs: Inputs,
    workspace: Workspace,
    listener: Listener,
    *,
    partition: Partition | None = None,
    calibration: Callable[[str], float] = calibrate,
) -> Forecast:
    """Foretell a sweep's cells. No patient's volume is fitted on, and nothing is charged.

    Args:
        specs: Every cell.
        inputs: The sweep's data.
        workspace: Folders, machine and jobs.
        listener: Called while noise is calibrated.
        partition: Of the sites; ``None`` for none.
        calibration: Returns this machine's calibration in seconds for a device.

    Raises:
        BenchError: For a budget that cannot be honoured, or a damaged result or ledger.
    """
    store, machine = Store(workspace.out), workspace.machine
    pending = [spec for spec in specs if store.result(spec) is None]
    fits, plans, unplanned = _planned(pending, inputs, workspace, listener)
    due = to_pay(fits)
    spendings = [one for fit in due for one in plans.spendings(fit.spec, fit.planned)]
    # The nodes may have a device that this machine lacks.
    device = "cpu" if workspace.cluster else machine.device
    predictor = Predictor(inputs, machine, shipped(), lambda: calibration(device))
    failed = {outcome.spec.key for outcome in unplanned}
    running = [spec for spec in pending if spec.key not in failed]
    makes_a_fit = {fit.spec.key for fit in due}
    cells = [_without_fit(predictor.of(spec), spec.key in makes_a_fit) for spec in running]
    ledger = ledger_in(machine.state)
    return Forecast(
        specs=specs,
        pending=pending,
        cells=cells,
        jobs=workspace.cluster.jobs if workspace.cluster else workspace.jobs,
        wall_s=_wall_seconds(cells, workspace),
        charges=charges(spendings, groups_of(inputs, partition), ledger),
        cap=ledger.cap(),
        refusal=_refusal(spendings, workspace),
        unplanned=unplanned,
        on_cluster=workspace.cluster is not None,
    )


def _wall_seconds(cells: Sequence[CellForecast], workspace: Workspace) -> float | None:
    """The seconds of all cells, so many at a time; ``None`` where a cluster decides how many."""
    cluster = workspace.cluster
    at_a_time = cluster.jobs if cluster else min(workspace.jobs, os.cpu_count() or 1)
    if at_a_time is None:
        return None
    overhead = PER_CELL_S if workspace.jobs else 0.0
    return wall_seconds((cell.seconds + overhead for cell in cells), max(1, at_a_time))


def _without_fit(cell: CellForecast, makes_a_fit: bool) -> CellForecast:
    """A cell that takes a fit which another one makes, or which is there, spends no time on it."""
    if makes_a_fit:
        return cell
    return replace(cell, stages=[one for one in cell.stages if one.stage not in (PATCHES, FIT)])


def _planned(
    pending: Sequence[RunSpec], inputs: Inputs, workspace: Workspace, listener: Listener
) -> tuple[list[CellFit], PlansOfSeeds, list[Outcome]]:
    """The fits that cells need, their plans, and the cells that have no plan."""
    machine, store = workspace.machine, Store(workspace.out)
    plans = PlansOfSeeds(inputs, machine.cache)
    fits: list[CellFit] = []
    unplanned = []
    for done, spec in enumerate(pending):
        listener.preparing("Calibrating noise", done, len(pending))
        try:
            with kept_directory():
                plan = plans.guarantee(spec)
        except (Exception, SystemExit) as error:  # a plug-in may raise anything
            if isinstance(error, BenchError) and not isinstance(error, PlugInError):
                raise
            reason = str(error) if isinstance(error, BenchError) else reason_of(error)
            unplanned.append(Outcome(spec, "failed", reason))
            continue
        bench = Bench(folder=store.folder(spec), machine=machine)
        fits.append(CellFit(spec=spec, planned=plan, inputs=inputs, bench=bench))
    return fits, plans, unplanned


def _refusal(spendings: Sequence[Spending], workspace: Workspace) -> str:
    try:
        ledger_in(workspace.machine.state).check(spendings)
    except OverCapError as error:
        return str(error)
    return ""
