"""The server's rounds. Every site must answer every round correctly and in time, or the run stops.

Flower continues without a site that failed. A benchmark that did so would report another federation
than the one that was asked for.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import torch
from flwr.serverapp import Grid

from benchmark.core.federation import Arrays, ServerSide
from benchmark.core.generator import FitContext
from benchmark.privacy.checkpoint import State, Tally
from benchmark.privacy.randomness import SystemNoise
from federation import messages
from federation.job import Job
from federation.joining import (
    FederationError,
    Member,
    Round,
    Rules,
    ask,
    greet,
    joined,
    stopped,
)
from federation.secure_messages import Roster, with_roster
from federation.secure_rounds import gathered, members_of, shared_plan, summing_side

__all__ = ["FederationError", "Member", "Round", "Rules", "greet", "train"]


def train(
    grid: Grid, job: Job, rules: Rules, facts: Mapping[int, messages.Hello] | None = None
) -> tuple[Arrays, list[Member]]:
    """Run the rounds that are left.

    Args:
        grid: Flower's connection to the sites.
        job: What they agree on.
        rules: How to proceed.
        facts: The sites' public facts, if they were greeted before.

    Returns:
        The last state and the sites, in their own order.

    Raises:
        FederationError: If a site is missing, late, fails or answers with anything unexpected.
    """
    torch.set_num_threads(1)
    facts = facts or greet(grid, rules)
    plan = shared_plan(job, facts)
    members = members_of(facts, plan.guarantee) if plan else joined(grid, job, rules, facts)
    context = FitContext(
        seed=job.seed, noise=SystemNoise(), charge=lambda charged: None, device=rules.device
    )
    side = summing_side(job, plan, context) if plan else _averaging_side(job, context)
    checkpoint = rules.checkpoint(members) if rules.checkpoint else None
    kept = checkpoint.state if checkpoint else None
    state = {n: t.numpy() for n, t in kept.tensors.items()} if kept else side.begin()
    begins = kept.tally.begun + 1 if kept else 1
    roster = gathered(grid, job, rules, members, begins) if plan else None
    for number in range(begins, job.schedule.rounds + 1):
        finished = _round(grid, job, rules, members, side, number, state, roster)
        state = finished.state
        rules.done(finished)  # before it is kept: a round that is kept was seen
        if checkpoint:
            tally = Tally(total=job.schedule.rounds, begun=number, useful=number)
            tensors = {name: torch.from_numpy(array) for name, array in state.items()}
            checkpoint.save(State(tally, tensors, {}))
    return state, members


def _averaging_side(job: Job, context: FitContext) -> ServerSide:
    """The server's part with local noise: the generator's own."""
    return job.made().server_side(job.patch_size, job.schedule, context)


def _round(
    grid: Grid,
    job: Job,
    rules: Rules,
    members: Sequence[Member],
    side: ServerSide,
    number: int,
    state: Arrays,
    roster: Roster | None,
) -> Round:
    start = time.perf_counter()
    sent = side.sent(state)
    tensors = messages.packed(sent)  # once for all sites
    asked = {
        m.node: with_roster(messages.order(job, m.share, number, tensors), roster) for m in members
    }
    names = {m.node: m.facts.site for m in members}
    answers = ask(grid, messages.ROUND, asked, names, rules.timeout_s, f"round {number}")
    replies = []
    for member in members:
        try:
            expected = side.returned(state, member.share)
            replies.append(messages.reply_of(answers[member.node], number, expected))
        except messages.ReplyError as error:
            raise stopped(member.facts.site, f"round {number}", str(error)) from None
    try:
        new = side.combine(number, state, replies, [m.share for m in members])
        messages.check_like(new, state)
    except Exception as error:  # a generator may raise anything
        raise FederationError(
            f"The server, round {number}: it failed ({type(error).__name__}: {error}). The run "
            "stops here; the same command goes on from the round before."
        ) from error
    return Round(
        number=number,
        total=job.schedule.rounds,
        seconds=time.perf_counter() - start,
        sent=sum(a.nbytes for a in sent.values()) * len(members),
        received=messages.size(list(answers.values())),
        state=new,
    )
