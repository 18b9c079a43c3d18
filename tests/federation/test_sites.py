"""A site keeps its own rules, whatever the server asks."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_sites import job_of

from benchmark.audit.laws import every_site_draws_noise_of_its_own
from benchmark.core.budget import Unit
from benchmark.core.errors import UsageError
from benchmark.core.federation import Arrays
from benchmark.core.files import held
from benchmark.core.folders import LEDGER, machine_secret
from benchmark.core.generator import FitContext
from benchmark.privacy.accounting.subsampled_gaussian import epsilon_spent
from benchmark.privacy.ledger.ledger import Ledger, OverCapError
from benchmark.privacy.randomness import SystemNoise
from federation.answered import Answered
from federation.job import Job
from federation.post import Post
from federation.sites import BusyError, Site


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
            delta=said.accounted_delta,
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


def answered(post: Post, job: Job, share: float, number: int = 1) -> int:
    """Answers a round, and says how many entries the ledger has then."""
    Site(post, job, share).compute(number, begin(job))
    return len(ledger(post).entries())


@pytest.mark.parametrize("noise", ["seeded", "system"])
@pytest.mark.parametrize("change", ["guarantee", "share", "patient added", "patient swapped"])
def test_an_entry_pays_for_its_own_guarantee_and_patients_only(
    posts: list[Post], noise: str, change: str
) -> None:
    (post, job, share), post_b = (posts[0], job_of(noise=noise), 0.5), posts[1]
    assert answered(post, job, share) == 1
    more = {"patients": (*post.patients, post_b.patients[0]), "voxels": (*post.voxels, "new")}
    other = {
        "guarantee": (post, replace(job, epsilon=50.0), share),
        "share": (post, job, 1.0),
        "patient added": (replace(post, **more), job, share),
        "patient swapped": (replace(post, voxels=("new", *post.voxels[1:])), job, share),
    }[change]
    number = 2 if change == "patient swapped" else 1
    assert answered(*other, number) == 2
    last = ledger(post).entries()[-1].said
    assert last["guarantee"]["epsilon"] == Site(*other).guarantee.epsilon
    assert last["patients"] == sorted(other[0].voxels)


def test_other_settings_under_the_same_run_are_paid_for_anew(posts: list[Post]) -> None:
    """Rounds of one size must not count as rounds of another: T would be exceeded."""
    job = job_of(noise="system", rounds=2)
    assert answered(posts[0], job, 0.5) == 1
    finer = replace(job, schedule=replace(job.schedule, rounds=4, local_steps=1))
    assert Site(posts[0], finer, 0.5).guarantee == Site(posts[0], job, 0.5).guarantee
    with pytest.raises(UsageError, match="does not follow"):
        answered(posts[0], finer, 0.5, number=2)
    assert answered(posts[0], finer, 0.5) == 2


def test_where_nobody_knows_what_was_answered_it_is_paid_for_anew(posts: list[Post]) -> None:
    job = job_of(noise="system")
    assert answered(posts[0], job, 0.5) == 1
    for file in posts[0].folder.glob("*.safetensors"):
        file.unlink()
    with pytest.raises(UsageError, match="does not follow"):
        answered(posts[0], job, 0.5, number=2)
    assert answered(posts[0], job, 0.5) == 2


def test_a_kill_before_the_first_answer_costs_no_second_entry(
    posts: list[Post], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(noise="system")
    with monkeypatch.context() as patch:
        patch.setattr("federation.sites.patches_of", lambda post, job: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            answered(posts[0], job, 0.5)
    assert answered(posts[0], job, 0.5) == 1


def test_a_kill_between_the_entry_and_its_record_costs_no_second_entry(
    posts: list[Post], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(noise="system")
    with monkeypatch.context() as patch:
        patch.setattr(Answered, "keep", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            answered(posts[0], job, 0.5)
    assert len(ledger(posts[0]).entries()) == 1
    assert answered(posts[0], job, 0.5) == 1
    assert not (posts[0].folder / "charge.json").exists()
    other = replace(job, seed=1, run="f" * 12)
    with monkeypatch.context() as patch:
        patch.setattr(Answered, "keep", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            answered(posts[0], other, 0.5)
    assert answered(posts[0], replace(other, run="e" * 12), 0.5) == 3, "a claim is of one run"


def failing(post: Post, job: Job, number: int, state: Arrays) -> None:
    """Draws a round whose reply is computed and then lost."""
    site = Site(post, job, 0.5)
    with pytest.MonkeyPatch.context() as patch:
        compute = type(site._side).compute
        patch.setattr(type(site._side), "compute", lambda *of: compute(*of) and 1 / 0)
        with pytest.raises(ZeroDivisionError):
            site.compute(number, state)


def test_what_was_drawn_and_not_answered_is_paid_for_again(posts: list[Post]) -> None:
    """A server that makes rounds fail after the draw must not get noise for nothing."""
    job = job_of(noise="system", rounds=2)
    for asked in (1, 2, 3):
        failing(posts[0], job, 1, begin(job))
        assert len(ledger(posts[0]).entries()) == asked
    assert answered(posts[0], job, 0.5) == 4
    assert answered(posts[0], job, 0.5, number=2) == 4


def test_rounds_after_one_that_failed_go_under_the_second_entry(posts: list[Post]) -> None:
    job = job_of(noise="system", rounds=3)
    assert answered(posts[0], job, 0.5) == 1
    failing(posts[0], job, 2, begin(job))
    assert answered(posts[0], job, 0.5, number=2) == 2
    site = Site(posts[0], job, 0.5)
    first = site.compute(3, begin(job))
    assert same(first, Site(posts[0], job, 0.5).compute(3, begin(job)))
    assert len(ledger(posts[0]).entries()) == 2, "an answer is sent again"


def test_where_nobody_knows_how_much_was_drawn_it_is_paid_for_anew(posts: list[Post]) -> None:
    job = job_of(noise="system")
    assert answered(posts[0], job, 0.5) == 1
    (posts[0].folder / "draws.json").write_text("")
    assert answered(posts[0], job, 0.5, number=2) == 2


def test_consent_needs_room_in_the_ledger_once_an_entrys_draws_are_used_up(
    posts: list[Post],
) -> None:
    job = job_of(unit="patient", noise="system", rounds=1)
    failing(posts[0], job, 1, begin(job))
    ledger(posts[0]).set_cap(6.0)
    with pytest.raises(OverCapError):
        Site(posts[0], job, 0.5).consent()


def test_consent_is_refused_where_the_ledger_has_no_room(posts: list[Post]) -> None:
    job = job_of(unit="patient", noise="system")
    assert Site(posts[0], job, 0.5).consent().epsilon <= 5
    assert not ledger(posts[0]).entries(), "nothing is spent by consenting"
    assert answered(posts[0], job, 0.5) == 1
    ledger(posts[0]).set_cap(6.0)
    assert Site(posts[0], job, 0.5).consent(), "what is paid for is not counted twice"
    with pytest.raises(OverCapError):
        Site(posts[0], replace(job, seed=1, run="f" * 12), 0.5).consent()


def test_a_run_that_another_process_computes_is_left_to_it(posts: list[Post]) -> None:
    with held(posts[0].folder), pytest.raises(BusyError, match="another process"):
        answered(posts[0], job_of(), 0.5)


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
    with pytest.raises(UsageError, match="version 3 here and 9"):
        Site(posts[0], replace(job_of(), version=9), 0.5)
    with pytest.raises(UsageError, match="cannot be trained across sites"):
        Site(posts[0], replace(job_of(), generator="simulator", version=2, settings={}), 0.5)
    for text in ("", "[]", "{}", '{"schedule": 3}'):
        with pytest.raises(UsageError, match="cannot be read"):
            Job.read(text)
    job = job_of()
    assert Job.read(job.text()) == job
    with pytest.raises(UsageError, match="dp-wgan has no settings called heart"):
        replace(job, settings={"heart": 1}).made()
    for share in (0.0, 1.5, math.nan):
        with pytest.raises(UsageError, match="share of all patients"):
            Site(posts[0], job, share)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("run", "../../../etc/x"),
        ("run", "0123456789ab/"),
        ("run", "0123456789AB"),
        ("run", 3),
        ("generator", ""),
        ("version", "1"),
        ("settings", []),
        ("patch_size", 0),
        ("patches_per_patient", 1e9),
        ("epsilon", 0),
        ("epsilon", "5"),
        ("epsilon", math.nan),
        ("delta", 0),
        ("delta", True),
        ("unit", "patches"),
        ("seed", -1),
        ("noise", "none"),
        ("design", 3),
        ("rounds", 0),
        ("rounds", 10**9),
        ("local_steps", True),
    ],
)
def test_every_field_of_a_job_has_a_law(name: str, value: object) -> None:
    """What comes from a server names folders, and decides what is spent."""
    said = json.loads(job_of().text())
    (said["schedule"] if name in said["schedule"] else said)[name] = value
    with pytest.raises(UsageError, match=f"Expected {name} to be .*, got"):
        Job.read(json.dumps(said))


def test_all_sites_have_the_pooled_fits_sampling_rate(posts: list[Post]) -> None:
    """Exactly, also where a site has one patient of twenty."""
    for unit in ("patch", "patient"):
        job = job_of(unit=unit)
        pooled = job.made().plan_at_site(job.public(20), job.budget(), job.schedule)
        for patients in (1, 2, 17):
            post = replace(
                posts[0],
                patients=posts[0].patients[:1] * patients,
                voxels=tuple(map(str, range(patients))),
            )
            said = Site(post, job, patients / 20).guarantee
            assert said.sampling_rate == pytest.approx(pooled.sampling_rate)


def test_no_arithmetic_that_is_set_outside_reaches_a_sites_reply(posts: list[Post]) -> None:
    job = job_of()
    state = begin(job)
    expected = Site(posts[0], job, 2 / 3).compute(1, state)
    other = replace(posts[0], folder=posts[0].folder.with_name("under autocast"))
    with torch.autocast("cpu", torch.bfloat16):
        assert (torch.eye(2) @ torch.eye(2)).dtype == torch.bfloat16
        found = Site(other, job, 2 / 3).compute(1, state)
    assert same(found, expected)
