"""The deployed server and site, each by itself: what they are told, and what they leave."""

import os
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from flwr.app import Context, RecordDict

from benchmark.cli.federate import federate
from benchmark.core.errors import UsageError
from benchmark.core.files import held, read_json
from benchmark.core.folders import LEDGER, machine_secret
from benchmark.privacy.ledger.ledger import Ledger
from federation import server_app
from federation.backend import OneProcess, posts_app
from federation.configuration import job_of
from federation.deployment import post_of
from federation.launch import launch
from federation.post import Post
from federation.sites import Site
from federation.strategy import FederationError
from generators.nets.federated import WganServer

APP = tomllib.loads((Path("federation") / "pyproject.toml").read_text())
DEFAULTS: Mapping[str, Any] = APP["tool"]["flwr"]["app"]["config"]
SMALL = {
    "settings": "latent=4 generator_width=4 critic_width=4 batch=8",
    "patch-size": 16,
    "patches-per-patient": 20,
    "rounds": 3,
    "local-steps": 2,
    "noise": "seeded",
    "sites": 2,
}


def serve(posts: list[Post], out: Path, **config: Any) -> None:
    """The server's app, as Flower would call it."""
    said = {**DEFAULTS, **SMALL, "out": str(out), **config}
    nobody = RecordDict()
    context = Context(run_id=1, node_id=1, node_config={}, state=nobody, run_config=said)
    server_app.main(OneProcess(posts_app(posts), len(posts)), context)


def weights(out: Path) -> bytes:
    (file,) = out.glob("*/generator/weights.safetensors")
    return file.read_bytes()


def entries(post: Post) -> int:
    return len(Ledger(post.state / LEDGER, machine_secret(post.state)).entries())


def test_a_finished_run_computes_and_spends_nothing_again(
    posts: list[Post], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    serve(posts, out, noise="system")
    before, paid = weights(out), [entries(post) for post in posts]
    monkeypatch.setattr(Site, "compute", lambda *asked, **how: pytest.fail("computed"))
    serve(posts, out, noise="system")
    assert weights(out) == before
    assert [entries(post) for post in posts] == paid == [1, 1]
    assert not (out / "error.txt").exists()


def test_a_server_that_fails_says_where_and_goes_on_to_the_same_model(
    posts: list[Post], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(posts, tmp_path / "whole")
    combine, out = WganServer.combine, tmp_path / "out"

    def fails(side: WganServer, number: int, *rest: Any) -> Any:
        return combine(side, number, *rest) if number < 2 else 1 / 0

    with monkeypatch.context() as patch:
        patch.setattr(WganServer, "combine", fails)
        with pytest.raises(FederationError):
            serve(posts, out)
    assert "The server, round 2: it failed (ZeroDivisionError" in (out / "error.txt").read_text()
    assert not list(out.glob("*/federation.json"))
    serve(posts, out)
    (result,) = out.glob("*/federation.json")
    assert [turn["number"] for turn in read_json(result)["rounds"]] == [1, 2, 3]
    assert not (result.parent / "rounds.json").exists()
    assert weights(out) == weights(tmp_path / "whole")
    assert not (out / "error.txt").exists()


def test_the_seconds_of_rounds_are_published_as_powers_of_two(
    posts: list[Post], tmp_path: Path
) -> None:
    serve(posts, tmp_path)
    (result,) = tmp_path.glob("*/federation.json")
    seconds = {turn["seconds"] for turn in read_json(result)["rounds"]}
    assert seconds <= {1.0, 2.0, 4.0, 8.0, 16.0, 32.0}


def valley(posts: list[Post], **changes: Any) -> Post:
    """A third site with a patient of its own."""
    last, root = posts[-1], posts[-1].folder.parent
    made = {"index": 2, "name": "valley", "voxels": ("valley",), "folder": root / "valley"}
    return replace(last, **{**made, "state": last.state.parent / "valley", **changes})


SITES = {
    "one more": (lambda posts: [*posts, valley(posts)], "valley is new"),
    "another": (
        lambda posts: [posts[0], valley(posts, index=1)],
        "b is missing, valley is new",
    ),
    "one more patient": (
        lambda posts: [
            posts[0],
            replace(posts[1], patients=posts[1].patients * 2, voxels=("one", "two")),
        ],
        "b has 2 patients and had 1",
    ),
}


@pytest.mark.parametrize("which", SITES)
def test_a_finished_run_is_that_of_its_own_sites(
    which: str, posts: list[Post], tmp_path: Path
) -> None:
    """The run's key is a digest of the job, which names no site."""
    change, said = SITES[which]
    out, others = tmp_path / "out", change(posts)
    serve(posts, out, noise="system")
    before, paid = weights(out), [entries(post) for post in others]
    with pytest.raises(UsageError, match=rf"{out}: the run .* ended there .*\({said}\); name an"):
        serve(others, out, noise="system", sites=len(others))
    assert "name another OUT folder" in (out / "error.txt").read_text()
    assert [entries(post) for post in others] == paid, "nobody is asked to join"
    assert weights(out) == before
    serve(others, tmp_path / "another", noise="system", sites=len(others))
    assert weights(tmp_path / "another") != before


@pytest.mark.parametrize("which", SITES)
def test_a_stopped_run_goes_on_with_its_own_sites_alone(
    which: str, posts: list[Post], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another site would refuse every round but the first, for ever."""
    change, said = SITES[which]
    combine, out, others = WganServer.combine, tmp_path / "out", change(posts)

    def fails(side: WganServer, number: int, *rest: Any) -> Any:
        return combine(side, number, *rest) if number < 2 else 1 / 0

    with monkeypatch.context() as patch:
        patch.setattr(WganServer, "combine", fails)
        with pytest.raises(FederationError):
            serve(posts, out, noise="system")
    with pytest.raises(UsageError, match=rf"{out}: the run .* stopped there .*\({said}\); name an"):
        serve(others, out, noise="system", sites=len(others))
    serve(posts, out, noise="system")
    assert not list(out.glob("*/sites.json")), "its result has them"


def test_a_run_that_stopped_before_its_first_round_may_begin_with_other_sites(
    posts: list[Post], tmp_path: Path
) -> None:
    wary = [posts[0], replace(posts[1], seeded_allowed=False)]
    with pytest.raises(FederationError, match="Site b, joining"):
        serve(wary, tmp_path)
    serve([posts[0], valley(posts, index=1)], tmp_path)
    (result,) = tmp_path.glob("*/federation.json")
    assert [one["site"] for one in read_json(result)["sites"]] == ["a", "valley"]


class KilledError(BaseException):
    """As if the process had gone."""


def test_a_run_that_did_not_end_leaves_a_word(
    posts: list[Post], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever looks while it runs, or after it was killed, must not take it for a success."""

    def dies(*arguments: Any) -> Any:
        raise KilledError

    monkeypatch.setattr(WganServer, "combine", dies)
    with pytest.raises(KilledError):
        serve(posts, tmp_path)
    assert "has not ended" in (tmp_path / "error.txt").read_text()


def test_two_servers_do_not_share_a_folder(posts: list[Post], tmp_path: Path) -> None:
    with held(tmp_path), pytest.raises(UsageError, match="another run is at work there"):
        serve(posts, tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("unit", "patients", "Expected unit to be one of patch, patient"),
        ("noise", "sytem", "Expected noise to be one of seeded, system"),
        ("settings", "clip_norm", "expected NAME=VALUE, got 'clip_norm'"),
        ("settings", "clip=1", "No setting is called 'clip'"),
        ("rounds", -1, "Expected rounds to be a whole number from 1"),
        ("rounds", False, "Expected rounds to be a whole number from 1"),
        ("local-steps", -2, "Expected local_steps to be a whole number from 1"),
        ("delta", -1e-5, r"Expected delta to be a number in \(0, 1\)"),
        ("epsilon", "0", "Expected epsilon to be a number above 0"),
        ("patch-size", 16.5, "Expected patch_size to be a whole number"),
        ("spacing-mm", 0.01, "Expected spacing_mm to be 0, or from 0.2 to 5 mm"),
        ("patches-per-patient", "many", "Expected patches_per_patient to be a whole number"),
        ("seed", -1, "Expected seed to be a whole number"),
        ("spacing-mm", -2.0, "Expected spacing_mm to be 0, or from 0.2 to 5 mm"),
        ("preset", "quik", "No preset is called 'quik'"),
        ("protocol", "2026-3", "No protocol is called '2026-3'"),
        ("generator", "dp-wgam", "Did you mean 'dp-wgan'"),
        ("sites", 1, "Expected sites to be a whole number from 2"),
        ("timeout", 0.0, "Expected timeout to be a number of seconds above 0"),
        ("start", "soon", "Expected start to be a number of seconds above 0"),
    ],
)
def test_a_configuration_that_cannot_be_meant_is_refused_in_a_sentence(
    name: str, value: Any, said: str, posts: list[Post], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=said):
        serve(posts, tmp_path, **{name: value})
    sentence = (tmp_path / "error.txt").read_text().strip()
    assert len(sentence.splitlines()) == 1
    assert not any(entries(post) for post in posts)


def test_the_runs_key_is_a_digest_of_all_else() -> None:
    def key(**config: Any) -> str:
        return job_of({**DEFAULTS, **SMALL, **config}, patients=3).run

    keys = [key(), key(epsilon="6"), key(unit="patient"), key(rounds=4), key(seed=1)]
    assert len({*keys}) == len(keys)
    assert key() == keys[0]


@pytest.fixture
def node(module_cohort: Path, tmp_path: Path) -> dict[str, Any]:
    """What a SuperNode may be told."""
    return {
        "site": "hill",
        "partition-id": 0,
        "data": str(module_cohort),
        "state": str(tmp_path / "state"),
        "cache": str(tmp_path / "cache"),
        "phantom": True,
    }


def at(node: Mapping[str, Any]) -> Post:
    return post_of(SimpleNamespace(node_config=node), "0123456789ab")


def test_a_site_is_what_its_node_was_told(node: dict[str, Any]) -> None:
    post = at({**node, "seeded-noise": True})
    assert (post.index, post.name, post.private, post.seeded_allowed) == (0, "hill", False, True)
    assert post.folder == Path(node["state"]) / "federation" / "hill" / "0123456789ab"
    assert not at(node).seeded_allowed


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("phantom", "false", "Expected phantom to be true or false, without quotes; got 'false'"),
        ("seeded-noise", "false", "Expected seeded-noise to be true or false"),
        ("seeded-noise", 1, "Expected seeded-noise to be true or false"),
        ("partition-id", "0", "Expected partition-id to be a whole number"),
        ("partition-id", -1, "Expected partition-id to be a whole number"),
        ("site", "../hill", "it names a folder too"),
        ("site", "", "it names a folder too"),
        ("data", "cohort", "expected an absolute folder"),
        ("state", "state", "expected an absolute folder"),
    ],
)
def test_a_node_that_was_told_what_cannot_be_meant_is_refused(
    name: str, value: Any, said: str, node: dict[str, Any]
) -> None:
    with pytest.raises(UsageError, match=said):
        at({**node, name: value})


def test_patients_never_get_seeded_noise(node: dict[str, Any]) -> None:
    state = Path(node["state"])
    Ledger(state / LEDGER, machine_secret(state)).set_cap(8.0)
    real = {**node, "phantom": False}
    assert not at(real).seeded_allowed
    with pytest.raises(UsageError, match="seeded-noise=true is for phantoms"):
        at({**real, "seeded-noise": True})


FLOWER = """#!/usr/bin/env python
import sys, tomllib
from pathlib import Path
out = Path(tomllib.loads(sys.argv[-1])["out"])
assert "not begin" in (out / "error.txt").read_text()
Path({seen!r}).write_text("\\n".join(sys.argv[1:]))
{does}
"""


@pytest.mark.parametrize(
    ("does", "code", "said"),
    [
        ("(out / 'error.txt').unlink()", 0, "ended well"),
        ("(out / 'error.txt').write_text('Site b, round 2: it failed.')", 1, "Site b, round 2"),
        ("pass", 1, "did not begin"),
        ("sys.exit(1)", 1, "did not begin"),
    ],
)
def test_the_exit_code_says_whether_a_deployed_run_failed(
    does: str, code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever Flower's own is: here it is 0 for a site that failed."""
    program, seen = tmp_path / "flwr", tmp_path / "seen"
    program.write_text(FLOWER.format(does=does, seen=str(seen)))
    program.chmod(0o755)
    monkeypatch.setattr("federation.launch.sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    told = [str(tmp_path / "out"), "consortium", "--run-config", "sites=3"]
    done = CliRunner().invoke(federate, told, standalone_mode=False)
    assert done.return_value == code
    assert said in done.output
    assert seen.read_text().splitlines()[2:5] == ["consortium", "--run-config", "sites=3"]


def test_a_run_is_not_launched_beside_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("federation.launch.PATIENCE_S", 0.0)
    with held(tmp_path):
        assert "another run is at work" in (launch(tmp_path, ["consortium"]) or "")
