"""``bench ui``: MLflow's own UI on what was run."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

HOST = "127.0.0.1"


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="The folder that `bench run` wrote.",
)
@click.option("--tracking-uri", metavar="URI", help="MLflow's store.  [default: OUT/mlflow.db]")
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True)
def ui(out: Path, tracking_uri: str | None, port: int) -> None:
    """Open MLflow's UI on the runs, at 127.0.0.1."""
    from benchmark.core.errors import UsageError
    from benchmark.sweep.tracking.mlflow_runs import DATABASE, default_uri
    from benchmark.sweep.tracking.pages import pages

    if tracking_uri is None and not (out / DATABASE).exists():
        raise UsageError(f"{out / DATABASE} does not exist; `bench run` makes it.")
    uri = tracking_uri or default_uri(out)
    runs, compared = pages(uri)
    click.echo(f"The runs: http://{HOST}:{port}{runs} (Ctrl-C ends MLflow)")
    if compared is not None:
        click.echo(f"The newest sweep, compared: http://{HOST}:{port}{compared}")
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")  # it has no jobs
    command = ["ui", "--backend-store-uri", uri, "--host", HOST, "--port", str(port)]
    command += ["--workers", "1"]  # one reader; each takes seconds of imports
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", *command])
