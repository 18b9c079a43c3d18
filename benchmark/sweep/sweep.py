"""A sweep from a request to its rows: gather, plan, run, remember."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.metrics import weights
from benchmark.sweep.inputs import gather
from benchmark.sweep.planning import Request, cells, check, guarantee_of, reference_of
from benchmark.sweep.runner import Events, Outcome, run_tasks
from benchmark.sweep.spec import RunSpec
from benchmark.sweep.store import Store
from benchmark.sweep.summary import SUMMARY, Row, rows, write_summary
from benchmark.sweep.worker import Task


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a sweep runs and what it runs on; decides no result but by the data's content.

    Attributes:
        out: The store's folder.
        cache: The cache folder.
        data: A cohort's folder; ``None`` for the embedded one.
        test_data: Folders of further test sets.
        fid_weights: An Inception weights file; ``None`` to look in the usual places.
        jobs: Cells at a time.
        device: A torch device's name.
    """

    out: Path
    cache: Path
    data: Path | None = None
    test_data: Sequence[Path] = ()
    fid_weights: Path | None = None
    jobs: int = 1
    device: str = "cpu"


@dataclass(frozen=True, kw_only=True)
class Listener:
    """Who hears of a sweep.

    Attributes:
        preparing: A stage before the cells, with a count.
        planned: Every cell, before the first runs.
        events: What the cells do.
    """

    preparing: Callable[[str, int, int], None]
    planned: Callable[[list[RunSpec], list[RunSpec]], None]
    events: Events


def run_sweep(
    request: Request, place: Place, listener: Listener
) -> tuple[list[Row], list[Outcome]]:
    """Runs what is not yet done and writes ``summary.csv``.

    Raises:
        BenchError: For wrong usage or unusable data, before anything is computed.
    """
    check(request)
    found = weights.find(place.fid_weights, place.cache)
    inputs = gather(
        place.data,
        place.test_data,
        cache=place.cache,
        jobs=place.jobs,
        progress=listener.preparing,
    )
    specs = cells(request, inputs, weights.digest(found) if found else "")
    store = Store(place.out)
    references = {spec.key: reference_of(spec, specs) for spec in specs}
    pending = [spec for spec in specs if store.result(spec) is None]
    listener.planned(specs, pending)
    tasks = []
    for done, spec in enumerate(pending):
        listener.preparing("Calibrating noise", done, len(pending))
        tasks.append(
            Task(
                spec=spec,
                guarantee=guarantee_of(spec, inputs),
                reference=references[spec.key],
                inputs=inputs,
                root=place.out,
                cache=place.cache,
                fid_weights=found,
                device=place.device,
            )
        )
    ended = {o.spec.key: o for o in run_tasks(tasks, jobs=place.jobs, events=listener.events)}
    outcomes = [ended.get(spec.key, Outcome(spec, "kept")) for spec in specs]
    table = rows(outcomes, references, store)
    write_summary(place.out / SUMMARY, table)
    return table, outcomes
