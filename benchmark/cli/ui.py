"""``bench ui``: MLflow's own UI for the runs."""

from __future__ import annotations

import os
import socket
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

from benchmark.core.errors import UsageError

HOST = "127.0.0.1"
STDOUT = 1
RUNS = Path("runs")


@click.command()
@click.argument("sweep", type=click.Path(path_type=Path), required=False)
@click.option("--out", type=click.Path(path_type=Path), help="The folder; the same as SWEEP.")
@click.option("--tracking-uri", metavar="URI", help="MLflow's store.  [default: SWEEP/mlflow.db]")
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True)
def ui(sweep: Path | None, out: Path | None, tracking_uri: str | None, port: int) -> None:
    """Open MLflow's UI on the runs of a sweep's folder.

    SWEEP is the folder (default: runs). The UI is at 127.0.0.1. The command waits until MLflow
    answers, and then prints the addresses of the newest sweep's comparison and of all runs. Ctrl-C
    ends MLflow.
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
    click.echo("Starting MLflow, which takes some seconds.", err=True)
    _tell_once_it_answers(port, said)
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


def _tell_once_it_answers(port: int, said: Sequence[str]) -> None:
    """A child of the server-to-be waits for its answer, and tells; it ends with the server."""
    server = os.getpid()
    if os.fork():
        return
    while os.getppid() == server and not _answers(port):
        time.sleep(0.2)
    if os.getppid() == server:
        click.echo("\n".join(said))
    os._exit(0)


def _become_mlflow(uri: str, port: int) -> NoReturn:
    """This process becomes the server, so that whatever ends the command ends MLflow."""
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")  # it has no jobs
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, "--host", HOST]
    command += ["--port", str(port), "--workers", "1"]  # one reader; each takes seconds of imports
    os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)  # a line for each request
    os.execv(sys.executable, command)


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
