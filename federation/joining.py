"""How sites are found, greeted and asked. Every one must answer correctly and in time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from benchmark.core.budget import Guarantee
from benchmark.core.errors import BenchError
from benchmark.core.federation import Arrays
from benchmark.privacy.checkpoint import Checkpoint
from federation import messages
from federation.job import Job, versions

POLL_S = 0.2
MOST_SITES = 1_000_000
UNKNOWN = "at node"
"""How a site is called before it has said its name."""


class FederationError(BenchError):
    """A federated run stopped; the message names site and round."""


@dataclass(frozen=True, kw_only=True)
class Round:
    """What the server knows of a finished round. Nothing in it depends on a single patient.

    Attributes:
        number: From 1.
        total: How many there are.
        seconds: From sending to the next state.
        sent: Bytes of tensors to all sites.
        received: Bytes of tensors from all sites.
        state: The state after it.
    """

    number: int
    total: int
    seconds: float
    sent: int
    received: int
    state: Arrays


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How the server proceeds. It affects no result.

    Attributes:
        sites: How many sites must take part.
        timeout_s: How long an answer may take.
        start_s: How long sites may take to connect, and for their first answer.
        checkpoint: Makes the checkpoint for the state after every round; ``None`` for none.
        done: Called for every round.
        device: A torch device's name.
    """

    sites: int
    timeout_s: float
    start_s: float = 120.0
    checkpoint: Callable[[Sequence[Member]], Checkpoint] | None = None
    done: Callable[[Round], None] = field(default=lambda finished: None)
    device: str = "cpu"


@dataclass(frozen=True)
class Member:
    """A site that takes part.

    Attributes:
        node: Flower's number of it, another one at every start.
        facts: Its public facts.
        share: Its share of all patients.
        guarantee: The guarantee of the whole run for its patients.
    """

    node: int
    facts: messages.Hello
    share: float
    guarantee: Guarantee


def greet(grid: Grid, rules: Rules) -> dict[int, messages.Hello]:
    """Ask every site for its public facts.

    Returns:
        The facts by node.

    Raises:
        FederationError: If sites are missing, or are not what they should be.
    """
    nodes = _nodes(grid, rules)
    names = {node: f"{UNKNOWN} {node}" for node in nodes}
    asked = {node: messages.hello() for node in nodes}
    answers = ask(grid, messages.HELLO, asked, names, rules.start_s, "the first message")
    facts = {
        node: messages.hello_of(messages.checked(messages.HELLO, answer))
        for node, answer in answers.items()
    }
    _check_sites(facts, rules)
    return facts


def joined(grid: Grid, job: Job, rules: Rules, facts: Mapping[int, messages.Hello]) -> list[Member]:
    """Ask every site for its consent to local noise.

    Returns:
        The sites in the order of their numbers, each with its own guarantee.

    Raises:
        FederationError: If a site refuses, or consents to something else.
    """
    shares = shares_of(facts)
    names = {node: said.site for node, said in facts.items()}
    asked = {node: messages.join(job, share) for node, share in shares.items()}
    consents = ask(grid, messages.JOIN, asked, names, rules.timeout_s, "joining")
    members = []
    for node in sorted(facts, key=lambda node: facts[node].index):
        said = messages.checked(messages.JOIN, consents[node])
        try:
            guarantee = messages.guarantee_of(said, _asked_of(job, facts[node], shares[node]))
        except messages.ReplyError as error:
            raise stopped(names[node], "joining", str(error)) from None
        members.append(Member(node, facts[node], shares[node], guarantee))
    return members


def shares_of(facts: Mapping[int, messages.Hello]) -> dict[int, float]:
    """Return each node's public share of all patients."""
    patients = sum(said.patients for said in facts.values())
    return {node: said.patients / patients for node, said in facts.items()}


def _asked_of(job: Job, said: messages.Hello, share: float) -> Guarantee:
    """What a site's consent must be, but for its noise and what that costs."""
    site, free = job.made().at_site(share), replace(job.budget(), epsilon=math.inf)
    plain = site.plan_at_site(job.public(said.patients), free, job.schedule)
    asked = replace(plain, target_epsilon=job.epsilon, seeded=job.noise != "system")
    clip_norm = job.settings.get("clip_norm", math.inf)
    return asked if math.isinf(job.epsilon) else replace(asked, clip_norm=clip_norm)


def _nodes(grid: Grid, rules: Rules) -> list[int]:
    """The sites that are there, once they are as many as asked for."""
    until = time.monotonic() + rules.start_s
    while len(nodes := list(grid.get_node_ids())) != rules.sites:
        if len(nodes) > rules.sites:
            raise FederationError(
                f"Expected {rules.sites} sites, {len(nodes)} are there; stop those that do not "
                f"belong to the run, or ask for {len(nodes)}."
            )
        if time.monotonic() > until:
            raise FederationError(
                f"Expected {rules.sites} sites, {len(nodes)} are there after waiting for "
                f"{rules.start_s:g} s; start those that are missing."
            )
        time.sleep(POLL_S)
    return nodes


def _check_sites(facts: Mapping[int, messages.Hello], rules: Rules) -> None:
    for said in facts.values():
        both = [(name, said.versions[name], here) for name, here in versions().items()]
        other = [f"{name} {there} (here {here})" for name, there, here in both if there != here]
        if other:
            raise stopped(said.site, "the first message", f"has {', '.join(other)}")
        if said.patients < 1:
            raise stopped(said.site, "the first message", "has no patients")
        if not 0 <= said.index < MOST_SITES:
            raise stopped(said.site, "the first message", f"says it is number {said.index}")
        if not (said.site.strip() and said.site.isprintable()):
            raise stopped(repr(said.site), "the first message", "has no printable name")
    for what in ("index", "site"):
        if len({getattr(said, what) for said in facts.values()}) < rules.sites:
            said_all = ", ".join(str(getattr(said, what)) for said in facts.values())
            raise FederationError(f"Two sites have the same {what} ({said_all}).")


def ask(
    grid: Grid,
    kind: str,
    contents: Mapping[int, RecordDict],
    names: Mapping[int, str],
    timeout_s: float,
    when: str,
    more: Mapping[str, type] | None = None,
) -> dict[int, Message]:
    """Ask every site, and return one checked answer from each.

    Args:
        grid: Flower's connection to the sites.
        kind: The kind of the message.
        contents: What each node is asked.
        names: What each node is called.
        timeout_s: How long an answer may take.
        when: What the run is at, in words.
        more: Fields that a reply must have beside those of its kind.

    Raises:
        FederationError: If a site does not answer, or not as it must.
    """
    asked = [Message(content, node, kind, ttl=timeout_s) for node, content in contents.items()]
    names = dict(names)
    answers: dict[int, Message] = {}
    for answer in grid.send_and_receive(asked, timeout=timeout_s):
        node = answer.metadata.src_node_id
        if node not in names and answer.has_error():
            continue  # the SuperLink's word for a node that is gone
        if node not in names:
            raise FederationError(f"Somebody who was not asked answered {when}.")
        if node in answers:
            raise stopped(names[node], when, "answered twice")
        try:
            fields = messages.checked(kind, answer, more)
        except messages.ReplyError as error:
            raise stopped(_name(names[node], error.site), when, str(error)) from None
        names[node] = fields.get("site") or names[node]
        answers[node] = answer
    for node, name in names.items():
        if node not in answers:
            others = ", ".join(sorted(names[other] for other in answers)) or "nobody"
            late = f"did not answer within {timeout_s:g} s ({others} did)"
            raise stopped(name, when, late)
    return answers


def _name(known: str, said: str) -> str:
    """Who is accused: a site that is known by name cannot accuse another."""
    unknown = known.startswith(UNKNOWN)
    return f"{known}, which calls itself {said!r}" if unknown and said else known


def stopped(site: str, when: str, what: str) -> FederationError:
    """Return the error of a site that ends the run: it names the site, the step and the fault."""
    return FederationError(
        f"Site {site}, {when}: it {what}. The run stops here; the same command goes on from the "
        "last round that all sites answered."
    )
