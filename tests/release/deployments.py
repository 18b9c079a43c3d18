"""A deployment of three hospitals in one process: the folder that its server leaves, and its sites.

The server's and the sites' apps are the deployed ones; only Flower's network is not there.
"""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from command import bench
from flwr.app import Context, RecordDict

from benchmark.privacy.ledger.ledger import ledger_in
from federation import server_app
from federation.backend import OneProcess
from federation.client_app import client_app
from federation.deployment import post_of
from federation.secure_identity import identity_in

NAMES = ("north", "harbour", "hill")
SPLITS = ("train",) * 6 + ("val",) + ("test",) * 5
APP = tomllib.loads((Path("federation") / "pyproject.toml").read_text())
DEFAULTS: Mapping[str, Any] = APP["tool"]["flwr"]["app"]["config"]
ASKED = {"generator": "dp-simulator", "unit": "patient", "epsilon": "5", "patches-per-patient": 40}
N, SEED = "40", "3"
WHO = "Dr Ada Meyer, data protection officer"


@dataclass(frozen=True)
class Consortium:
    """Where everything lies.

    Attributes:
        root: The folder.
        run: The folder of the server's run.
    """

    root: Path
    run: Path

    def state(self, site: str) -> Path:
        """The folder of a site's ledger."""
        return self.root / site / "state"

    def at(self, site: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The command at a site, whose state folder is its own."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ANGIOBENCH_STATE", str(self.state(site)))
            return bench(*arguments, cwd=self.root)

    def consent(
        self, site: str, *more: str, out: str = "consents", run: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """A site's consent to the patches in the run's folder."""
        told = [*("--site", site), *("--by", WHO), *("--data", f"{site}/cohort"), *("--out", out)]
        return self.at(site, "consent", str(run or self.run), *told, *more)

    def release(
        self, out: str, *more: str, consents: str = "consents", run: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """The server's release."""
        told = ["--licence", "CC-BY-4.0", "--n", N, "--seed", SEED, "--per-volume", "20"]
        told += ["--consents", consents, "--out", out]
        return bench("release", str(run or self.run), *told, *more, cwd=self.root)


def hospitals(root: Path, write_cohort: Callable[..., Path]) -> None:
    """Three cohorts of other patients each, and a cap in each ledger."""
    for number, name in enumerate(NAMES):
        write_cohort(root / name / "cohort", SPLITS, first=100 * number)
        ledger_in(root / name / "state").set_cap(1000.0)


def deployed(root: Path, out: str = "out", curious: int | None = None, **config: Any) -> Path:
    """Runs the server's app over the hospitals, and returns the folder of the run."""
    nodes: list[dict[str, Any]] = [
        {
            "site": name,
            "partition-id": number,
            "data": str(root / name / "cohort"),
            "state": str(root / name / "state"),
            "cache": str(root / name / "cache"),
        }
        for number, name in enumerate(NAMES)
    ]
    if curious is not None:
        config["secure-sum"] = curious
        for node in nodes:
            node.update(agreed_at(root, node["site"], curious))
    app = client_app(
        lambda context, run: post_of(
            SimpleNamespace(node_config=nodes[int(context.node_config["partition-id"])]), run
        )
    )
    said = {**DEFAULTS, **ASKED, "sites": len(NAMES), "out": str(root / out), **config}
    nobody = RecordDict()
    context = Context(run_id=1, node_id=1, node_config={}, state=nobody, run_config=said)
    (root / out).mkdir(exist_ok=True)
    server_app.main(OneProcess(app, len(NAMES)), context)
    (found,) = (file.parent for file in (root / out).glob("*/federation.json"))
    return found


def agreed_at(root: Path, site: str, curious: int) -> Mapping[str, Any]:
    """What a site's configuration says of secure sums, once all have told their fingerprints."""
    others = [name for name in NAMES if name != site]
    known = [identity_in(root / name / "state").fingerprint for name in others]
    return {"secure-sum": curious, "trusted": ",".join(known)}


def consortium(
    root: Path, write_cohort: Callable[..., Path], curious: int | None = None
) -> Consortium:
    """A finished deployment whose patches are drawn, and nobody has consented yet."""
    hospitals(root, write_cohort)
    made = Consortium(root, deployed(root, curious=curious))
    done = bench("candidate", str(made.run), "--n", N, "--seed", SEED, cwd=root)
    assert done.returncode == 0, done.stderr
    return made


def consented(made: Consortium) -> Consortium:
    """The same with every site's consent."""
    for site in NAMES:
        done = made.consent(site)
        assert done.returncode == 0, done.stdout + done.stderr
    return made


def released_by(agreed: Consortium) -> Path:
    """The folder of its release."""
    done = agreed.release("first")
    assert done.returncode == 0, done.stdout + done.stderr
    return agreed.root / "first"


def sent(made: Consortium, folder: Path) -> Path:
    """A copy of the server's folder, as it was sent to a site."""
    return Path(shutil.copytree(made.run, folder / made.run.name))
