"""MLflow runs of a sweep: one parent run, and a child run for each cell, made from result files.

The files are the source of truth. If MLflow was down or full, the next run of the same command adds
what is missing. No error of MLflow's affects a result.
"""

from __future__ import annotations

import math
import os
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmark.core.addresses import masked, sqlite_url
from benchmark.core.parsers import json_in
from benchmark.results.disclosure import are_few, curves_may_leave, without_few, without_patients
from benchmark.results.looks import look_of
from benchmark.results.own_curve import judgements
from benchmark.results.provenance import git_commit
from benchmark.results.result import Result
from benchmark.results.spec import RunSpec
from benchmark.results.store import CURVES, GENERATOR, RESULT, SAMPLES, read_result
from benchmark.results.summary import SummaryRow
from benchmark.sweep.tracking.children import Child, children_of, searched
from benchmark.sweep.tracking.logged import comparisons, marks, metrics, parameters, run_name
from benchmark.sweep.tracking.parents import Parent
from benchmark.sweep.watching.rounds import FOLDER as ROUNDS

MARKS = ("selection", "tuned_on")
EXPERIMENT = "angiobench"
DATABASE = "mlflow.db"
ARTIFACTS = "mlflow-artifacts"
CURVE_BATCH = 500
NO_TRACKING = "none"
ENDED = ("FINISHED", "FAILED")
STUDY = "study-"
"""The start of a study's key, which distinguishes it from a sweep."""


def default_uri(out: Path) -> str:
    """MLflow's store beside the results."""
    return sqlite_url(out / DATABASE)


def quiet() -> None:
    """Set MLflow's environment before its import.

    It then sends no telemetry, waits only shortly for a server that is down, and logs errors only.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")


def moved(database: Path, before: str, now: str) -> None:
    """Follow a folder of results that was moved: MLflow keeps absolute addresses of artifacts.

    Args:
        database: MLflow's SQLite file.
        before: The address under which artifacts lay.
        now: That under which they lie.
    """
    with closing(sqlite3.connect(database)) as store, store:
        for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
            store.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608  (ours)
                f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                (now, len(before) + 1, before, len(before) + 1, f"{before}/"),
            )


class Tracker:
    """Logs cells to MLflow. After a first error it warns once and logs nothing more.

    Args:
        uri: MLflow's tracking URI; ``none`` for no tracking.
        out: The store's folder, where artifacts of a local database go.
        parent: The run under which cells are logged.
        warn: Called once, with a sentence, if MLflow fails.
    """

    def __init__(self, uri: str, out: Path, parent: Parent, warn: Callable[[str], None]) -> None:
        self._uri, self._out, self._under, self._warn = uri, out, parent, warn
        self._client: Any = None
        self._silent = uri == NO_TRACKING
        self._safely(self._open)

    def cell(self, folder: Path, said: str = "") -> None:
        """Log a finished cell, unless the sweep has it already.

        Args:
            folder: The cell's folder.
            said: The start of its name in MLflow.
        """
        self._safely(lambda: self._log(folder, said))

    def failed(self, spec: RunSpec, said: str) -> None:
        """Log that a cell failed, but not why: the reason may name patients.

        It stays in the cell's folder.

        Args:
            spec: The cell.
            said: The start of its name in MLflow.
        """
        self._safely(lambda: self._log_failure(spec, said))

    def best(self, scores: Mapping[str, float], settings: Mapping[str, Any]) -> None:
        """Log with the parent run which cell was the best. A later call replaces it."""
        self._safely(lambda: self._log_best(scores, settings))

    def compare(self, rows: Sequence[SummaryRow], *, private: bool) -> None:
        """Log for every cell by how much it exceeds the best free row.

        On private data, numbers over few patients are logged to a local store only.

        Args:
            rows: The rows of the finished sweep.
            private: Whether the data are of real patients.
        """
        told = [r for r in rows if self._is_here or not (private and are_few(r.patients))]
        self._safely(lambda: self._log_comparisons(told))

    def keep(self, file: Path) -> None:
        """Log a file with the parent run. MLflow shows tables and pictures."""
        self._safely(lambda: self._client.log_artifact(self._parent, str(file)))

    def close(self, failed: bool) -> None:
        """End the parent run."""
        status = "FAILED" if failed else "FINISHED"
        self._safely(lambda: self._client.set_terminated(self._parent, status))

    def _safely(self, act: Callable[[], None]) -> None:
        if self._silent:
            return
        try:
            act()
        except Exception as error:
            self._silent = True
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            reason = masked(reason, self._uri)
            self._warn(
                f"MLflow at {masked(self._uri)} failed ({reason}); the results are safe in "
                f"{self._out}, and the same command logs them once MLflow works."
            )

    def _open(self) -> None:
        quiet()
        from mlflow import MlflowClient

        if self._is_default:
            self._out.mkdir(parents=True, exist_ok=True)
        self._client = MlflowClient(tracking_uri=self._uri)
        self._experiment = self._experiment_id()
        self._parent = self._parent_run()
        children = self._children()
        for half in (run for run in children if run.status not in ENDED):
            self._client.delete_run(half.identity)
        self._logged = {run.run_key for run in children if run.status == "FINISHED"}

    def _experiment_id(self) -> str:
        found = self._client.get_experiment_by_name(EXPERIMENT)
        where = (self._out / ARTIFACTS).absolute().as_uri() if self._is_default else None
        if found is None:
            return str(self._client.create_experiment(EXPERIMENT, artifact_location=where))
        if found.lifecycle_stage != "active":
            self._client.restore_experiment(found.experiment_id)
            self._warn(f"MLflow's experiment {EXPERIMENT!r} was deleted; it is restored.")
        if where is not None and found.artifact_location != where:
            moved(self._out / DATABASE, found.artifact_location, where)
        return str(found.experiment_id)

    def _parent_run(self) -> str:
        found = self._runs(f"tags.sweep_key = '{self._under.key}'")
        if found:
            return str(found[0].info.run_id)
        tags = {"sweep_key": self._under.key, "mlflow.note.content": self._under.note}
        tags |= {name: self._under.params[name] for name in MARKS if name in self._under.params}
        run = self._client.create_run(self._experiment, run_name=self._under.name, tags=tags)
        self._client.log_batch(run.info.run_id, params=_params(self._under.params))
        return str(run.info.run_id)

    def _runs(self, query: str) -> list[Any]:
        return list(searched(self._client, self._experiment, query))

    def _children(self, names: Collection[str] = ()) -> list[Child]:
        return children_of(self._client, self._uri, self._experiment, self._parent, names)

    def _log_failure(self, spec: RunSpec, said: str) -> None:
        name, tags = f"{said}{run_name(spec)}", self._tags(spec, git_commit())
        run = self._client.create_run(self._experiment, run_name=name, tags=tags)
        self._client.set_terminated(run.info.run_id, "FAILED")

    def _log_best(self, scores: Mapping[str, float], settings: Mapping[str, Any]) -> None:
        from mlflow.entities import Metric, RunTag

        now = int(1000 * time.time())
        finite = {name: score for name, score in scores.items() if math.isfinite(score)}
        metrics = [Metric(name, score, timestamp=now, step=0) for name, score in finite.items()]
        tags = [RunTag(f"best.{name}", str(value)) for name, value in settings.items()]
        self._client.log_batch(self._parent, metrics=metrics, tags=tags)

    def _log_comparisons(self, rows: Sequence[SummaryRow]) -> None:
        from mlflow.entities import Metric

        found: dict[str, dict[str, float]] = {}
        for row in rows:
            found.setdefault(row.run_key, {}).update(comparisons(row))
        names = {name for each in found.values() for name in each}
        for run in self._children(names):
            mine = found.get(run.run_key or "", {})
            new = {n: v for n, v in mine.items() if run.metrics.get(n) != v}
            if new:
                metrics = [Metric(n, v, int(1000 * time.time()), 0) for n, v in new.items()]
                self._client.log_batch(run.identity, metrics=metrics)

    def _log(self, folder: Path, said: str) -> None:
        if folder.name in self._logged:  # a cell's folder has its key as name
            return
        kept = read_result(folder)
        if kept is None:
            return
        result = without_patients(kept if self._is_here else without_few(kept))
        end = self._end_of(folder, private=result.private_data)
        commit = result.suite.commit if result.suite else git_commit()
        run = self._client.create_run(
            self._experiment,
            start_time=int(1000 * (end - result.seconds["total"])),
            run_name=f"{said}{run_name(result.spec)}",
            tags=self._tags(result.spec, commit),
        )
        identity = run.info.run_id
        params = _params(parameters(result))
        self._client.log_batch(identity, metrics=[*_scores(result)], params=params)
        if curves_may_leave(result):
            for batch in _batches(list(_curves(folder)), CURVE_BATCH):
                self._client.log_batch(identity, metrics=batch)
        self._artifacts(identity, folder, result)
        self._client.set_terminated(identity, "FINISHED", end_time=int(1000 * end))
        self._logged.add(result.run_key)

    @property
    def _is_here(self) -> bool:
        """Whether the store lies on this machine, as the results do."""
        return self._uri.startswith(("sqlite:", "sqlite+", "file:")) or "://" not in self._uri

    @property
    def _is_default(self) -> bool:
        """Whether the store is the one beside the results."""
        return self._uri == default_uri(self._out)

    def _end_of(self, folder: Path, *, private: bool) -> float:
        """When a cell ended; of patients, when the sweep began, as durations leave coarse alone."""
        if not private:
            return (folder / RESULT).stat().st_mtime
        return float(self._client.get_run(self._parent).info.start_time) / 1000

    def _tags(self, spec: RunSpec, commit: str) -> dict[str, str]:
        return {
            "mlflow.parentRunId": self._parent,
            "run_key": spec.key,
            "generator": spec.generator.name,
            "mlflow.runColor": look_of(spec.generator.name).light,
            "segmenter": spec.segmenter.name,
            "unit": spec.unit,
            "git_commit": commit,
            **marks(spec),
        }

    def _artifacts(self, identity: str, folder: Path, result: Result) -> None:
        self._client.log_dict(identity, result.as_dict(), RESULT)
        for name in (SAMPLES, GENERATOR, ROUNDS):
            path = folder / name
            if path.is_file():
                self._client.log_artifact(identity, str(path))
            elif path.is_dir():
                self._client.log_artifacts(identity, str(path), name)


def _params(said: Mapping[str, str]) -> list[Any]:
    from mlflow.entities import Param

    return [Param(name, text) for name, text in said.items()]


def _scores(result: Result) -> Iterator[Any]:
    from mlflow.entities import Metric

    for name, value in metrics(result).items():
        yield Metric(name, value, timestamp=0, step=0)
    for many, alone, tests in judgements(result):
        for test in tests:
            name = f"dice_{test.name}_{'own_alone' if alone else 'with_own'}"
            yield Metric(name, test.dice.mean, timestamp=0, step=many)


def _curves(folder: Path) -> Iterator[Any]:
    from mlflow.entities import Metric

    try:
        points = json_in(folder / CURVES)
    except (OSError, ValueError):
        return
    for name, step, value in points:
        yield Metric(name, float(value), timestamp=step, step=step)


def _batches(items: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
