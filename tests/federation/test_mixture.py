"""The design ``mixture``: every site fits alone, and the server pools what the sites drew."""

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Message
from test_server import serve

import generators.checks
from benchmark.core.designs import designs_of, federated, mixture_of
from benchmark.core.errors import NotFittedError, PlugInError, UsageError
from benchmark.core.federation import Arrays, Schedule
from benchmark.core.folders import LEDGER, machine_secret
from benchmark.core.generator import FitContext
from benchmark.core.laws import LawBrokenError
from benchmark.core.mixture import (
    MIXTURE,
    POOLED,
    MixtureServer,
    intensities,
    levels,
    most_of,
    parts_of,
)
from benchmark.core.registry import generators as registered
from benchmark.privacy.conformance import is_post_processing_but_for_its_mechanisms
from benchmark.privacy.ledger.ledger import Ledger, OverCapError
from benchmark.privacy.randomness import SeededNoise
from benchmark.sweep.saved_generator import released
from federation import messages
from federation.backend import OneProcess, posts_app, simulate
from federation.job import Job
from federation.post import Post
from federation.sites import Site, digest
from federation.strategy import FederationError, Rules, train
from generators.dp_simulator import DpSimulator
from generators.private_selection import PrivateSelection
from generators.wgan import Wgan

Make = Callable[[str], list[Post]]
RULES = Rules(sites=2, timeout_s=120)
ONCE = Schedule(design=MIXTURE, rounds=1, local_steps=1)


def mixed(generator: str = "dp-simulator", **said: Any) -> Job:
    kind = registered.get(generator)
    fields: dict[str, Any] = {
        "run": "0123456789ab",
        "generator": generator,
        "version": kind.version,
        "settings": kind.smoke.as_dict(),
        "patch_size": 16,
        "patches_per_patient": 20,
        "epsilon": 5.0,
        "delta": 1e-5,
        "unit": "patient",
        "seed": 0,
        "noise": "seeded",
        "schedule": ONCE,
    }
    return Job(**{**fields, **said})


def pool_of(job: Job, posts: list[Post], backend: str = "in-process") -> Arrays:
    return simulate(backend, job, posts, RULES)[0]


def entries(post: Post) -> list[Any]:
    return Ledger(post.state / LEDGER, machine_secret(post.state)).entries()


def test_parts_sum_to_the_pool_and_no_site_sends_less_than_its_part() -> None:
    rng = np.random.default_rng(0)
    for _ in range(2000):
        sizes = rng.integers(1, 60, rng.integers(2, 40))
        shares = [float(size / sizes.sum()) for size in sizes]
        pooled = int(rng.integers(1, 10_000))
        parts = parts_of(shares, pooled)
        assert sum(parts) == pooled
        assert all(
            part <= most_of(share, pooled) for part, share in zip(parts, shares, strict=True)
        )
        assert all(
            abs(part - share * pooled) < 1 for part, share in zip(parts, shares, strict=True)
        )


def test_levels_keep_intensities_to_a_half_level() -> None:
    images = np.random.default_rng(0).uniform(-1, 1, 10_000).astype(np.float32)
    assert np.abs(intensities(levels(images)) - images).max() < 1.01 / 65535 + 1e-7
    assert intensities(np.array([0, 65535], np.uint16)).tolist() == [-1, 1]


@pytest.mark.parametrize(("generator", "unit"), [("dp-simulator", "patient"), ("dp-wgan", "patch")])
def test_the_pool_repeats_and_has_each_sites_share_in_the_sites_order(
    generator: str, unit: str, more_posts: Make
) -> None:
    job, posts = mixed(generator, unit=unit), more_posts("one")
    pool = pool_of(job, posts)
    assert digest(pool) == digest(pool_of(job, more_posts("other")))
    assert digest(pool) != digest(pool_of(replace(job, seed=1), more_posts("third")))
    assert pool["images"].shape == pool["masks"].shape == (POOLED, 1, 16, 16)
    cut = parts_of([2 / 3, 1 / 3], POOLED)[0]
    replies = [
        Site(post, job, share).compute(1, {})
        for post, share in zip(posts, (2 / 3, 1 / 3), strict=True)
    ]
    for name, whole in pool.items():
        assert np.array_equal(whole[:cut], replies[0][name][:cut])
        assert np.array_equal(whole[cut:], replies[1][name][: POOLED - cut])


@pytest.mark.slow
def test_ray_ends_in_the_same_pool_bit_for_bit(more_posts: Make) -> None:
    job = mixed()
    assert digest(pool_of(job, more_posts("one"))) == digest(pool_of(job, more_posts("r"), "ray"))


def test_each_site_pays_once_for_the_plan_of_a_fit_of_its_own(posts: list[Post]) -> None:
    job = mixed()
    pool_of(job, posts)
    kind = registered.get(job.generator)
    for post in posts:
        (entry,) = entries(post)
        own = kind(kind.smoke).plan(job.public(len(post.patients)), job.budget())
        assert entry.said["guarantee"]["noise_multiplier"] == own.noise_multiplier
        assert entry.said["guarantee"]["patients"] == len(post.patients)
        assert 0 < entry.said["guarantee"]["epsilon"] <= job.epsilon


def test_sites_with_the_same_patients_send_different_patches(posts: list[Post]) -> None:
    twin = replace(posts[0], index=1, folder=posts[1].folder, state=posts[1].state)
    one, other = (Site(post, mixed(), 0.5).compute(1, {}) for post in (posts[0], twin))
    assert not np.array_equal(one["images"], other["images"])


def test_sites_whose_fits_end_alike_send_different_patches_all_the_same() -> None:
    made = mixture_of(PrivateSelection, 8)(PrivateSelection.smoke)
    planned = made.plan(generators.checks.PUBLIC, generators.checks.budget_of(PrivateSelection))
    one, other = (
        made.site_side(generators.checks.patches(), planned, ONCE).compute(
            1, {}, replace(context_of(lambda charged: None), seed=seed)
        )
        for seed in (0, 1)
    )
    assert not np.array_equal(one["masks"], other["masks"])


def test_a_site_that_restarts_sends_its_stored_reply_and_pays_no_second_time(
    posts: list[Post], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = mixed(noise="system")
    first = Site(posts[0], job, 0.5).compute(1, {})
    monkeypatch.setattr("federation.sites.patches_of", lambda post, job: pytest.fail("read"))
    again = Site(posts[0], job, 0.5).compute(1, {})
    assert digest(again) == digest(first)
    assert len(entries(posts[0])) == 1


def test_a_site_whose_share_changes_draws_anew_and_pays(posts: list[Post]) -> None:
    """Its plan is that of a fit of its own, so only the share tells that others are there now."""
    job, post = mixed(noise="system"), posts[0]
    first = Site(post, job, 2 / 3).compute(1, {})
    other = Site(post, job, 1 / 2).compute(1, {})
    assert [len(one["images"]) for one in (first, other)] == [
        most_of(share, POOLED) for share in (2 / 3, 1 / 2)
    ]
    assert not np.array_equal(first["images"][:100], other["images"][:100]), "another fit"
    assert len(entries(post)) == 2


def test_a_site_whose_share_changes_consents_only_if_there_is_room(posts: list[Post]) -> None:
    """It would draw anew and pay, so the server hears of the cap before anybody is charged."""
    job, post = mixed(noise="system"), posts[0]
    Site(post, job, 2 / 3).compute(1, {})
    ledger = Ledger(post.state / LEDGER, machine_secret(post.state))
    ledger.set_cap(1.5 * Site(post, job, 2 / 3).guarantee.epsilon)
    assert Site(post, job, 2 / 3).consent(), "what was answered is paid for"
    with pytest.raises(OverCapError):
        Site(post, job, 1 / 2).consent()


def test_a_mixture_is_repeated_with_other_sites_in_another_folder(
    posts: list[Post], tmp_path: Path
) -> None:
    job = mixed(noise="system")
    train(OneProcess(posts_app(posts), 2), job, RULES)
    more = {"patients": posts[1].patients * 2, "voxels": ("one", "two")}
    others = [posts[0], replace(posts[1], **more)]
    pool, _ = train(OneProcess(posts_app(others), 2), job, RULES)
    assert pool["images"].shape == (POOLED, 1, 16, 16)
    assert [len(entries(post)) for post in posts] == [2, 2]


@pytest.mark.parametrize("schedule", [{"rounds": 2}, {"local_steps": 2}, {"rounds": 10**6}])
def test_no_server_gets_a_second_fit_from_a_site(
    schedule: dict[str, int], posts: list[Post]
) -> None:
    with pytest.raises(UsageError, match="a site fits once, in one round"):
        Site(replace(posts[0], planned=None), mixed(schedule=replace(ONCE, **schedule)), 0.5)
    side = federated(DpSimulator, MIXTURE)(DpSimulator.smoke)
    with pytest.raises(UsageError, match="leave --rounds and --local-steps out"):
        side.schedule(design=MIXTURE, **schedule)


def context_of(charge: Callable[[Any], None], checkpoint: Any = None) -> FitContext:
    return FitContext(seed=0, noise=SeededNoise(0), charge=charge, checkpoint=checkpoint)


class Greedy(DpSimulator):
    """Charges within its fit, as every generator, and says that it spent more than planned."""

    spends: float = 1.0

    def fit(self, patches, guarantee, context):
        assert context.checkpoint is None, "what it keeps would outlive the round"
        spent = super().fit(patches, guarantee, context)
        return replace(spent, epsilon=spent.epsilon * self.spends)


class TooGreedy(Greedy):
    spends = 2.0


def reply_of(kind: type[DpSimulator]) -> Arrays:
    made = mixture_of(kind, 8)(kind.smoke).at_site(0.5)
    planned = made.plan_at_site(generators.checks.PUBLIC, generators.checks.budget_of(kind), ONCE)
    side = made.site_side(generators.checks.patches(), planned, ONCE)
    return side.compute(1, {}, context_of(lambda charged: pytest.fail("charged twice"), object()))


def test_the_fit_at_a_site_charges_nobody_again_and_keeps_no_checkpoint() -> None:
    assert len(reply_of(Greedy)["images"]) == 4


def test_what_was_spent_beyond_the_plan_is_not_sent() -> None:
    with pytest.raises(PlugInError, match="more than it has charged"):
        reply_of(TooGreedy)


class KeepsPatches(DpSimulator):
    """Hands out a patient's patch, though its mechanism is honest."""

    def fit(self, patches, guarantee, context):
        self._kept = np.array(patches.images[:1])
        return super().fit(patches, guarantee, context)

    def sample(self, n, *, seed):
        drawn = super().sample(n, seed=seed)
        drawn.images[: len(self._kept)] = self._kept
        return drawn


def test_the_replay_law_sees_a_sites_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    def at_sites(kind: type[Any]) -> list[Any]:
        return [one for one in generators.checks.subjects(kind) if "(mixture" in one.name]

    assert len(at_sites(DpSimulator)) == 2, "one for each unit"
    is_post_processing_but_for_its_mechanisms(at_sites(DpSimulator)[0])
    with pytest.raises(LawBrokenError, match=r"a site of dp-simulator \(mixture"):
        is_post_processing_but_for_its_mechanisms(at_sites(KeepsPatches)[0])


@pytest.mark.parametrize("law", generators.checks.LAWS)
def test_a_mixture_is_a_generator_that_keeps_every_law(law: str) -> None:
    """A release of one is checked by them, too."""
    generators.checks.LAWS[law](mixture_of(DpSimulator, 16))


class PlansOtherwise(DpSimulator):
    def plan(self, public, budget):
        planned = super().plan(public, budget)
        return replace(planned, steps=planned.steps + math.isinf(budget.epsilon))


class IgnoresTheSeed(DpSimulator):
    def sample(self, n, *, seed):
        drawn = super().sample(1, seed=0)
        return replace(
            drawn, images=np.repeat(drawn.images, n, 0), masks=np.repeat(drawn.masks, n, 0)
        )


@pytest.mark.parametrize(
    ("kind", "said"), [(PlansOtherwise, "not in steps"), (IgnoresTheSeed, "patches of their own")]
)
def test_what_cannot_be_mixed_breaks_the_law(kind: type[DpSimulator], said: str) -> None:
    with pytest.raises(LawBrokenError, match=said):
        generators.checks.can_be_mixed_across_sites(kind)


class Shorter(OneProcess):
    """A grid whose last site sends one patch less than its share."""

    def send_and_receive(
        self, messages_: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        answers = list(super().send_and_receive(messages_, timeout=timeout))
        if "state" in answers[-1].content:
            sent = messages.unpacked(answers[-1].content.array_records["state"])
            assert set(sent) == {"images", "masks"}
            short = {name: array[:-1] for name, array in sent.items()}
            answers[-1].content = messages.order_reply(1, short)
        return answers


def test_the_server_knows_how_many_patches_each_site_sends(posts: list[Post]) -> None:
    with pytest.raises(FederationError, match="Site b, round 1: it answered with other tensors"):
        train(Shorter(posts_app(posts), 2), mixed(), RULES)


def test_whatever_a_site_sends_the_pool_has_lawful_patches() -> None:
    server = MixtureServer(4, 8)
    reply = {"images": np.full((2, 1, 8, 8), 65535, np.uint16), "masks": np.full((2, 1, 8, 8), 9)}
    reply["masks"] = reply["masks"].astype(np.uint8)
    made = mixture_of(DpSimulator, 4)(DpSimulator.smoke)
    with pytest.raises(NotFittedError):
        made.sample(1, seed=0)
    made.close(server.combine(1, server.begin(), [reply, reply], [0.5, 0.5]), 8)
    assert made.sample(9, seed=0).masks.max() == 1


def test_no_patch_is_drawn_again_before_all_were(posts: list[Post]) -> None:
    shape = (6, 1, 8, 8)
    images = np.arange(6, dtype=np.uint16).reshape(6, 1, 1, 1) + np.zeros(shape, np.uint16)
    made = mixture_of(DpSimulator, 6)(DpSimulator.smoke)
    made.close({"images": images, "masks": np.zeros(shape, np.uint8)}, 8)
    for n, times in ((4, {1}), (6, {1}), (12, {2}), (15, {2, 3})):
        drawn = levels(made.sample(n, seed=3).images)[:, 0, 0, 0]
        assert len(drawn) == n
        assert {int((drawn == one).sum()) for one in set(drawn)} == times
    orders = [made.sample(6, seed=seed).images.tobytes() for seed in range(4)]
    assert len({*orders}) > 1


def test_it_stands_beside_a_generators_own_designs_and_is_the_default_of_others() -> None:
    assert list(designs_of(Wgan)) == ["averaged-critics", "gradient-sums", "fedgan", MIXTURE]
    assert federated(Wgan) is federated(Wgan, "fedgan") is Wgan
    assert federated(PrivateSelection, MIXTURE).alone is PrivateSelection
    with pytest.raises(UsageError, match=r"No design is called 'mixtur'\. Did you mean 'mixture'"):
        federated(Wgan, "mixtur")
    for name, why in (("simulator", "reads no patient"), ("real", "patients' own patches")):
        for design in ("", MIXTURE):
            with pytest.raises(UsageError, match=f"{name} cannot be trained across sites: .*{why}"):
                federated(registered.get(name), design)
        with pytest.raises(UsageError, match="cannot be trained across sites"):
            mixed(name).made()


def test_a_deployed_server_leaves_a_pool_that_can_be_loaded(
    posts: list[Post], tmp_path: Path
) -> None:
    smoke = DpSimulator.smoke.as_dict()
    config: dict[str, Any] = {
        "generator": "dp-simulator",
        "settings": " ".join(f"{name}={value}" for name, value in smoke.items()),
        "design": MIXTURE,
        "rounds": 0,
        "local-steps": 0,
    }
    serve(posts, tmp_path, **config)
    assert not (tmp_path / "error.txt").exists()
    (run,) = (file.parent for file in tmp_path.glob("*/federation.json"))
    loaded = released(run)
    assert len(loaded.sample(5, seed=0)) == 5
    assert loaded.sample(POOLED, seed=0).size == 16
