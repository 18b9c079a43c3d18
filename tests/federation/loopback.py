"""A consortium on this machine: a SuperLink and SuperNodes, each a process, over the loopback.

As a program (``make federation-demo``): three hospitals of phantoms, two rounds of local noise, a
fit by secure sums, a check of both, and nothing left running.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmark.core.budget import epsilon_text

BIN = Path(sys.executable).parent
ENVIRONMENT = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "OMP_NUM_THREADS": "1",
}
ALLOWED = "phantom=true seeded-noise=true"
STOP_S = 10.0
RUN_S = 600.0


def environment(folder: Path) -> dict[str, str]:
    """Quiet, without installing anything, and with Flower's own folder below ``folder``."""
    path = f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"  # Flower starts its own commands
    return {**os.environ, **ENVIRONMENT, "PATH": path, "FLWR_HOME": str(folder / "flwr")}


def run_in_flowers_simulation(
    folder: Path, cohort: Path, sites: int, **config: Any
) -> subprocess.CompletedProcess[str]:
    """``bench federate`` on the SuperLink that Flower starts by itself, and ends the latter."""
    own = {**environment(folder), "FLWR_LOCAL_CONTROL_API_PORT": str(_free_port())}
    settings = _texts({"sites": sites, "data": str(cohort), **config})
    command = [BIN / "bench", "federate", folder / "out", "local", "--run-config", settings]
    try:
        return subprocess.run(
            [*command, "--federation-config", f"num-supernodes={sites}"],
            env=own,
            capture_output=True,
            text=True,
            timeout=RUN_S,
            check=False,
        )
    finally:
        _end_detached(folder / "flwr")


def _texts(settings: Mapping[str, Any]) -> str:
    return " ".join(f"{name.replace('_', '-')}={json.dumps(v)}" for name, v in settings.items())


def _end_detached(home: Path) -> None:
    """Ends the processes whose FLWR_HOME is this one: Flower's own SuperLink stays behind."""
    for process in _of_home(home):
        with contextlib.suppress(OSError):
            os.kill(int(process.name), signal.SIGTERM)


def _of_home(home: Path) -> Iterator[Path]:
    """The folders in /proc of the processes whose FLWR_HOME is this one."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"FLWR_HOME={home}".encode() in (process / "environ").read_bytes().split(b"\0"):
                yield process


class Loopback:
    """A running consortium.

    Args:
        folder: Where everything lies.
        hospitals: Each site's cohort.
        tls: Whether over TLS, with registered node keys.
    """

    def __init__(self, folder: Path, hospitals: Mapping[str, Path], *, tls: bool = False) -> None:
        self.folder, self.hospitals, self.tls = folder, hospitals, tls
        self._environment = environment(folder)
        self._port = _free_port()
        self._started: dict[str, subprocess.Popen[bytes]] = {}
        self._agreed: int | None = None

    def __enter__(self) -> Loopback:
        try:
            self._begin()
        except BaseException:
            self._end()
            raise
        return self

    def _begin(self) -> None:
        (self.folder / "flwr").mkdir(parents=True)
        if self.tls:
            _certificates(self.folder)
        self._configure()
        self.start_superlink()
        for index, name in enumerate(self.hospitals):
            self.start_supernode(index, name)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def _end(self) -> None:
        for name in [*self._started]:
            self.stop(name)

    def start_superlink(self) -> None:
        secure = ["--insecure"]
        if self.tls:
            secure = [
                *("--ssl-ca-certfile", str(self.folder / "ca.crt")),
                *("--ssl-certfile", str(self.folder / "server.crt")),
                *("--ssl-keyfile", str(self.folder / "server.key")),
                "--enable-supernode-auth",
            ]
        database = str(self.folder / "superlink.db")
        port = str(self._port)
        where = ["--host", "127.0.0.1", "--port", port, "--database", database]
        self._start("superlink", "flower-superlink", *secure, *where)
        _wait_for(self._port)

    def start_supernode(self, index: int, name: str) -> None:
        secure = ["--insecure"]
        if self.tls:
            key = self.folder / f"{name}.key"
            self._register(key)
            secure = ["--root-certificates", str(self.folder / "ca.crt")]
            secure += ["--auth-supernode-private-key", str(key)]
        config = {
            "site": name,
            "data": str(self.hospitals[name]),
            "state": str(self.folder / name / "state"),
            "cache": str(self.folder / name / "cache"),
        }
        texts = " ".join(f'{key}="{value}"' for key, value in config.items())
        texts += f" partition-id={index} {ALLOWED}{self._trust(name)}"
        where = ["--superlink", f"127.0.0.1:{self._port}", "--port", str(_free_port())]
        self._start(name, "flower-supernode", *secure, *where, "--node-config", texts)

    def agree(self, curious: int) -> None:
        """Exchanges fingerprints, as people would, and restarts every site for secure sums."""
        self._agreed = curious
        for index, name in enumerate(self.hospitals):
            self.stop(name)
            self.start_supernode(index, name)

    def fingerprint(self, name: str) -> str:
        """What the site's own command prints."""
        state = str(self.folder / name / "state")
        said = self._call("bench", "fingerprint", "--state", state).stdout
        return said.splitlines()[0].replace(" ", "")

    def _trust(self, name: str) -> str:
        if self._agreed is None:
            return ""
        others = ",".join(self.fingerprint(one) for one in self.hospitals if one != name)
        return f' secure-sum={self._agreed} trusted="{others}"'

    def stop(self, name: str) -> None:
        """Ends what was started under that name, and whatever it started."""
        process = self._started.pop(name)
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self, name: str) -> None:
        """Ends it as a power cut would."""
        process = self._started.pop(name)
        process.kill()
        process.wait()

    def kill_server(self) -> None:
        """Ends the server's app, which the SuperLink started, as a power cut would."""
        for process in _of_home(self.folder / "flwr"):
            with contextlib.suppress(OSError):
                if b"serverapp" in (process / "cmdline").read_bytes():
                    os.kill(int(process.name), signal.SIGKILL)

    def run(self, **config: Any) -> subprocess.CompletedProcess[str]:
        """``bench federate``, to its end."""
        settings = _texts({"sites": len(self.hospitals), **config})
        out = str(self.folder / "out")
        return self._call("bench", "federate", out, "loopback", "--run-config", settings)

    def results(self) -> list[dict[str, Any]]:
        found = sorted((self.folder / "out").glob("*/federation.json"))
        return [json.loads(file.read_text()) for file in found]

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def _configure(self) -> None:
        lines = ["[superlink]", 'default = "loopback"', "", "[superlink.loopback]"]
        lines += [f'address = "127.0.0.1:{self._port}"']
        certificate = f'root-certificates = "{self.folder / "ca.crt"}"'
        lines += [certificate if self.tls else "insecure = true"]
        (self.folder / "flwr" / "config.toml").write_text("\n".join(lines) + "\n")

    def _register(self, key: Path) -> None:
        if key.exists():
            return
        _call("ssh-keygen", "-q", "-t", "ecdsa", "-b", "384", "-N", "", "-f", str(key))
        done = self._call("flwr", "supernode", "register", f"{key}.pub", "loopback")
        if done.returncode:
            raise RuntimeError(f"The node's key was not registered: {done.stdout}{done.stderr}")

    def _call(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [BIN / program, *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=RUN_S,
            check=False,
        )

    def _start(self, name: str, program: str, *arguments: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._started[name] = subprocess.Popen(
                [BIN / program, *arguments], env=self._environment, stdout=log, stderr=log
            )


def _certificates(folder: Path) -> None:
    """An authority of our own, and a certificate for 127.0.0.1."""
    authority = ["-keyout", str(folder / "ca.key"), "-out", str(folder / "ca.crt")]
    new = ["openssl", "req", "-newkey", "rsa:2048", "-nodes"]
    _call(*new, "-x509", "-days", "2", "-subj", "/CN=consortium", *authority)
    request = ["-keyout", str(folder / "server.key"), "-out", str(folder / "server.csr")]
    _call(*new, "-subj", "/CN=127.0.0.1", *request)
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    _call(
        *("openssl", "x509", "-req", "-days", "2", "-in", str(folder / "server.csr")),
        *("-CA", str(folder / "ca.crt"), "-CAkey", str(folder / "ca.key"), "-CAcreateserial"),
        *("-out", str(folder / "server.crt"), "-extfile", str(folder / "names")),
    )


def _call(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, patience_s: float = 120.0) -> None:
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise TimeoutError(f"Nothing listens on port {port}.")


def hospitals(folder: Path) -> dict[str, Path]:
    """Three cohorts of phantoms."""
    made = {}
    for seed, name in enumerate(("north", "harbour", "hill")):
        made[name] = folder / f"cohort-{name}"
        command = ["data", "phantom", str(made[name]), "--patients", "4", "--seed", str(seed)]
        subprocess.run([BIN / "bench", *command], check=True)
    return made


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tls", action="store_true", help="with TLS and registered node keys")
    tls = parser.parse_args().tls
    folder = Path(tempfile.mkdtemp(prefix="angiobench-federation-"))
    try:
        with Loopback(folder, hospitals(folder), tls=tls) as consortium:
            if not _shown(consortium, rounds=2, local_steps=20, patches_per_patient=200):
                return 1
            consortium.agree(1)
            secure = {"generator": "dp-merf", "unit": "patient", "epsilon": "2", "secure_sum": 1}
            return 0 if _shown(consortium, **secure, patches_per_patient=200) else 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _shown(consortium: Loopback, rounds: int = 1, **told: Any) -> bool:
    """Runs, prints what each site paid, and says whether all took part in every round."""
    start, before = time.monotonic(), {one["run"] for one in consortium.results()}
    done = consortium.run(**{**told, **({"rounds": rounds} if rounds > 1 else {})})
    found = [one for one in consortium.results() if one["run"] not in before]
    print(done.stdout[-2000:], done.stderr[-2000:])
    if not found:
        print("The run left no result; the logs:")
        print(*(file.read_text()[-3000:] for file in consortium.folder.glob("*.log")), sep="\n")
        return False
    for site in found[0]["sites"]:
        spent = epsilon_text(site["guarantee"]["epsilon"])
        print(f"{site['site']}: ε = {spent}, {site['patients']} patients")
    print(f"It holds against {found[0]['holds_against']}.")
    run = consortium.folder / "out" / found[0]["run"]
    (generator,) = run.glob("generator/weights.safetensors")
    print(f"{rounds} round(s) in {time.monotonic() - start:.0f} s; the generator: {generator.name}")
    return len(found[0]["sites"]) == 3 and len(found[0]["rounds"]) == rounds


if __name__ == "__main__":
    sys.exit(main())
