"""``bench ui``: MLflow's own UI on what was run."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import NoReturn

import click

from benchmark.core.errors import UsageError

HOST = "127.0.0.1"
RUNS = Path("runs")


@click.command()
@click.argument("sweep", type=click.Path(path_type=Path), required=False)
@click.option("--out", type=click.Path(path_type=Path), help="The folder, as SWEEP.")
@click.option("--tracking-uri", metavar="URI", help="MLflow's store.  [default: SWEEP/mlflow.db]")
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True)
def ui(sweep: Path | None, out: Path | None, tracking_uri: str | None, port: int) -> None:
    """Open MLflow's UI on the runs of a sweep's folder (default: runs), at 127.0.0.1.

    Prints the address of the newest sweep's comparison and that of all runs, and starts MLflow,
    which answers after some seconds. Ctrl-C ends it.
    """
    from benchmark.sweep.tracking.mlflow_runs import default_uri
    from benchmark.sweep.tracking.pages import pages

    folder = _folder(sweep, out)
    _check(folder, tracking_uri, port)
    uri = tracking_uri or default_uri(folder)
    runs, compared = pages(uri)
    said = [f"All runs: http://{HOST}:{port}{runs} (Ctrl-C ends MLflow)"]
    if compared is not None:
        said.insert(0, f"The newest sweep, compared: http://{HOST}:{port}{compared}")
    click.echo("\n".join(said))
    click.echo("MLflow starts, which takes some seconds.", err=True)
    _become_mlflow(uri, port)


def _folder(sweep: Path | None, out: Path | None) -> Path:
    """The folder that was named, as an argument or as the option.

    Raises:
        UsageError: For two different ones.
    """
    if sweep and out and sweep != out:
        raise UsageError(f"Expected one folder, got {sweep} and --out {out}; leave --out out.")
    return sweep or out or RUNS


def _check(folder: Path, tracking_uri: str | None, port: int) -> None:
    """Refuses what MLflow would fail at, or what would show another server's runs.

    Raises:
        UsageError: For a folder without runs, or a port that is taken.
    """
    from benchmark.sweep.tracking.mlflow_runs import DATABASE

    if tracking_uri is None and not (folder / DATABASE).exists():
        raise UsageError(f"{folder / DATABASE} does not exist; `bench run` makes it.")
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as MLflow's server does
        try:
            tried.bind((HOST, port))
        except OSError as error:
            raise UsageError(
                f"Expected a free --port, got {port}, which another program has "
                f"({error.strerror}); name another."
            ) from None


def _become_mlflow(uri: str, port: int) -> NoReturn:
    """This process becomes the server, so that whatever ends the command ends MLflow."""
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")  # it has no jobs
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, "--host", HOST]
    command += ["--port", str(port), "--workers", "1"]  # one reader; each takes seconds of imports
    os.execv(sys.executable, command)
