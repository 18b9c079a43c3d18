"""The server's rounds: exact where all goes well, and a sentence where anything does not."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import ConfigRecord, Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from tiny_sites import job_of

from benchmark.core.budget import Guarantee
from benchmark.core.errors import UsageError
from benchmark.core.federation import Arrays
from benchmark.privacy.checkpoint import Checkpoint
from benchmark.privacy.dpsgd.sampling import PoissonSampler
from federation import messages
from federation.backend import OneProcess, cluster_at, posts_app, simulate
from federation.client_app import client_app
from federation.job import Job, versions
from federation.post import Post
from federation.sites import Site, digest
from federation.strategy import FederationError, Member, Round, Rules, train
from generators.nets.federated import WganServer

Make = Callable[[str], list[Post]]


def run(job: Job, posts: list[Post], backend: str = "in-process", **rules: Any) -> Arrays:
    state, _ = simulate(backend, job, posts, Rules(sites=2, timeout_s=120, **rules))
    return state


def kept_in(folder: Path) -> Callable[[list[Member]], Checkpoint]:
    return lambda members: Checkpoint(folder / "rounds.safetensors", members[0].guarantee)


OWN = ["gradient-sums", "averaged-critics", "fedgan"]


@pytest.mark.parametrize("design", OWN)
@pytest.mark.parametrize("generator", ["wgan", "dp-wgan"])
def test_a_federated_fit_repeats_itself_and_can_sample(
    generator: str, design: str, more_posts: Make
) -> None:
    job = job_of(generator=generator, design=design, epsilon=np.inf if generator == "wgan" else 5.0)
    states = [run(job, more_posts(name)) for name in ("one", "other")]
    assert digest(states[0]) == digest(states[1])
    assert digest(states[0]) != digest(run(replace(job, seed=1), more_posts("third")))
    made = job.made()
    made.close(states[0], job.patch_size)
    assert made.sample(3, seed=0).images.shape == (3, 1, 16, 16)


@pytest.mark.parametrize(
    "design",
    ["gradient-sums", *(pytest.param(one, marks=pytest.mark.slow) for one in OWN[1:])],
)
def test_ray_ends_in_the_same_model_bit_for_bit(design: str, more_posts: Make) -> None:
    job = job_of(design=design)
    assert digest(run(job, more_posts("one"))) == digest(run(job, more_posts("ray"), "ray"))


def test_sites_are_averaged_by_their_public_sizes(posts: list[Post]) -> None:
    job = job_of(rounds=1)
    seen: dict[str, Any] = {}
    compute = Site.compute

    def watched(site: Site, number: int, state: Arrays, **how: Any) -> Arrays:
        seen[site.post.name] = compute(site, number, state, **how)
        return seen[site.post.name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Site, "compute", watched)
        state = run(job, posts)
    for name in ("critic.body.0.weight", "of critic.0.exp_avg"):
        a, b = (seen[site][name].astype(np.float64) for site in "ab")
        np.testing.assert_allclose(state[name], (2 * a + b) / 3, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("design", OWN[:2])
def test_a_server_that_was_killed_goes_on_to_the_same_model(
    design: str, more_posts: Make, tmp_path: Path
) -> None:
    job = job_of(design=design)
    whole = run(job, more_posts("whole"))

    def dies(finished: Round) -> None:
        if finished.number == 2:
            raise KeyboardInterrupt

    posts, kept = more_posts("killed"), kept_in(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run(job, posts, checkpoint=kept, done=dies)
    numbers: list[int] = []
    state = run(job, posts, checkpoint=kept, done=lambda finished: numbers.append(finished.number))
    assert numbers == [2, 3], "a round is seen before it is kept"
    assert digest(state) == digest(whole)


@pytest.mark.parametrize("design", OWN[:2])
def test_with_the_systems_noise_a_kill_costs_no_second_answer(
    design: str, more_posts: Make, tmp_path: Path
) -> None:
    job, posts = job_of(noise="system", design=design), more_posts("killed")
    kept = kept_in(tmp_path)
    answered: list[Arrays] = []

    def dies(finished: Round) -> None:
        answered.append(finished.state)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(job, posts, checkpoint=kept, done=dies)
    with pytest.raises(KeyboardInterrupt):
        run(job, posts, checkpoint=kept, done=dies)
    assert digest(answered[0]) == digest(answered[1])


Answer = Callable[[Message, Message], Message | None]


class Faulty(OneProcess):
    """A grid in which site ``b`` answers round 2 otherwise."""

    def __init__(self, posts: list[Post], otherwise: Callable[[Message], list[Message]]) -> None:
        super().__init__(posts_app(posts), len(posts))
        self._otherwise = otherwise

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        for answer in super().send_and_receive(messages, timeout=timeout):
            about = answer.content.config_records["about"] if answer.has_content() else {}
            changed = about.get("round") == 2 and answer.metadata.src_node_id == 3
            yield from self._otherwise(answer) if changed else [answer]


def with_state(answer: Message, change: Callable[[dict[str, Any]], None]) -> list[Message]:
    state = dict(messages.unpacked(answer.content.array_records["state"]))
    change(state)
    answer.content = messages.order_reply(2, state)
    return [answer]


NAME = "critic.body.0.weight"
FAULTS: dict[str, tuple[Callable[[Message], list[Message]], str]] = {
    "silence": (lambda answer: [], "did not answer within"),
    "the SuperLink in its place": (  # for a SuperNode that is gone
        lambda answer: [Message(Error(3, "Node unavailable"), reply_to=answer)],
        r"did not answer within 60 s \(a did\)",
    ),
    "twice": (lambda answer: [answer, answer], "answered twice"),
    "not a number": (
        lambda answer: with_state(answer, lambda s: s.update({NAME: s[NAME] * np.nan})),
        "not finite",
    ),
    "another shape": (
        lambda answer: with_state(answer, lambda s: s.update({NAME: s[NAME][:1]})),
        "other tensors",
    ),
    "another type": (
        lambda answer: with_state(answer, lambda s: s.update({NAME: s[NAME].astype(np.float64)})),
        "other tensors",
    ),
    "a tensor more": (
        lambda answer: with_state(answer, lambda s: s.update(loss=np.zeros(3, np.float32))),
        "other tensors",
    ),
    "a tensor less": (
        lambda answer: with_state(answer, lambda s: s.pop(NAME)),
        "other tensors",
    ),
    "a loss": (
        lambda answer: (
            answer.content.__setitem__("metrics", ConfigRecord({"loss": 0.3})) or [answer]
        ),
        "no reply may hold",
    ),
    "a field more": (
        lambda answer: answer.content["about"].__setitem__("samples", 117) or [answer],
        "no reply may hold",
    ),
    "another round": (
        lambda answer: answer.content["about"].__setitem__("round", 1) or [answer],
        "another round",
    ),
    "nothing": (
        lambda answer: setattr(answer, "content", RecordDict({})) or [answer],
        "no reply may hold",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_answer_stops_the_run_and_names_site_and_round(
    fault: str, more_posts: Make, tmp_path: Path
) -> None:
    otherwise, said = FAULTS[fault]
    posts, kept = more_posts("faulty"), kept_in(tmp_path)
    rules = Rules(sites=2, timeout_s=60, checkpoint=kept)
    with pytest.raises(FederationError, match=f"Site b, round 2: it .*{said}"):
        train(Faulty(posts, otherwise), job_of(), rules)
    assert digest(run(job_of(), posts, checkpoint=kept)) == digest(
        run(job_of(), more_posts("whole"))
    )


def failing(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    compute = Site.compute

    def fails(site: Site, number: int, state: Arrays, **how: Any) -> Arrays:
        if (site.post.name, number) == ("a", 2):
            act()
        return compute(site, number, state, **how)

    monkeypatch.setattr(Site, "compute", fails)


def test_a_site_that_raises_says_that_it_failed_and_not_why(
    posts: list[Post], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, lambda: {}["the vessel volume of sub-01"])
    with pytest.raises(FederationError, match="Site a, round 2: it failed") as caught:
        run(job_of(), posts)
    assert "sub-01" not in str(caught.value)
    assert "sub-01" in (posts[0].folder / "error.txt").read_text()


def test_a_site_that_is_late_is_waited_for_no_longer(
    posts: list[Post], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, lambda: time.sleep(30))
    grid, start = OneProcess(posts_app(posts), 2), time.monotonic()
    with pytest.raises(FederationError, match="Site a, round 2: it did not answer within 2 s"):
        train(grid, job_of(), Rules(sites=2, timeout_s=2))
    assert time.monotonic() - start < 25


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("nowhere", "Expected --ray HOST:PORT or auto"),
        (":1", "Expected --ray HOST:PORT or auto"),
        ("host:99999", "Expected --ray HOST:PORT or auto"),
        ("127.0.0.1:1", "Ray's cluster 127.0.0.1:1 cannot be reached"),
        ("auto", "Ray's cluster 127.0.0.1:2 cannot be reached"),
    ],
)
def test_a_cluster_that_is_not_there_is_named_at_once(
    address: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:2")
    start = time.monotonic()
    with pytest.raises(UsageError, match=re.escape(words)):
        cluster_at(address)
    assert time.monotonic() - start < 30


@pytest.mark.slow
def test_sites_join_the_cluster_that_is_named_and_no_other(
    more_posts: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, ray = free_port(), Path(sys.executable).with_name("ray")
    begin_ray = ["start", "--head", f"--port={port}", "--num-cpus=2", "--include-dashboard=false"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([ray, *begin_ray], check=True, capture_output=True, env=environment)
    try:
        named = f"127.0.0.1:{port}"
        rules = Rules(sites=2, timeout_s=120)
        joined, _ = simulate("ray", job_of(), more_posts("joined"), rules, cluster=named)
        assert digest(joined) == digest(run(job_of(), more_posts("whole")))
    finally:
        subprocess.run([ray, "stop", "--force"], check=False, capture_output=True)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_a_ray_site_that_dies_in_a_round_stops_the_run_and_it_goes_on(
    more_posts: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flower never replaces a dead actor, and would go on without the site."""
    posts, kept, armed = more_posts("killed"), kept_in(tmp_path), tmp_path / "armed"

    def deadly(posts: list[Post]) -> ClientApp:
        def post_at(context: Context, run: str) -> Post:
            index = int(context.node_config["partition-id"])
            if index == 1 and armed.exists():
                armed.unlink()
                os.kill(os.getpid(), signal.SIGKILL)
            return posts[index]

        return client_app(post_at)

    monkeypatch.setattr("federation.backend.posts_app", deadly)
    start, rules = time.monotonic(), {"checkpoint": kept, "done": lambda turn: armed.touch()}
    with pytest.raises(FederationError, match=r"Site b, round 2: it (failed|did not answer)"):
        simulate("ray", job_of(), posts, Rules(sites=2, timeout_s=40, **rules))
    assert time.monotonic() - start < 110
    armed.unlink(missing_ok=True)
    monkeypatch.undo()
    assert digest(run(job_of(), posts, checkpoint=kept)) == digest(
        run(job_of(), more_posts("whole"))
    )


def test_a_site_without_patients_is_refused(posts: list[Post]) -> None:
    with pytest.raises(FederationError, match="Site b, the first message: it has no patients"):
        run(job_of(), [posts[0], replace(posts[1], patients=())])


def test_a_server_that_fails_names_the_round_and_keeps_the_one_before(
    more_posts: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    posts, kept, combine = more_posts("failed"), kept_in(tmp_path), WganServer.combine

    def fails(side: WganServer, number: int, *rest: Any) -> Arrays:
        return combine(side, number, *rest) if number != 2 else 1 / 0

    with monkeypatch.context() as patch:
        patch.setattr(WganServer, "combine", fails)
        with pytest.raises(FederationError, match=r"The server, round 2: it failed \(ZeroDivision"):
            run(job_of(), posts, checkpoint=kept)
    numbers: list[int] = []
    state = run(job_of(), posts, checkpoint=kept, done=lambda turn: numbers.append(turn.number))
    assert numbers == [2, 3]
    assert digest(state) == digest(run(job_of(), more_posts("whole")))


def test_too_many_sites_are_said_at_once(posts: list[Post]) -> None:
    start, three = time.monotonic(), OneProcess(posts_app(posts), 3)
    with pytest.raises(FederationError, match="Expected 2 sites, 3 are there; stop those"):
        train(three, job_of(), Rules(sites=2, timeout_s=60, start_s=60))
    assert time.monotonic() - start < 5


def test_who_does_not_answer_at_first_is_told_from_those_who_did(posts: list[Post]) -> None:
    """A node that said nothing has no name yet."""

    class Silent(OneProcess):
        def send_and_receive(self, *asked: Any, **how: Any) -> Iterable[Message]:
            return list(super().send_and_receive(*asked, **how))[:1]

    with pytest.raises(FederationError, match=r"Site at node 3, the first.*within 5 s \(a did\)"):
        train(Silent(posts_app(posts), 2), job_of(), Rules(sites=2, timeout_s=5, start_s=5))


def test_a_site_that_cannot_take_its_post_is_named(posts: list[Post]) -> None:
    def post_at(context: Context, run: str) -> Post:
        context.node_config["site"] = "hill"
        raise UsageError("The ledger has no cap.")

    with pytest.raises(
        FederationError, match="which calls itself 'hill', the first message: it refuses the run"
    ):
        train(OneProcess(client_app(post_at), 2), job_of(), Rules(sites=2, timeout_s=5))


def test_a_budget_that_is_spent_is_said(posts: list[Post]) -> None:
    from benchmark.core.folders import LEDGER, machine_secret
    from benchmark.privacy.ledger.ledger import Ledger

    Ledger(posts[1].state / LEDGER, machine_secret(posts[1].state)).set_cap(0.5)
    with pytest.raises(FederationError, match="Site b, joining: it has no privacy budget left"):
        run(job_of(unit="patient"), posts)
    for post in posts:
        paid = Ledger(post.state / LEDGER, machine_secret(post.state)).totals()
        assert not paid, "nobody has charged before all agreed"


def test_too_few_sites_are_waited_for_no_longer_than_allowed(posts: list[Post]) -> None:
    with pytest.raises(FederationError, match=r"Expected 3 sites, 2 are there"):
        train(OneProcess(posts_app(posts), 2), job_of(), Rules(sites=3, timeout_s=60, start_s=0.5))


def test_other_versions_are_refused(posts: list[Post], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "federation.client_app.versions",
        lambda: {"angiobench": "0.0", "flwr": "1", "torch": "1", "opacus": "1"},
    )
    with pytest.raises(FederationError, match=r"Site a, the first message: it has angiobench 0\.0"):
        run(job_of(), posts)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("patients", 7, "another fit"),
        ("steps", 1, "another fit"),
        ("delta", 0.5, "another fit"),
        ("unit", "patient", "another fit"),
        ("clip_norm", 1e9, "another fit"),
        ("sampling_rate", 1.0, "another fit"),
        ("patches_per_patient", 1, "another fit"),
        ("covers", "everything", "another fit"),
        ("epsilon", 50.0, "would spend ε = 50"),
        ("epsilon", np.nan, "would spend"),
        ("noise_multiplier", 0.0, "no reply may hold"),
        ("accountant", "the loss was 0.31", "no reply may hold"),
        ("epsilon", "5", "no reply may hold"),
        ("loss", 0.3, "no reply may hold"),
        ("covers", "x" * 65, "no reply may hold"),
    ],
)
def test_a_consent_to_anything_else_is_refused(
    field: str, value: Any, said: str, posts: list[Post], monkeypatch: pytest.MonkeyPatch
) -> None:
    reply = messages.join_reply

    def otherwise(guarantee: Guarantee) -> RecordDict:
        content = reply(guarantee)
        if guarantee.patients == len(posts[1].patients):
            content.config_records["about"][field] = value
        return content

    monkeypatch.setattr(messages, "join_reply", otherwise)
    with pytest.raises(FederationError, match=f"Site b, joining: it .*{said}"):
        run(job_of(), posts)


def test_what_a_fault_may_hold_is_listed_too(
    posts: list[Post], monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = messages.fault

    def chatty(code: str, site: str) -> RecordDict:
        content = fault(code, site)
        content.config_records["fault"]["why"] = "sub-01"
        return content

    monkeypatch.setattr(messages, "fault", chatty)
    failing(monkeypatch, lambda: {}["the vessel volume of sub-01"])
    with pytest.raises(FederationError, match=r"Site a, round 2: it .*no reply may hold"):
        run(job_of(), posts)


def test_two_sites_of_one_name_are_refused(posts: list[Post]) -> None:
    with pytest.raises(FederationError, match="Two sites have the same site"):
        run(job_of(), [posts[0], replace(posts[1], name="a")])


class Tapped(OneProcess):
    """A grid that keeps every reply, by kind."""

    def __init__(self, posts: list[Post]) -> None:
        super().__init__(posts_app(posts), len(posts))
        self.crossed: list[tuple[str, RecordDict]] = []

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        for answer in super().send_and_receive(messages, timeout=timeout):
            self.crossed.append((answer.metadata.message_type, answer.content))
            yield answer


@pytest.mark.parametrize("design", OWN[:2])
def test_what_crosses_is_on_the_list(design: str, posts: list[Post]) -> None:
    """Every record, field, text and tensor of every reply, against the lists."""
    job, tapped = job_of(design=design), Tapped(posts)
    state, _ = train(tapped, job, Rules(sites=2, timeout_s=60))
    assert {kind for kind, _ in tapped.crossed} == set(messages.REPLIES)
    words = {"a", "b", *versions().values(), "patch", "prv", "pld", "rdp", "zero-out", "fit"}
    for kind, content in tapped.crossed:
        fields = dict(content.config_records["about"])
        assert {name: type(value) for name, value in fields.items()} == dict(messages.REPLIES[kind])
        assert all(type(value) in (int, float, bool, str) for value in fields.values())
        assert {value for value in fields.values() if isinstance(value, str)} <= words
        assert set(content) == ({"about", "state"} if kind == messages.ROUND else {"about"})
        if kind == messages.ROUND:
            tensors = messages.unpacked(content.array_records["state"])
            if design == "gradient-sums":
                assert set(tensors) == {"gradient", "deviation"}
                continue
            assert all(name.startswith(("critic.", "of critic.")) for name in tensors)
            assert {n: a.shape for n, a in tensors.items()} == {n: state[n].shape for n in tensors}


@pytest.mark.parametrize("design", OWN[:2])
def test_no_reply_tells_how_many_were_drawn(
    design: str, posts: list[Post], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing is drawn and where everything is, replies have one form and one length."""

    def forms(drawn: int) -> list[Any]:
        monkeypatch.setattr(PoissonSampler, "draw", lambda sampler: (np.arange(drawn),) * 2)
        tapped = Tapped(posts)
        train(tapped, job_of(noise="system", design=design), Rules(sites=2, timeout_s=60))
        for post in posts:
            (post.folder / "reply.safetensors").unlink()
        return [(kind, *form(content)) for kind, content in tapped.crossed]

    nothing, everything = forms(0), forms(20)
    assert len(nothing) == 2 + 2 + 3 * 2
    assert nothing == everything


def form(content: RecordDict) -> tuple[dict[str, Any], dict[str, Any]]:
    """A reply's fields with their values, and its tensors but for theirs."""
    tensors = content.array_records.get("state", {})
    looks = {name: (array.dtype, array.shape, len(array.data)) for name, array in tensors.items()}
    return {n: dict(record) for n, record in content.config_records.items()}, looks
