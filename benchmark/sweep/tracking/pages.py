"""Addresses of pages in MLflow's UI, without host and port."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from benchmark.core.errors import UsageError
from benchmark.sweep.tracking.mlflow_runs import EXPERIMENT, STUDY, quiet

RUNS = "/#/experiments/{}/runs?workflowType=machine_learning"
COMPARED = "/#/compare-runs?runs={}&experiments={}"
MOST = 100
"""The most runs that one comparison shows."""


def pages(uri: str) -> tuple[str, str | None]:
    """Return a store's pages: the list of all runs, and a comparison of the newest sweep's cells.

    Args:
        uri: MLflow's tracking URI.

    Returns:
        The two addresses; the second is ``None`` if the newest sweep has fewer than two cells.

    Raises:
        UsageError: If the store cannot be read or has no sweep.
    """
    quiet()
    from mlflow import MlflowClient

    try:
        client = MlflowClient(tracking_uri=uri)
        found = client.get_experiment_by_name(EXPERIMENT)
    except Exception as error:
        raise UsageError(f"{uri}: MLflow cannot read this store ({error}).") from error
    if found is None:
        raise UsageError(f"{uri}: no sweep was logged there; `bench run` does.")
    cells = _newest_sweep(client, found.experiment_id)
    compared = COMPARED.format(_listed(cells), _listed([found.experiment_id]))
    return RUNS.format(found.experiment_id), compared if len(cells) > 1 else None


def _newest_sweep(client: Any, experiment: str) -> list[str]:
    """Its cells; a study is no sweep, and its trials are no results to compare."""
    parents = client.search_runs(
        [experiment], "tags.sweep_key != ''", max_results=MOST, order_by=["start_time DESC"]
    )
    newest = next((p for p in parents if not p.data.tags["sweep_key"].startswith(STUDY)), None)
    if newest is None:
        return []
    query = f"tags.`mlflow.parentRunId` = '{newest.info.run_id}'"
    cells = client.search_runs([experiment], query, max_results=MOST)
    return [cell.info.run_id for cell in cells]


def _listed(names: Sequence[str]) -> str:
    return quote(json.dumps(list(names)))
