"""The server's part in secure sums: it plans as every site does, and relays introductions.

The plan follows from public numbers, so server and sites make the same one. A site that consents to
anything else is refused, before anybody is charged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from flwr.serverapp import Grid

from benchmark.core.budget import Guarantee
from benchmark.core.generator import FitContext
from benchmark.privacy.mechanisms.shared_noise import SharedPlan
from federation import messages
from federation.job import Job
from federation.joining import Member, Rules, ask, shares_of, stopped
from federation.secure_messages import (
    INTRODUCED,
    Roster,
    check_same_plan,
    introduction_of,
    with_roster,
)
from federation.secure_sides import SummingServer
from federation.secure_sum import Introduction


def shared_plan(job: Job, facts: Mapping[int, messages.Hello]) -> SharedPlan | None:
    """Plan a fit by secure sums from what all sites have said.

    Args:
        job: What server and sites agree on.
        facts: The sites' public facts.

    Returns:
        The plan; ``None`` for local noise.

    Raises:
        UsageError: If the budget cannot be honoured.
    """
    if job.curious is None:
        return None
    plan = job.shared_plan(sum(said.patients for said in facts.values()), len(facts))
    return replace(plan, guarantee=replace(plan.guarantee, seeded=job.noise != "system"))


def members_of(facts: Mapping[int, messages.Hello], guarantee: Guarantee) -> list[Member]:
    """Return the sites in the order of their numbers. All have the guarantee of the whole fit."""
    shares = shares_of(facts)
    nodes = sorted(facts, key=lambda node: facts[node].index)
    return [Member(node, facts[node], shares[node], guarantee) for node in nodes]


def summing_side(job: Job, plan: SharedPlan, context: FitContext) -> SummingServer:
    """Make the server's side, which adds up what sites masked."""
    return SummingServer(job.made(), plan, job.schedule, job.patch_size, context)


def gathered(grid: Grid, job: Job, rules: Rules, members: Sequence[Member], begins: int) -> Roster:
    """Ask every site for its consent and its introduction.

    Args:
        grid: Flower's connection to the sites.
        job: What they agree on.
        rules: How to proceed.
        members: The sites, with the guarantee of the whole fit.
        begins: The round at which the server goes on.

    Returns:
        What every site must know of all sites.

    Raises:
        FederationError: If a site refuses, or consents to another fit.
    """
    roster = Roster(patients=sum(m.facts.patients for m in members), begins=begins)
    asked = {m.node: with_roster(messages.join(job, m.share), roster) for m in members}
    names = {m.node: m.facts.site for m in members}
    answers = ask(grid, messages.JOIN, asked, names, rules.timeout_s, "joining", more=INTRODUCED)
    found: list[Introduction] = []
    for member in members:
        said = messages.checked(messages.JOIN, answers[member.node], INTRODUCED)
        try:
            check_same_plan(said, member.guarantee)
            found.append(introduction_of(said))
        except messages.ReplyError as error:
            raise stopped(member.facts.site, "joining", str(error)) from None
    return replace(roster, introductions=tuple(found))
