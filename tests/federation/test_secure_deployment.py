"""Secure sums in a deployment: a site's own configuration decides, and says no more in a fault."""

import json
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp
from secure_posts import secure_job

from benchmark.cli.fingerprint import fingerprint
from benchmark.core.errors import UsageError
from benchmark.core.federation import Arrays
from benchmark.core.files import read_json
from benchmark.core.folders import LEDGER, machine_secret
from benchmark.core.generator import FitContext
from benchmark.privacy.ledger.ledger import Ledger
from benchmark.privacy.randomness import SystemNoise
from federation import messages, server_app
from federation.backend import OneProcess
from federation.client_app import client_app
from federation.configuration import job_of
from federation.deployment import post_of, slot_of
from federation.job import Job
from federation.secure_identity import identity_in, read_fingerprint
from federation.secure_messages import Roster, with_roster
from federation.secure_sides import SummingServer
from federation.secure_sum import Introduction
from federation.strategy import FederationError

DEFAULTS = tomllib.loads((Path("federation") / "pyproject.toml").read_text())["tool"]["flwr"]
NODE = 2
STRANGER = "ab" * 32


class Hospital:
    """A deployed site of private patients with secure sums, and whoever asks it."""

    def __init__(self, cohort: Path, root: Path, **config: Any) -> None:
        self.state = root / "state"
        self.config = {
            "site": root.name,
            "partition-id": 0,
            "data": str(cohort),
            "state": str(self.state),
            "cache": str(root / "cache"),
            "slot": 0.001,
            **config,
        }
        self.fingerprint = identity_in(self.state).fingerprint
        self.ledger = Ledger(self.state / LEDGER, machine_secret(self.state))
        self.ledger.set_cap(8.0)

    def context(self) -> Context:
        return Context(
            run_id=1, node_id=NODE, node_config=self.config, state=RecordDict(), run_config={}
        )

    def answer(self, kind: str, content: RecordDict) -> RecordDict:
        OneProcess(ClientApp(), 1)  # tells Flower who sends
        message = Message(content, NODE, kind, ttl=60.0)
        return client_app(post_of, slot_of)(message, self.context()).content

    def join(self, job: Job, patients: int = 4) -> RecordDict:
        roster = Roster(patients=patients)
        return self.answer(messages.JOIN, with_roster(messages.join(job, 0.75), roster))

    def round(self, job: Job, everybody: tuple[Introduction, ...]) -> RecordDict:
        roster = Roster(patients=4, introductions=everybody)
        order = messages.order(job, 0.75, 1, begin(job))
        return self.answer(messages.ROUND, with_roster(order, roster))

    def reason(self) -> str:
        return next(self.state.rglob("error.txt")).read_text()

    def fits(self) -> int:
        return sum(entry.said["kind"] == "fit" for entry in self.ledger.entries())


def begin(job: Job) -> Arrays:
    context = FitContext(seed=0, noise=SystemNoise(), charge=lambda charged: None)
    side = SummingServer(job.made(), job.shared_plan(4, 2), job.schedule, job.patch_size, context)
    return side.sent(side.begin())


@pytest.fixture
def other(tmp_path: Path) -> Introduction:
    return Introduction(identity_in(tmp_path / "other").public, bytes(range(16)))


@pytest.fixture
def hill(module_cohort: Path, tmp_path: Path, other: Introduction) -> Hospital:
    trusted = {"secure-sum": 1, "trusted": other.fingerprint}
    return Hospital(module_cohort, tmp_path / "hill", **trusted)


def test_a_deployed_site_takes_part_and_pays_once(hill: Hospital, other: Introduction) -> None:
    job = secure_job(noise="system", epsilon=1.0)
    said = hill.join(job)[messages.ABOUT]
    assert hill.fits() == 0, "joining costs nothing"
    mine = Introduction.read(str(said["public"]), str(said["nonce"]))
    assert mine.fingerprint == hill.fingerprint
    first, again = hill.round(job, (mine, other)), hill.round(job, (mine, other))
    words = [messages.unpacked(one.array_records["state"]) for one in (first, again)]
    assert [*words[0]] == ["sum 1"]
    assert (words[0]["sum 1"] == words[1]["sum 1"]).all()
    assert hill.fits() == 1


def test_faults_of_secure_sums_have_the_codes_of_all_others(
    hill: Hospital, other: Introduction
) -> None:
    job = secure_job(noise="system", epsilon=1.0)
    refused, failed = messages.fault("refused", "hill"), messages.fault("error", "hill")
    for wrong in (secure_job(noise="system", curious=0), secure_job(noise="system", curious=None)):
        assert hill.join(wrong) == refused
        assert "secure-sum=1" in hill.reason()
    assert hill.join(job, patients=3) == refused
    assert hill.join(secure_job(noise="system", epsilon=50.0)) == messages.fault("budget", "hill")
    stranger = Introduction(bytes(32), bytes(16))
    for everybody in ((), (stranger,), (stranger, other)):
        assert hill.round(job, everybody) == failed
    assert hill.fits() == 0


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"secure-sum": 1}, "needs secure-sum and trusted together"),
        ({"trusted": STRANGER}, "needs secure-sum and trusted together"),
        ({"secure-sum": "1", "trusted": STRANGER}, "Expected secure-sum to be t"),
        ({"secure-sum": -2, "trusted": STRANGER}, "Expected secure-sum to be t"),
        ({"secure-sum": True, "trusted": STRANGER}, "Expected secure-sum to be t"),
        ({"secure-sum": 2, "trusted": STRANGER}, "from 0 to 1 curious sites among 2, got 2"),
        ({"secure-sum": 1, "trusted": "north"}, "Expected a fingerprint of 64"),
        ({"secure-sum": 1, "trusted": ""}, "every other site's fingerprint once, got 0"),
        ({"secure-sum": 1, "trusted": f"{STRANGER},{STRANGER}"}, "once, got 2"),
    ],
)
def test_a_configuration_that_cannot_be_meant_is_refused(
    config: dict[str, Any], said: str, module_cohort: Path, tmp_path: Path
) -> None:
    hospital = Hospital(module_cohort, tmp_path / "hill", **config)
    with pytest.raises(UsageError, match=said):
        post_of(hospital.context(), "")
    fault = hospital.answer(messages.HELLO, messages.hello())
    assert fault == messages.fault("refused", "hill")


def test_the_command_prints_the_fingerprint_that_the_site_has(tmp_path: Path) -> None:
    printed = [CliRunner().invoke(fingerprint, ["--state", str(tmp_path)]).output for _ in "12"]
    assert printed[0] == printed[1]
    grouped, words = printed[0].splitlines()
    assert read_fingerprint(grouped) == identity_in(tmp_path).fingerprint
    assert words.endswith(f'trusted="{identity_in(tmp_path).fingerprint}"')


def configuration(**config: Any) -> dict[str, Any]:
    named = {name.replace("_", "-"): value for name, value in config.items()}
    return {**DEFAULTS["app"]["config"], **named}


def test_the_server_asks_for_secure_sums_by_its_own_configuration() -> None:
    told = {"generator": "dp-merf", "unit": "patient", "epsilon": "2"}
    assert job_of(configuration(**told), patients=12).curious is None
    secure = job_of(configuration(**told, secure_sum=1), patients=12)
    assert secure.curious == 1
    assert json.loads(secure.text())["curious"] == 1
    for wrong, said in (
        ({"generator": "dp-wgan", "design": "averaged-critics"}, "cannot be trained with secure"),
        ({"design": "mixture"}, "in the design mixture"),
        ({"epsilon": "inf"}, "needs a finite epsilon"),
        ({"secure_sum": "t=1"}, "Expected secure-sum to be t"),
    ):
        with pytest.raises(UsageError, match=said):
            job_of(configuration(**{**told, "secure_sum": 1, **wrong}), patients=12)


def deployed(cohort: Path, root: Path, **config: Any) -> list[Hospital]:
    """Two hospitals of phantoms that trust each other."""
    known = [identity_in(root / name / "state").fingerprint for name in ("north", "hill")]
    allowed = {"phantom": True, "seeded-noise": True, "secure-sum": 1}
    return [
        Hospital(
            cohort,
            root / name,
            **{**allowed, "partition-id": k, "trusted": known[1 - k], **config},
        )
        for k, name in enumerate(("north", "hill"))
    ]


def serve(hospitals: list[Hospital], out: Path, **config: Any) -> dict[str, Any]:
    """The server's app and the sites' own, as Flower would call them."""

    def post(context: Context, run: str) -> Any:
        own = hospitals[int(context.node_config["partition-id"])]
        return post_of(SimpleNamespace(node_config=own.config), run)

    small = {"generator": "dp-merf", "unit": "patient", "epsilon": "2", "noise": "seeded"}
    small |= {"patch_size": 16, "patches_per_patient": 20, "sites": 2, "secure_sum": 1}
    said = configuration(**{**small, "out": str(out), **config})
    context = Context(run_id=1, node_id=1, node_config={}, state=RecordDict(), run_config=said)
    server_app.main(OneProcess(client_app(post), 2), context)
    (result,) = out.glob("*/federation.json")
    return read_json(result)


def test_what_the_server_leaves_says_against_whom_its_epsilon_holds(
    module_cohort: Path, tmp_path: Path
) -> None:
    found = serve(deployed(module_cohort, tmp_path), tmp_path / "out")
    assert found["job"]["curious"] == 1
    assert found["holds_against"] == "the server and any 1 other site together"
    assert {one["guarantee"]["patients"] for one in found["sites"]} == {6}
    assert [one["patients"] for one in found["sites"]] == [3, 3]
    assert found["epsilon"] <= 2


def test_a_site_with_another_number_stops_the_run_before_anybody_pays(
    module_cohort: Path, tmp_path: Path
) -> None:
    sites = deployed(module_cohort, tmp_path)
    sites[1].config["secure-sum"] = 0
    with pytest.raises(FederationError, match="Site hill, joining: it refuses the run by its own"):
        serve(sites, tmp_path / "out")
    assert [site.fits() for site in sites] == [0, 0]
