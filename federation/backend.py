"""Backends of a simulation: its sites run in this process, or in Ray's workers through Flower."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import socket
import threading
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

from benchmark.core.bounds import shortened
from benchmark.core.errors import UsageError
from benchmark.core.federation import Arrays
from federation.client_app import client_app
from federation.job import Job
from federation.post import Post
from federation.strategy import FederationError, Member, Rules, train

IN_PROCESS, RAY = BACKENDS = "in-process", "ray"
OWN_CLUSTER, AUTO = "local", "auto"
CURRENT = Path("/tmp/ray/ray_current_cluster")  # noqa: S108  (where `ray start` writes it)
PATIENCE_S = 20.0
SERVER = 1

Trained = tuple[Arrays, list[Member]]


def quiet() -> None:
    """Set the environment before Flower or Ray start.

    They then send no telemetry, look for no updates, and log errors only.
    """
    for name, value in {
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    }.items():
        os.environ.setdefault(name, value)
    logging.getLogger("flwr").setLevel(logging.ERROR)


def simulate(
    backend: str, job: Job, posts: Sequence[Post], rules: Rules, *, cluster: str | None = None
) -> Trained:
    """Run a federated fit whose sites are simulated.

    Args:
        backend: ``in-process`` or ``ray``.
        job: What server and sites agree on.
        posts: Where each site works.
        rules: How the server proceeds.
        cluster: The address of Ray's cluster, as ``cluster_at`` returns it; ``None`` for one of our
            own on this machine, whatever ``RAY_ADDRESS`` names.

    Returns:
        The last state, and the sites.

    Raises:
        UsageError: For an unknown backend, or a cluster that cannot be reached.
        FederationError: If it stopped.
    """
    if backend not in BACKENDS:
        raise UsageError(f"Expected a backend of {', '.join(BACKENDS)}; got {backend!r}.")
    quiet()
    if backend == RAY:
        return _ray(job, posts, rules, cluster_at(cluster) if cluster else OWN_CLUSTER)
    return train(OneProcess(posts_app(posts), len(posts)), job, rules)


def cluster_at(address: str) -> str:
    """Find Ray's cluster, and refuse one that does not answer. Ray itself would wait for minutes.

    Args:
        address: ``HOST:PORT``; or ``auto`` for the one that ``RAY_ADDRESS`` names, or else the one
            that ``ray start`` began on this machine.

    Returns:
        ``HOST:PORT``.

    Raises:
        UsageError: If there is none.
    """
    found = _named_cluster() if address == AUTO else address
    host, colon, port = found.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) < 2**16):
        raise UsageError(
            f"Expected --ray HOST:PORT or auto, got {shortened(repr(address))}; `ray start --head` "
            "prints the address of the cluster that it starts."
        )
    try:
        socket.create_connection((host, int(port)), timeout=PATIENCE_S).close()
    except OSError as error:
        raise UsageError(
            f"Ray's cluster {found} cannot be reached ({error.strerror or error}); start one with "
            "`ray start --head`, or leave --ray out for one of our own."
        ) from error
    return found


def _named_cluster() -> str:
    named = os.environ.get("RAY_ADDRESS", "")
    if named in ("", AUTO):
        with contextlib.suppress(OSError):
            named = CURRENT.read_text(encoding="ascii").strip()
    return named or "no cluster"


def _ray(job: Job, posts: Sequence[Post], rules: Rules, address: str) -> Trained:
    from flwr.simulation import run_simulation

    found: list[Trained] = []
    failed: list[Exception] = []
    server = ServerApp()

    @server.main()
    def main(grid: Grid, context: Context) -> None:
        try:
            found.append(train(grid, job, rules))
        except Exception as error:  # Flower's thread would keep it
            failed.append(error)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run_simulation(
            server_app=server,
            client_app=posts_app(posts),
            num_supernodes=len(posts),
            backend_config={
                "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
                "init_args": {
                    "address": address,
                    "log_to_driver": False,
                    "logging_level": "error",
                    "include_dashboard": False,
                },
            },
        )
    if failed:
        raise failed[0]
    if not found:
        raise FederationError("Flower's simulation ended without a result.")
    return found[0]


def posts_app(posts: Sequence[Post]) -> ClientApp:
    """Return the sites' app for a simulation; a node's number selects its post."""
    by_index = {post.index: post for post in posts}
    return client_app(lambda context, run: by_index[int(context.node_config["partition-id"])])


class OneProcess(Grid):
    """Flower's grid without a network: every node's app is called, one after the other.

    The calls are made in one separate thread, so that an answer can be late.

    Args:
        app: The sites' app.
        nodes: How many nodes there are.
    """

    def __init__(self, app: ClientApp, nodes: int) -> None:
        from flwr.supercore.task_identity import TaskIdentity  # Message asks it who sends

        TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = SERVER, SERVER, SERVER
        self._app = app
        self._contexts = {
            SERVER + 1 + k: Context(
                run_id=SERVER,
                node_id=SERVER + 1 + k,
                node_config={"partition-id": k, "num-partitions": nodes},
                state=RecordDict(),
                run_config={},
            )
            for k in range(nodes)
        }
        self._asked: queue.Queue[tuple[Message, queue.Queue[Message]]] = queue.Queue()
        threading.Thread(target=self._work, daemon=True).start()

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Return the answers that came in time; each node has the whole time for itself."""
        answers = []
        for message in messages:
            box: queue.Queue[Message] = queue.Queue(1)
            self._asked.put((message, box))
            try:
                answers.append(box.get(timeout=timeout))
            except queue.Empty:
                break
        return answers

    def get_node_ids(self) -> Iterable[int]:
        """Return every node's number."""
        return list(self._contexts)

    def _work(self) -> None:
        while True:
            message, box = self._asked.get()
            try:
                answer = self._app(message, self._contexts[message.metadata.dst_node_id])
            except Exception as error:
                answer = Message(Error(0, str(type(error))), reply_to=message)
            box.put(answer)

    def set_run(self, run: Any) -> None:
        """Do nothing: there is one run only."""

    @property
    def run(self) -> Any:
        """Not supported: there is one run only."""
        raise NotImplementedError

    def create_message(self, *args: Any, **kwargs: Any) -> Message:
        """Not supported: it is deprecated in Flower."""
        raise NotImplementedError

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Not supported: answers come at once here."""
        raise NotImplementedError

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Not supported: answers come at once here."""
        raise NotImplementedError
