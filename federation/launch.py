"""A deployed run from its start to its end, because the exit code of ``flwr run`` says nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import federation
from benchmark.core.files import held, write_text
from federation.backend import quiet
from federation.server_app import ERROR

PATIENCE_S = 60.0
"""How long to wait for an earlier run in the folder. A server whose SuperLink was killed ends
within seconds."""

NOT_BEGUN = "The run did not begin; Flower's own words are above, or in the SuperLink's log."


def launch(out: Path, flower: Sequence[str]) -> str | None:
    """Run the app to its end.

    Args:
        out: The folder in which the server leaves its results. The server app must run on this
            machine.
        flower: The further arguments of ``flwr run``: the SuperLink's name and options.

    Returns:
        Why it failed; ``None`` if it did not.
    """
    out, programs = out.absolute(), Path(sys.executable).parent
    if not _begun(out):
        return f"{out}: another run is at work there; wait for it, or name another folder."
    quiet()
    os.environ.setdefault("FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION", "1")
    path = f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"  # Flower starts its own commands
    told = [*flower, "--stream", "--run-config", f'out="{out}"']
    subprocess.run(
        [programs / "flwr", "run", *federation.__path__, *told],
        env={**os.environ, "PATH": path},
        check=False,
    )
    return _reason(out)


def _begun(out: Path) -> bool:
    """Leaves word that nothing has run yet, once no other run is at work."""
    until = time.monotonic() + PATIENCE_S
    while True:
        with held(out) as mine:
            if mine:
                write_text(out / ERROR, f"{NOT_BEGUN}\n")
            if mine or time.monotonic() > until:
                return mine
        time.sleep(1.0)


def _reason(out: Path) -> str | None:
    """What the server left; it takes its file away when a run has ended well."""
    try:
        return (out / ERROR).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
