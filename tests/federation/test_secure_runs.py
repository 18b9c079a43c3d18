"""Whole runs by secure sums: what crosses, what stops them, and what a restart may do."""

import itertools
import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from flwr.app import Message, RecordDict
from secure_posts import secure_job, secure_posts

from benchmark.core.errors import UsageError
from benchmark.core.federation import Arrays
from benchmark.core.folders import LEDGER, machine_secret
from benchmark.core.generator import FitContext
from benchmark.privacy.checkpoint import Checkpoint
from benchmark.privacy.ledger.ledger import Ledger
from benchmark.privacy.mechanisms.shared_noise import SharedPlan, Sharing
from benchmark.privacy.mechanisms.shared_sources import SharedNoise
from benchmark.privacy.randomness import SeededNoise, SystemNoise
from federation import messages
from federation.answered import Answered
from federation.backend import OneProcess, posts_app, simulate
from federation.job import Job
from federation.post import Post
from federation.secure_messages import INTRODUCED
from federation.secure_sides import SummingServer
from federation.secure_sum import Introduction, Session, total
from federation.sites import Site, digest
from federation.strategy import FederationError, Member, Round, Rules, train

KINDS = ["dp-simulator", "dp-merf", "private-evolution"]
Sums = dict[tuple[str, int], Arrays]


def ledger(post: Post) -> Ledger:
    return Ledger(post.state / LEDGER, machine_secret(post.state))


def rules_of(posts: list[Post], **how: Any) -> Rules:
    return Rules(sites=len(posts), timeout_s=120, **how)


def run(job: Job, posts: list[Post], backend: str = "in-process", **how: Any) -> Arrays:
    state, _ = simulate(backend, job, posts, rules_of(posts, **how))
    return state


def kept_in(folder: Path) -> Callable[[list[Member]], Checkpoint]:
    return lambda members: Checkpoint(folder / "rounds.safetensors", members[0].guarantee)


class Tapped(OneProcess):
    """A grid that keeps all answers, and may change what is asked."""

    def __init__(self, posts: list[Post], change: Callable[[Message], None] | None = None) -> None:
        super().__init__(posts_app(posts), len(posts))
        self.crossed: list[tuple[str, RecordDict]] = []
        self._change = change

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        asked = [*messages]
        for message in asked:
            if self._change:
                self._change(message)
        for answer in super().send_and_receive(asked, timeout=timeout):
            self.crossed.append((answer.metadata.message_type, answer.content))
            yield answer

    def words(self) -> list[Arrays]:
        return [
            messages.unpacked(content.array_records["state"])
            for kind, content in self.crossed
            if kind == messages.ROUND and "state" in content.array_records
        ]


@pytest.fixture
def masked_sums(monkeypatch: pytest.MonkeyPatch) -> list[Arrays]:
    """All that sites masked, before they did."""
    seen: list[Arrays] = []
    mask = Session.mask

    def watched(session: Session, number: int, state: str, sums: Arrays) -> Any:
        seen.append({name: array.copy() for name, array in sums.items()})
        return mask(session, number, state, sums)

    monkeypatch.setattr(Session, "mask", watched)
    return seen


@pytest.mark.parametrize("generator", KINDS)
def test_the_server_adds_exactly_what_the_sites_summed_and_sees_no_part_of_it(
    generator: str, module_cohort: Path, tmp_path: Path, masked_sums: list[Arrays]
) -> None:
    posts, job = secure_posts(module_cohort, tmp_path), secure_job(generator)
    tapped = Tapped(posts)
    state, members = train(tapped, job, rules_of(posts))
    words, rounds = tapped.words(), job.schedule.rounds
    assert len(words) == len(masked_sums) == 2 * rounds
    for number in range(rounds):
        both = slice(2 * number, 2 * number + 2)
        added, plain = total(words[both], 2**62), masked_sums[both]
        for name, array in added.items():
            np.testing.assert_array_equal(array, plain[0][name] + plain[1][name])
            assert all(
                not (w[name] == p[name].view(np.uint64)).any()
                for w, p in zip(words[both], plain, strict=True)
            )
    made = job.made()
    made.close(state, job.patch_size)
    assert len(made.sample(3, seed=0)) == 3
    plan = job.shared_plan(3, 2)
    assert {member.guarantee for member in members} == {replace(plan.guarantee, seeded=True)}
    assert members[0].guarantee.patients == 3


def test_a_run_repeats_itself_and_its_words_do_not(module_cohort: Path, tmp_path: Path) -> None:
    job, found = secure_job(), []
    for name in ("one", "other"):
        posts = secure_posts(module_cohort, tmp_path / name)
        tapped = Tapped(posts)
        state, _ = train(tapped, job, rules_of(posts))
        found.append((digest(state), tapped.words()))
    assert found[0][0] == found[1][0]
    both = [np.concatenate([*one[0].values()]) for _, one in found]
    assert not (both[0] == both[1]).any()


def test_what_leaves_a_site_is_on_the_list_and_its_words_are_uniform(
    module_cohort: Path, tmp_path: Path
) -> None:
    posts, job = secure_posts(module_cohort, tmp_path), secure_job(rounds=20)
    tapped = Tapped(posts)
    train(tapped, job, rules_of(posts))
    for kind, content in tapped.crossed:
        fields = dict(content.config_records["about"])
        due = {**messages.REPLIES[kind], **(INTRODUCED if kind == messages.JOIN else {})}
        assert {name: type(value) for name, value in fields.items()} == due
        assert set(content) == ({"about", "state"} if kind == messages.ROUND else {"about"})
    bits = np.concatenate([array for one in tapped.words() for array in one.values()])
    assert bits.dtype == np.uint64
    octets = np.bincount(bits.view(np.uint8), minlength=256)
    assert scipy.stats.chisquare(octets).pvalue > 1e-6
    for shift in range(0, 64, 8):  # the high octets of sums are nearly always alike
        column = np.bincount((bits >> np.uint64(shift)).astype(np.uint8), minlength=256)
        assert scipy.stats.chisquare(column).pvalue > 1e-6


def sums_of(site: Site, number: int, state: Arrays) -> np.ndarray:
    """What a site sums and noises in a round, before it is masked."""
    (found,) = site._side.compute(number, state, site.context(number)).values()
    return found


def coalition_breaks(posts: list[Post], job: Job) -> str:
    """Which law of a coalition's view is broken; empty if none is.

    The honest sites' sum without what their patients add: these have no usable patch, and add 0.
    The sum is exact and its masks are uniform (above), so it is what a coalition is left with.
    """
    posts, many = [replace(post, patients=(None,)) for post in posts], len(posts)
    sites, state = [Site(post, job, 1 / many, many) for post in posts], begin(job, many)
    drawn = range(1, job.schedule.rounds + 1)
    noise = np.array([[sums_of(site, k, state) for site in sites] for k in drawn], float)
    plan = job.shared_plan(many, many)
    due = plan.guarantee.noise_multiplier * plan.guarantee.sensitivity / plan.guarantee.grid
    freedom = len(drawn) * noise.shape[2]
    for one, other in itertools.combinations(range(many), 2):
        product = np.mean(noise[:, one] * noise[:, other]) / plan.share.deviation**2
        if not abs(float(product)) < 5 / np.sqrt(freedom):
            return f"sites {one} and {other} have the same noise"
    least, most = scipy.stats.chi2.ppf([1e-6, 1 - 1e-6], freedom)
    for honest in itertools.combinations(range(many), plan.sharing.honest):
        left = noise[:, honest].sum(axis=1) / due
        if not least < float(np.square(left).sum()) < most:
            return f"sites {honest} do not leave the noise that is claimed"
    return ""


@pytest.mark.parametrize(
    ("curious", "rounds"),
    [(0, 100), (1, 100), (2, 100), pytest.param(1, 1000, marks=pytest.mark.slow)],
)
def test_any_coalition_of_the_server_and_t_sites_is_left_with_the_noise_of_the_guarantee(
    curious: int, rounds: int, tested_cohort: Path, tmp_path: Path
) -> None:
    posts = secure_posts(tested_cohort, tmp_path, (1, 1, 1), curious)
    assert coalition_breaks(posts, secure_job(curious=curious, rounds=rounds)) == ""


def one_noise_for_all_sites(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("federation.sites.SeededNoise", lambda seed, run, *where: SeededNoise(where[-1]))


def noise_for_one_curious_site_less(patch: pytest.MonkeyPatch) -> None:
    def less(source: Any, plan: SharedPlan) -> SharedNoise:
        fewer = Sharing(sites=plan.sharing.sites, curious=plan.sharing.curious - 1)
        return SharedNoise(source, replace(plan, sharing=fewer))

    patch.setattr("federation.secure_sides.SharedNoise", less)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (one_noise_for_all_sites, "have the same noise"),
        (noise_for_one_curious_site_less, "do not leave the noise that is claimed"),
    ],
)
def test_a_planted_fault_in_the_shares_is_named(
    fault: Callable[[pytest.MonkeyPatch], None],
    said: str,
    tested_cohort: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fault(monkeypatch)
    posts = secure_posts(tested_cohort, tmp_path, (1, 1, 1))
    assert said in coalition_breaks(posts, secure_job(rounds=100))


def test_twenty_unequal_sites_end_in_the_sum_of_all(
    tmp_path: Path, masked_sums: list[Arrays], write_cohort: Callable[..., Path]
) -> None:
    cohort = write_cohort(tmp_path / "cohort", ("train",) * 23 + ("val", "test"))
    posts = secure_posts(cohort, tmp_path, (3, 2) + 18 * (1,), curious=4)
    tapped = Tapped(posts)
    _, members = train(tapped, secure_job(curious=4), rules_of(posts))
    assert [member.facts.patients for member in members][:3] == [3, 2, 1]
    assert {member.guarantee.patients for member in members} == {23}
    (name,) = masked_sums[0]
    np.testing.assert_array_equal(
        total(tapped.words(), 2**62)[name], sum(one[name] for one in masked_sums)
    )


def test_ray_ends_in_the_same_model_bit_for_bit(module_cohort: Path, tmp_path: Path) -> None:
    job = secure_job()
    one = run(job, secure_posts(module_cohort, tmp_path / "one"))
    assert digest(one) == digest(run(job, secure_posts(module_cohort, tmp_path / "ray"), "ray"))


def test_the_ledger_is_charged_once_at_each_site_before_a_patient_is_read(
    module_cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    posts, job, seen = secure_posts(module_cohort, tmp_path), secure_job(noise="system"), []
    from federation import sites

    cut = sites.patches_of

    def watched(post: Post, job: Job) -> Any:
        seen.append(ledger(post).entries())
        return cut(post, job)

    monkeypatch.setattr("federation.sites.patches_of", watched)
    run(job, posts)
    for entries, post in zip(seen, posts, strict=True):
        (entry,) = entries
        assert entry.said["guarantee"]["epsilon"] == job.shared_plan(3, 2).guarantee.epsilon
        assert entry.said["patients"] == sorted(post.voxels)
        assert len(ledger(post).entries()) == 1
    run(job, posts)
    assert [len(ledger(post).entries()) for post in posts] == [2, 2], "noise is drawn anew"


def test_a_server_that_was_killed_goes_on_to_the_same_model(
    module_cohort: Path, tmp_path: Path
) -> None:
    job = secure_job("private-evolution", rounds=3)
    whole = run(job, secure_posts(module_cohort, tmp_path / "whole"))
    posts, kept = secure_posts(module_cohort, tmp_path / "killed"), kept_in(tmp_path)

    def dies(finished: Round) -> None:
        if finished.number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(job, posts, checkpoint=kept, done=dies)
    numbers: list[int] = []
    state = run(job, posts, checkpoint=kept, done=lambda turn: numbers.append(turn.number))
    assert numbers == [2, 3]
    assert digest(state) == digest(whole)
    assert [len(ledger(post).entries()) for post in posts] == [1, 1]


def test_an_answered_round_is_never_masked_in_another_way_but_drawn_and_paid_anew(
    module_cohort: Path, tmp_path: Path, masked_sums: list[Arrays]
) -> None:
    job = secure_job("private-evolution", rounds=2, noise="system")
    posts, kept = secure_posts(module_cohort, tmp_path), kept_in(tmp_path)

    def dies(finished: Round) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(Tapped(posts), job, rules_of(posts, checkpoint=kept, done=dies))
    shutil.rmtree(posts[1].folder)  # one site has lost its record, and will draw new noise
    before = {digest(sums) for sums in masked_sums}
    run(job, posts, checkpoint=kept)
    assert not before & {digest(sums) for sums in masked_sums[2:]}
    assert [len(ledger(post).entries()) for post in posts] == [2, 2]


def test_another_roster_behind_a_site_s_back_gets_nothing(
    module_cohort: Path, tmp_path: Path, masked_sums: list[Arrays]
) -> None:
    job = secure_job("private-evolution", rounds=2, noise="system")
    posts = secure_posts(module_cohort, tmp_path)
    patients = sum(len(post.patients) for post in posts)
    sites = [Site(post, job, len(post.patients) / patients, patients) for post in posts]
    begun = SummingServer(
        job.made(), job.shared_plan(patients, 2), job.schedule, job.patch_size, context_of(job)
    )
    state = begun.sent(begun.begin())
    roster = [site.introduce(1) for site in sites]
    for site in sites:
        site.compute(1, state, everybody=roster)
    other = [roster[0], sites[1].introduce(1)]  # the server asks the second one alone to begin anew
    assert other[1] != roster[1]
    sites[1].compute(1, state, everybody=other)
    seen = len(masked_sums)
    with pytest.raises(UsageError, match="another site has begun anew"):
        sites[0].compute(1, state, everybody=other)
    assert len(masked_sums) == seen
    assert [len(ledger(post).entries()) for post in posts] == [1, 2]


def context_of(job: Job) -> FitContext:
    return FitContext(seed=job.seed, noise=SystemNoise(), charge=lambda charged: None)


def test_after_a_kill_the_seeded_sums_are_masked_again_and_never_others(
    module_cohort: Path, tmp_path: Path, masked_sums: list[Arrays]
) -> None:
    job = secure_job("private-evolution", rounds=3)
    posts, kept = secure_posts(module_cohort, tmp_path), kept_in(tmp_path)

    def dies(finished: Round) -> None:
        if finished.number == 2:
            raise KeyboardInterrupt

    first, again = Tapped(posts), Tapped(posts)
    with pytest.raises(KeyboardInterrupt):
        train(first, job, rules_of(posts, checkpoint=kept, done=dies))
    train(again, job, rules_of(posts, checkpoint=kept))
    for one, other in zip(first.words()[2:4], again.words()[:2], strict=True):
        assert digest(one) == digest(other), "one mask, one vector"
    for one, other in zip(masked_sums[2:4], masked_sums[4:6], strict=True):
        assert digest(one) == digest(other)
    assert [len(ledger(post).entries()) for post in posts] == [1, 1]


def test_a_site_that_was_killed_in_a_round_pays_for_its_draw_and_goes_on(
    module_cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = secure_job("private-evolution", rounds=2, noise="system")
    posts, kept = secure_posts(module_cohort, tmp_path), kept_in(tmp_path)
    keep = Answered.keep
    with monkeypatch.context() as patch:

        def killed(record: Answered, number: int, reply: Arrays, facts: Any) -> None:
            if record.folder == posts[1].folder and reply:
                raise SystemError("as a kill would")
            keep(record, number, reply, facts)

        patch.setattr(Answered, "keep", killed)
        with pytest.raises(FederationError, match="Site site-1, round 1: it failed"):
            run(job, posts, checkpoint=kept)
    run(job, posts, checkpoint=kept)
    paid = [len(ledger(post).entries()) for post in posts]
    assert paid == [2, 2], "one had answered, and the other had drawn: both draw anew"


def test_where_the_server_lost_its_rounds_sites_begin_anew_under_new_nonces(
    module_cohort: Path, tmp_path: Path
) -> None:
    job = secure_job("private-evolution", rounds=2, noise="system")
    posts = secure_posts(module_cohort, tmp_path)
    first, again = Tapped(posts), Tapped(posts)
    train(first, job, rules_of(posts))
    train(again, job, rules_of(posts))
    nonces = [nonces_of(first), nonces_of(again)]
    assert not {*nonces[0]} & {*nonces[1]}
    assert [len(ledger(post).entries()) for post in posts] == [2, 2], "the noise is another one"


def nonces_of(tapped: Tapped) -> list[str]:
    joins = [content for kind, content in tapped.crossed if kind == messages.JOIN]
    return [str(content.config_records["about"]["nonce"]) for content in joins]


@pytest.mark.parametrize("noise", ["seeded", "system"])
def test_another_state_in_an_answered_round_is_never_masked(
    noise: str, module_cohort: Path, tmp_path: Path
) -> None:
    job = secure_job("private-evolution", rounds=2, noise=noise)
    posts = secure_posts(module_cohort, tmp_path)
    everybody, state = introduced(job, posts), begin(job)
    site = Site(posts[0], job, 2 / 3, 3)
    site.compute(1, state, everybody=everybody)
    other = {name: array + 1 for name, array in state.items()}
    with pytest.raises(UsageError, match=r"mask never hides two|masked another"):
        site.compute(1, other, everybody=everybody)
    assert len(ledger(posts[0]).entries()) == 1


def introduced(job: Job, posts: list[Post]) -> list[Introduction]:
    sites = [Site(post, job, len(post.patients) / 3, 3) for post in posts]
    return [site.introduce(1) for site in sites]


def begin(job: Job, sites: int = 2) -> Arrays:
    context = FitContext(seed=0, noise=SystemNoise(), charge=lambda charged: None)
    side = SummingServer(
        job.made(), job.shared_plan(3, sites), job.schedule, job.patch_size, context
    )
    return side.sent(side.begin())


def test_without_its_own_introduction_nothing_is_paid(module_cohort: Path, tmp_path: Path) -> None:
    job, posts = secure_job(), secure_posts(module_cohort, tmp_path)
    mine, other = introduced(job, posts)
    site, stale = Site(posts[0], job, 2 / 3, 3), mine._replace(nonce=bytes(16))
    for everybody in ([], [other], [stale, other]):
        with pytest.raises(UsageError, match="own introduction"):
            site.compute(1, begin(job), everybody=everybody)
    with pytest.raises(UsageError, match="at least 2 sites"):
        site.compute(1, begin(job), everybody=[mine])
    assert not ledger(posts[0]).entries()


def tampers(**changes: Callable[[list[str]], list[str]]) -> Callable[[Message], None]:
    """A server that relays other introductions than it was told."""

    def change(message: Message) -> None:
        about = message.content.config_records["about"]
        for name, how in changes.items():
            if name in about:
                about[name] = how([*about[name]])

    return change


TAMPERED = {
    "another key": tampers(publics=lambda p: [p[0], "11" * 32]),
    "another nonce": tampers(nonces=lambda n: [n[0], "22" * 16]),
    "exchanged": tampers(nonces=lambda n: n[::-1]),
    "one left out": tampers(publics=lambda p: p[:1], nonces=lambda n: n[:1]),
    "one twice": tampers(publics=lambda p: [*p, p[1]], nonces=lambda n: [*n, n[1]]),
    "no list": tampers(publics=lambda p: p[:1]),
    "no digits": tampers(nonces=lambda n: [n[0], "no nonce"]),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_introductions_that_were_tampered_with_stop_the_run(
    how: str, module_cohort: Path, tmp_path: Path
) -> None:
    posts = secure_posts(module_cohort, tmp_path)
    with pytest.raises(FederationError, match=r"Site site-\d, round 1: it failed"):
        train(Tapped(posts, TAMPERED[how]), secure_job(), rules_of(posts))


def test_sites_that_were_told_other_numbers_have_masks_that_do_not_cancel(
    module_cohort: Path, tmp_path: Path
) -> None:
    posts = secure_posts(module_cohort, tmp_path)
    told = iter(range(10))

    def change(message: Message) -> None:
        about = message.content.config_records["about"]
        if "patients" in about and "publics" in about and next(told) == 1:
            about["patients"], about["share"] = 4, 1 / 4

    with pytest.raises(FederationError, match=r"The server, round 1: .*masks do not cancel"):
        train(Tapped(posts, change), secure_job(noise="system"), rules_of(posts))


def stopped(job: Job, posts: list[Post]) -> str:
    with pytest.raises(FederationError) as caught:
        run(job, posts)
    assert not any(ledger(post).entries() for post in posts), "nobody has paid"
    return str(caught.value)


@pytest.mark.parametrize("asked", [None, 0])
def test_a_site_refuses_noise_that_its_own_configuration_does_not_say(
    asked: int | None, module_cohort: Path, tmp_path: Path
) -> None:
    posts = secure_posts(module_cohort, tmp_path)
    said = stopped(secure_job(curious=asked), posts)
    assert "Site site-0, joining: it refuses the run by its own rules" in said
    reason = (posts[0].folder / "error.txt").read_text()
    assert "this site's configuration says secure-sum=1" in reason


def test_a_site_without_secure_sums_refuses_to_be_asked_for_them(
    module_cohort: Path, tmp_path: Path
) -> None:
    posts = secure_posts(module_cohort, tmp_path, curious=None)
    assert "refuses the run by its own rules" in stopped(secure_job(), posts)
    assert "has no secure-sum" in (posts[0].folder / "error.txt").read_text()


def test_a_site_that_trusts_other_people_refuses_before_it_reads_a_patient(
    module_cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("federation.sites.patches_of", lambda post, job: pytest.fail("read"))
    posts = secure_posts(module_cohort, tmp_path)
    distrusting = [
        replace(post, agreed=replace(post.agreed, trusted=frozenset(["ab" * 32])))
        for post in posts
        if post.agreed
    ]
    said = stopped(secure_job(), distrusting)
    assert "round 1: it failed" in said, "a round has one code"
    assert "does not trust" in (posts[0].folder / "error.txt").read_text()


def test_a_site_that_is_missing_stops_the_round_and_the_same_command_goes_on(
    module_cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = secure_job("private-evolution", rounds=2)
    whole = run(job, secure_posts(module_cohort, tmp_path / "whole"))
    posts, kept = secure_posts(module_cohort, tmp_path / "missing"), kept_in(tmp_path)

    class Missing(OneProcess):
        def send_and_receive(self, messages: Any, *, timeout: float | None = None) -> Any:
            for answer in super().send_and_receive(messages, timeout=timeout):
                about = answer.content.config_records["about"]
                if (about.get("round"), answer.metadata.src_node_id) != (2, 3):
                    yield answer

    with pytest.raises(FederationError, match="Site site-1, round 2: it did not answer"):
        train(Missing(posts_app(posts), 2), job, rules_of(posts, checkpoint=kept))
    assert digest(run(job, posts, checkpoint=kept)) == digest(whole)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("patients", 2, "another fit"),
        ("noise_multiplier", 0.1, "another fit"),
        ("distance", 0.0, "another fit"),
        ("epsilon", 1.0, "another fit"),
        ("public", "11", "no reply may hold"),
        ("nonce", "the loss was 0.31", "no reply may hold"),
        ("loss", 0.3, "no reply may hold"),
    ],
)
def test_a_consent_to_anything_but_the_whole_fits_plan_is_refused(
    field: str, value: Any, said: str, module_cohort: Path, tmp_path: Path
) -> None:
    posts = secure_posts(module_cohort, tmp_path)

    class Lying(OneProcess):
        def send_and_receive(self, messages: Any, *, timeout: float | None = None) -> Any:
            for answer in super().send_and_receive(messages, timeout=timeout):
                if answer.metadata.message_type == "query.join":
                    answer.content.config_records["about"][field] = value
                yield answer

    with pytest.raises(FederationError, match=f"Site site-0, joining: it .*{said}"):
        train(Lying(posts_app(posts), 2), secure_job(), rules_of(posts))
    assert not any(ledger(post).entries() for post in posts)


def test_a_word_that_was_changed_on_its_way_is_seen(module_cohort: Path, tmp_path: Path) -> None:
    """The masks do not cancel then, but for a change as small as noise."""
    posts = secure_posts(module_cohort, tmp_path)

    class Changing(OneProcess):
        def send_and_receive(self, asked: Any, *, timeout: float | None = None) -> Any:
            for answer in super().send_and_receive(asked, timeout=timeout):
                records = answer.content.array_records
                if "state" in records and answer.metadata.src_node_id == 3:
                    words = dict(messages.unpacked(records["state"]))
                    words["sum 1"] = words["sum 1"] ^ np.uint64(1 << 62)
                    answer.content = messages.order_reply(1, words)
                yield answer

    with pytest.raises(FederationError, match=r"The server, round 1: .*masks do not cancel"):
        train(Changing(posts_app(posts), 2), secure_job(), rules_of(posts))


def test_a_job_of_local_noise_is_written_as_before() -> None:
    job = secure_job(curious=None)
    assert "curious" not in json.loads(job.text())
    assert Job.read(job.text()) == job
    secure = secure_job(curious=0)
    assert json.loads(secure.text())["curious"] == 0
    assert Job.read(secure.text()) == secure
    for wrong in (-1, 1.0, True, "1", 10_000):
        with pytest.raises(UsageError, match="Expected curious to be"):
            replace(job, curious=wrong)


def test_shared_noise_is_drawn_for_the_number_of_trusted_sites(
    module_cohort: Path, tmp_path: Path
) -> None:
    """Not for a number that the server says: it says none."""
    posts, job = secure_posts(module_cohort, tmp_path), secure_job()
    site = Site(posts[0], job, 2 / 3, 3)
    seen: list[Sharing] = []

    class Watched(SharedNoise):
        def __init__(self, source: Any, plan: SharedPlan) -> None:
            seen.append(plan.sharing)
            super().__init__(source, plan)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("federation.secure_sides.SharedNoise", Watched)
        site.compute(1, begin(job), everybody=introduced(job, posts))
    assert seen == [Sharing(sites=2, curious=1)]


def test_a_share_that_the_numbers_of_patients_do_not_give_is_refused(
    module_cohort: Path, tmp_path: Path
) -> None:
    posts = secure_posts(module_cohort, tmp_path)
    with pytest.raises(UsageError, match=r"a share of 2 / 3 patients, got 0\.5"):
        Site(posts[0], secure_job(), 0.5, 3)


@pytest.mark.parametrize("patients", [None, 0, 2])
def test_fewer_patients_than_there_can_be_are_refused(
    patients: int | None, module_cohort: Path, tmp_path: Path
) -> None:
    posts = secure_posts(module_cohort, tmp_path)
    with pytest.raises(UsageError, match="at least 3 patients at 2 sites"):
        Site(posts[0], secure_job(), 2 / 3, patients)
