"""The child runs of a sweep in MLflow: which cells it has, and the metrics of some names.

MLflow's search builds every run with all its parameters, metrics and tags. For ten thousand cells
that takes a minute, where two names are wanted. MLflow's SQLite file is therefore read directly;
any other store, or a file of another schema, is searched page by page.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from typing import Any, NamedTuple

from sqlalchemy import make_url

PAGE = 1_000
RUNS = """
SELECT runs.run_uuid, runs.status, cell.value FROM runs
JOIN tags AS parent ON parent.run_uuid = runs.run_uuid AND parent.key = 'mlflow.parentRunId'
LEFT JOIN tags AS cell ON cell.run_uuid = runs.run_uuid AND cell.key = 'run_key'
WHERE parent.value = ? AND runs.lifecycle_stage = 'active' AND runs.experiment_id = ?
"""
METRICS = """
SELECT latest_metrics.run_uuid, latest_metrics.key, latest_metrics.value FROM latest_metrics
JOIN tags AS parent ON parent.run_uuid = latest_metrics.run_uuid
WHERE parent.key = 'mlflow.parentRunId' AND parent.value = ? AND latest_metrics.is_nan = 0
"""


class Child(NamedTuple):
    """A child run.

    Attributes:
        identity: MLflow's name of the run.
        status: MLflow's word for how it stands.
        run_key: The cell's key; ``None`` if it has none.
        metrics: The metrics that were asked for, by name.
    """

    identity: str
    status: str
    run_key: str | None
    metrics: dict[str, float]


def children_of(
    client: Any, uri: str, experiment: str, parent: str, names: Collection[str] = ()
) -> list[Child]:
    """Return the child runs of a run.

    Args:
        client: MLflow's client.
        uri: Its tracking URI.
        experiment: The experiment's identity.
        parent: The parent run's identity.
        names: The metrics that are wanted.
    """
    file = _sqlite_file(uri)
    if file is not None:
        try:
            return _read(file, experiment, parent, names)
        except sqlite3.Error:
            pass  # another version's schema, or a lock that did not end
    return [
        Child(
            run.info.run_id,
            run.info.status,
            run.data.tags.get("run_key"),
            {name: value for name, value in run.data.metrics.items() if name in names},
        )
        for run in searched(client, experiment, f"tags.`mlflow.parentRunId` = '{parent}'")
    ]


def searched(client: Any, experiment: str, query: str) -> Iterator[Any]:
    """Yield all runs that a query of MLflow's finds, page by page."""
    token = None
    while True:
        page = client.search_runs([experiment], query, max_results=PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _sqlite_file(uri: str) -> str | None:
    if not uri.startswith("sqlite"):
        return None
    url = make_url(uri)
    return None if url.query else url.database


def _read(file: str, experiment: str, parent: str, names: Collection[str]) -> list[Child]:
    with closing(sqlite3.connect(file)) as store:
        metrics: dict[str, dict[str, float]] = {}
        for identity, name, value in store.execute(METRICS, (parent,)) if names else ():
            if name in names:
                metrics.setdefault(identity, {})[name] = value
        found = store.execute(RUNS, (parent, int(experiment)))
        return [Child(run, status, key, metrics.get(run, {})) for run, status, key in found]
