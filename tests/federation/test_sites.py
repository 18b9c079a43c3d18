"""A site keeps its own rules, whatever the server asks."""

import math
from dataclasses import replace

import numpy as np
import pytest
from tiny_sites import job_of

from benchmark.audit.laws import every_site_draws_noise_of_its_own
from benchmark.core.budget import Unit
from benchmark.core.errors import UsageError
from benchmark.core.federation import Arrays
from benchmark.core.generator import FitContext
from benchmark.data.folders import LEDGER, machine_secret
from benchmark.privacy.accounting import epsilon_spent
from benchmark.privacy.ledger import Ledger, OverCapError
from benchmark.privacy.randomness import SystemNoise
from federation.job import Job
from federation.sites import Post, Site


def begin(job: Job) -> Arrays:
    context = FitContext(seed=0, noise=SystemNoise(), charge=lambda charged: None)
    side = job.made().server_side(job.patch_size, job.schedule, context)
    return side.sent(side.begin())


def ledger(post: Post) -> Ledger:
    return Ledger(post.state / LEDGER, machine_secret(post.state))


def same(one: Arrays, other: Arrays) -> bool:
    return all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("unit", ["patch", "patient"])
def test_each_site_calibrates_to_the_target_from_its_own_numbers(
    posts: list[Post], unit: Unit
) -> None:
    job = job_of(unit=unit)
    for post, share in zip(posts, (2 / 3, 1 / 3), strict=True):
        said = Site(post, job, share).guarantee
        assert (said.patients, said.unit) == (len(post.patients), unit)
        assert said.steps == job.schedule.rounds * job.schedule.local_steps
        again = epsilon_spent(
            noise_multiplier=said.noise_multiplier,
            sampling_rate=said.sampling_rate,
            steps=said.steps,
            delta=said.delta,
        )
        assert said.epsilon == pytest.approx(again)
        assert 0 < said.epsilon <= 5


def test_the_entry_is_there_before_a_patient_is_read(
    posts: list[Post], monkeypatch: pytest.MonkeyPatch
) -> None:
    site, job = Site(posts[0], job_of(), 2 / 3), job_of()
    seen = []
    monkeypatch.setattr(
        "federation.sites.patches_of",
        lambda post, job: seen.append(ledger(post).entries()) or 1 / 0,
    )
    with pytest.raises(ZeroDivisionError):
        site.compute(1, begin(job))
    (entries,) = seen
    (entry,) = entries
    assert entry.said["patients"] == sorted(posts[0].voxels)
    assert entry.said["guarantee"]["epsilon"] == site.guarantee.epsilon


def test_every_round_goes_under_one_entry(posts: list[Post]) -> None:
    job = job_of(noise="system")
    state, site = begin(job), Site(posts[0], job, 2 / 3)
    for number in (1, 2, 3):
        state = {**state, **site.compute(number, state)}
        site = Site(posts[0], job, 2 / 3)  # as after a restart
    assert len(ledger(posts[0]).entries()) == 1


def test_a_spent_budget_is_refused_before_a_patient_is_read(
    posts: list[Post], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("federation.sites.patches_of", lambda post, job: pytest.fail("read"))
    ledger(posts[0]).set_cap(1.0)
    job = job_of(unit="patient")
    with pytest.raises(OverCapError):
        Site(posts[0], job, 2 / 3).compute(1, begin(job))


def test_a_site_may_insist_on_its_own_noise(posts: list[Post]) -> None:
    with pytest.raises(UsageError, match="operating system only"):
        Site(replace(posts[0], seeded_allowed=False), job_of(), 2 / 3)
    assert not Site(
        replace(posts[0], seeded_allowed=False), job_of(noise="system"), 0.5
    ).guarantee.seeded


def test_no_more_rounds_than_were_paid_for(posts: list[Post]) -> None:
    job = job_of()
    for number in (0, job.schedule.rounds + 1):
        with pytest.raises(UsageError, match="not among 3"):
            Site(posts[0], job, 2 / 3).compute(number, begin(job))


def test_an_answer_is_sent_again_and_never_drawn_again(posts: list[Post]) -> None:
    job = job_of(noise="system")
    state = begin(job)
    first = Site(posts[0], job, 2 / 3).compute(1, state)
    assert same(first, Site(posts[0], job, 2 / 3).compute(1, state))
    assert len(ledger(posts[0]).entries()) == 1


def test_another_question_in_an_answered_round_is_refused_or_paid_for(posts: list[Post]) -> None:
    job = job_of(noise="system")
    state = begin(job)
    site = Site(posts[0], job, 2 / 3)
    state = {**state, **site.compute(1, state)}
    site.compute(2, state)
    other = {name: array * 2 for name, array in state.items()}
    with pytest.raises(UsageError, match="does not follow"):
        site.compute(2, other)
    site.compute(1, other)
    assert len(ledger(posts[0]).entries()) == 2


def test_seeded_rounds_repeat_themselves(posts: list[Post]) -> None:
    job = job_of()
    state = begin(job)
    assert same(
        Site(posts[0], job, 2 / 3).compute(2, state), Site(posts[0], job, 2 / 3).compute(2, state)
    )


@pytest.mark.parametrize("noise", ["seeded", "system"])
def test_noise_is_another_at_every_site_and_in_every_round(posts: list[Post], noise: str) -> None:
    draws = [
        Site(post, job_of(noise=noise), 0.5).context(number).noise
        for post in posts
        for number in (1, 2)
    ]
    assert not every_site_draws_noise_of_its_own(draws)


def test_at_infinity_a_site_adds_no_noise(posts: list[Post]) -> None:
    job = job_of(epsilon=math.inf)
    said = Site(posts[0], job, 2 / 3).guarantee
    assert math.isinf(said.epsilon)
    assert said.noise_multiplier == 0


def test_other_versions_and_jobs_are_refused(posts: list[Post]) -> None:
    with pytest.raises(UsageError, match="version 1 here and 2"):
        Site(posts[0], replace(job_of(), version=2), 0.5)
    with pytest.raises(UsageError, match="cannot be trained across sites"):
        Site(posts[0], replace(job_of(), generator="simulator", settings={}), 0.5)
    for text in ("", "[]", "{}", '{"schedule": 3}'):
        with pytest.raises(UsageError, match="cannot be read"):
            Job.read(text)
    assert Job.read(job_of().text()) == job_of()


def test_sites_share_the_sampling_rate(posts: list[Post]) -> None:
    rates = [
        Site(p, job_of(), s).guarantee.sampling_rate
        for p, s in zip(posts, (2 / 3, 1 / 3), strict=True)
    ]
    assert rates[0] == pytest.approx(rates[1], rel=0.35)
