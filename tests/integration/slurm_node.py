"""A SLURM of one node on this machine, from Debian's packages, in a folder of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PARTITION = "cells"
DAEMONS = ("munged", "mungekey", "slurmctld", "slurmd", "sbatch", "srun", "squeue")
SETTINGS = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmctldPort={controller}
SlurmdPort={daemon}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
ReturnToService=2
SchedulerParameters=sched_interval=2
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
KillWait=5
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=4000 State=UNKNOWN
PartitionName={partition} Nodes={host} Default=YES MaxTime=60 DefaultTime=30 State=UP
"""


def lacking() -> str:
    """Why SLURM cannot be started here; empty if it can."""
    if os.geteuid():
        return "SLURM's daemons are started by root"
    missing = [name for name in DAEMONS if shutil.which(name, path=_path()) is None]
    if missing:
        return f"{', '.join(missing)} missing: apt-get install slurm-wlm munge"
    return ""


@contextmanager
def slurm_node(folder: Path, settings: str = "") -> Iterator[dict[str, str]]:
    """Starts the daemons; yields the environment that SLURM's commands need.

    Args:
        folder: With a short path, as it holds a socket.
        settings: Further lines of ``slurm.conf``.
    """
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    host = socket.gethostname().split(".")[0]
    text = SETTINGS.format(
        host=host, folder=folder, controller=_port(), daemon=_port(), partition=PARTITION
    )
    (folder / "slurm.conf").write_text(text + settings)
    environment = {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": _path()}
    whole = {**os.environ, **environment}
    key, munge = folder / "munge.key", folder / "munge.socket"
    subprocess.run(["mungekey", "--create", f"--keyfile={key}"], check=True, env=whole)
    begun: list[subprocess.Popen[bytes]] = []
    try:
        with (folder / "daemons.log").open("wb") as log:
            for command in (
                ["munged", "--foreground", "--force", f"--key-file={key}", f"--socket={munge}"]
                + [f"--{name}-file={folder}/munge.{name}" for name in ("pid", "seed", "log")],
                ["slurmctld", "-D", "-i"],
                ["slurmd", "-D"],
            ):
                begun.append(subprocess.Popen(command, env=whole, stdout=log, stderr=log))
                time.sleep(1)
        _wait_until_idle(folder, whole)
        yield environment
    finally:
        for process in reversed(begun):
            process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
            process.wait()


def _wait_until_idle(folder: Path, environment: dict[str, str]) -> None:
    end = time.monotonic() + 60
    asked = ["sinfo", "--noheader", "--format=%T"]
    while True:
        said = subprocess.run(asked, env=environment, capture_output=True, text=True, check=False)
        if said.stdout.strip() == "idle":
            return
        logs = "".join(log.read_text(errors="replace") for log in folder.glob("*.log"))
        assert time.monotonic() < end, f"{said.stdout} {said.stderr}\n{logs[-4000:]}"
        time.sleep(0.5)


def _path() -> str:
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"


def _port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
