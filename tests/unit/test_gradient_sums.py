"""Gradient sums: with one site the pooled fit, with several their weighted sum, and no more."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmark.core.budget import Budget, PublicNumbers, Unit
from benchmark.core.errors import UsageError
from benchmark.core.federation import Arrays, Schedule
from benchmark.core.generator import FitContext
from benchmark.core.mechanism import Noise
from benchmark.core.patches import Patches
from benchmark.privacy.dpsgd.step import grid_of
from benchmark.privacy.randomness import SeededNoise
from benchmark.privacy.replay import Output, Recorder
from generators.checks import PUBLIC, patches
from generators.dp_wgan import DpWgan, DpWganParams
from generators.nets.federated import GRADIENT_SUMS
from generators.nets.refining import trust
from generators.wgan import Wgan

torch.set_num_threads(1)

SMALL = {
    "latent": 4,
    "generator_width": 4,
    "critic_width": 4,
    "batch": 24,
    "fakes": 6,
    "patients_per_step": 3,
}
ROUNDING = 1e-5
"""More than single precision moves a weight of these fits, and far less than one step does."""


class Everybody(SeededNoise):
    """No noise, and every unit in every draw."""

    def poisson(self, n, rate):
        return np.arange(n)

    def noised(self, sums, grid):
        return sums.copy()


def context_of(noise: Noise, seed: int = 0) -> FitContext:
    return FitContext(seed=seed, noise=noise, charge=lambda charged: None)


def some(whole: Patches, patients: range) -> Patches:
    mine = np.isin(whole.patient, list(patients))
    return replace(
        whole,
        images=whole.images[mine],
        masks=whole.masks[mine],
        patient=whole.patient[mine] - patients.start,
        patients=len(patients),
    )


def numbers_of(mine: Patches) -> PublicNumbers:
    return replace(PUBLIC, patients=mine.patients)


def by_sites(
    generator: Wgan, parts: list[Patches], noises: list[Noise], budget: Budget
) -> tuple[Arrays, list[Arrays]]:
    """The last state of a fit, and all replies."""
    schedule = generator.schedule(design=GRADIENT_SUMS)
    shares = [mine.patients / PUBLIC.patients for mine in parts]
    sides = []
    for mine, share in zip(parts, shares, strict=True):
        site = generator.at_site(share)
        plan = site.plan_at_site(numbers_of(mine), budget, schedule)
        sides.append(site.site_side(mine, plan, schedule))
    server = generator.server_side(PUBLIC.patch_size, schedule, context_of(noises[0]))
    state, seen = server.begin(), []
    for number in range(1, schedule.rounds + 1):
        contexts = [context_of(noise) for noise in noises]
        sent = server.sent(state)
        replies = [s.compute(number, sent, c) for s, c in zip(sides, contexts, strict=True)]
        state = server.combine(number, state, replies, shares)
        seen += replies
    generator.close(state, PUBLIC.patch_size)
    return state, seen


def weights(generator: Wgan) -> np.ndarray:
    return np.concatenate([t.numpy().ravel() for t in generator._net.state_dict().values()])


@pytest.mark.parametrize("begins", ["noise", "simulator"])
@pytest.mark.parametrize("epsilon", [5.0, math.inf])
@pytest.mark.parametrize("unit", ["patch", "patient"])
def test_one_site_alone_is_the_pooled_fit(unit: Unit, epsilon: float, begins: str) -> None:
    """The same draws, noise, fakes and steps; only how the fakes' part is rounded differs."""
    params = DpWganParams(**SMALL, critic_steps=2, generator_steps=2, begin=begins)
    budget = Budget(epsilon=epsilon, delta=1e-3, unit=unit)
    pooled, alone = DpWgan(params), DpWgan(params)
    pooled.fit(patches(), pooled.plan(PUBLIC, budget), context_of(SeededNoise("one")))
    by_sites(alone, [patches()], [SeededNoise("one")], budget)
    begun = DpWgan(params)
    server = begun.server_side(
        PUBLIC.patch_size, begun.schedule(design=GRADIENT_SUMS), context_of(SeededNoise("one"))
    )
    begun.close(server.begin(), PUBLIC.patch_size)
    moved = np.abs(weights(pooled) - weights(begun)).max()
    assert np.abs(weights(alone) - weights(pooled)).max() < min(ROUNDING, moved / 50)


@pytest.mark.parametrize("epsilon", [5.0, math.inf])
@pytest.mark.parametrize("unit", ["patch", "patient"])
def test_sites_of_any_size_add_up_to_the_gradient_of_all_patients(
    unit: Unit, epsilon: float
) -> None:
    """Every divisor and weight: all units enter the step, and there is no noise."""
    generator = DpWgan(DpWganParams(**SMALL, critic_steps=1, generator_steps=1))
    budget = Budget(epsilon=epsilon, delta=1e-3, unit=unit)
    parts = [some(patches(), one) for one in (range(3), range(3, 5), range(5, 6))]
    _, (whole,) = by_sites(generator, [patches()], [Everybody(0)], budget)
    _, replies = by_sites(generator, parts, [Everybody(0)] * 3, budget)
    added = sum(w * one["gradient"] for w, one in zip((1 / 2, 1 / 3, 1 / 6), replies, strict=True))
    rounding = 1e-5 * np.abs(whole["gradient"]).max()
    np.testing.assert_allclose(added, whole["gradient"], rtol=0, atol=rounding)


def test_at_infinity_it_is_wgan_number_by_number() -> None:
    budget, made = Budget(epsilon=math.inf, delta=1e-3, unit="patch"), []
    for kind in (DpWgan, Wgan):
        generator = kind(kind.Params(**SMALL, critic_steps=2, generator_steps=2))
        parts = [some(patches(), one) for one in (range(3), range(3, 6))]
        noises: list[Noise] = [SeededNoise(k) for k in range(2)]
        made.append(by_sites(generator, parts, noises, budget)[0])
    assert all(np.array_equal(made[0][name], made[1][name]) for name in made[0])


def test_a_reply_is_whole_steps_of_the_sites_grid_over_its_public_batch() -> None:
    """So nothing below the grid leaves, and two sites' noise has nothing in common."""
    generator = DpWgan(DpWganParams(**SMALL, critic_steps=2, generator_steps=1))
    budget = Budget(epsilon=5.0, delta=1e-3, unit="patch")
    recorders = [Recorder(SeededNoise(k)) for k in range(2)]
    parts = [some(patches(), one) for one in (range(4), range(4, 6))]
    _, replies = by_sites(generator, parts, [*recorders], budget)
    schedule = generator.schedule(design=GRADIENT_SUMS)
    for index, (recorder, mine) in enumerate(zip(recorders, parts, strict=True)):
        site = generator.at_site(mine.patients / PUBLIC.patients)
        plan = site.plan_at_site(numbers_of(mine), budget, schedule)
        expected = plan.sampling_rate * plan.units
        for output, reply in zip(recorder.outputs, replies[index::2], strict=True):
            assert isinstance(output, Output)
            assert output.grid == grid_of(plan.noise_multiplier, 0.25, len(output.sums))
            assert output.grid.spacing == plan.grid
            np.testing.assert_allclose(
                reply["gradient"], output.noised * (plan.grid / expected), rtol=1e-14
            )
    noises = [np.concatenate([o.noised - o.sums for o in r.outputs]) for r in recorders]
    assert abs(np.corrcoef(*noises)[0, 1]) < 5 / math.sqrt(len(noises[0]))


def test_a_reply_says_nothing_but_the_gradient_and_a_public_number() -> None:
    generator = DpWgan(DpWganParams(**SMALL, critic_steps=2, generator_steps=1))
    budget = Budget(epsilon=5.0, delta=1e-3, unit="patient")
    _, one = by_sites(generator, [patches()], [SeededNoise(0)], budget)
    _, two = by_sites(generator, [patches(1)], [SeededNoise(1)], budget)
    plan = generator.plan(PUBLIC, budget)
    said = plan.noise_multiplier * plan.clip_norm / (plan.sampling_rate * plan.units)
    for reply in (*one, *two):
        assert set(reply) == {"gradient", "deviation"}
        assert reply["deviation"].tolist() == [said]


def test_a_server_that_begins_anew_goes_on_as_if_nothing_had_happened() -> None:
    generator = DpWgan(DpWganParams(**SMALL, critic_steps=2, generator_steps=2))
    schedule = generator.schedule(design=GRADIENT_SUMS)
    rng = np.random.default_rng(0)

    def server():
        return generator.server_side(PUBLIC.patch_size, schedule, context_of(SeededNoise(0)))

    one = server()
    whole = parts = one.begin()
    for number in range(1, schedule.rounds + 1):
        like = one.returned(whole, 1.0)
        reply = {"gradient": rng.normal(0, 1e-3, like["gradient"].shape), "deviation": np.ones(1)}
        whole = one.combine(number, whole, [reply], [1.0])
        parts = server().combine(number, parts, [reply], [1.0])
    assert all(np.array_equal(whole[name], parts[name]) for name in whole)


def test_sites_need_the_critic_alone_and_the_generator_steps_when_it_is_due() -> None:
    generator = DpWgan(DpWganParams(**SMALL, critic_steps=2, generator_steps=2))
    schedule = Schedule(design=GRADIENT_SUMS, rounds=3, local_steps=1)
    server = generator.server_side(PUBLIC.patch_size, schedule, context_of(SeededNoise(0)))
    state, steps = server.begin(), []
    assert all(name.startswith("critic.") for name in server.sent(state))
    for number in (1, 2, 3):
        reply = server.returned(state, 1.0)
        after = server.combine(number, state, [reply], [1.0])
        same = [np.array_equal(after[n], state[n]) for n in state if n.startswith("generator.")]
        steps.append(not all(same))
        state = after
    assert steps == [False, True, True]  # after two critic steps, and in the last round


def test_a_refiner_is_trusted_by_the_noise_of_the_sum() -> None:
    params = DpWganParams(**SMALL, critic_steps=2, begin="simulator", generator_steps=1)
    generator = DpWgan(params)
    plan = generator.plan(PUBLIC, Budget(epsilon=1.0, delta=1e-3, unit="patient"))
    schedule = generator.schedule(design=GRADIENT_SUMS)
    server = generator.server_side(PUBLIC.patch_size, schedule, context_of(SeededNoise(0)))
    state = server.begin()
    deviation = plan.noise_multiplier * plan.clip_norm / (plan.sampling_rate * plan.units)
    for sites in (1, 4):
        reply = {**server.returned(state, 1.0), "deviation": np.array([deviation])}
        server.combine(1, state, [reply] * sites, [1 / sites] * sites)
        pooled = replace(plan, noise_multiplier=plan.noise_multiplier / math.sqrt(sites))
        assert server.players.trust == pytest.approx(
            trust(pooled, generator.noised_numbers(PUBLIC))
        )
        assert server.players.trust < 1


def test_a_round_is_one_step() -> None:
    made = DpWgan(DpWganParams(**SMALL, critic_steps=2, generator_steps=5))
    assert made.schedule(design=GRADIENT_SUMS) == Schedule(
        design=GRADIENT_SUMS, rounds=10, local_steps=1
    )
    assert made.schedule(design=GRADIENT_SUMS, rounds=7, local_steps=1).steps == 7
    with pytest.raises(UsageError, match="one step in a round, got 4 local steps; leave them out"):
        made.schedule(design=GRADIENT_SUMS, local_steps=4)


def test_a_batch_of_nobody_sends_noise_alone() -> None:
    class Nobody(Everybody):
        def poisson(self, n, rate):
            return np.zeros(0, np.int64)

    generator = DpWgan(DpWganParams(**SMALL, critic_steps=2, generator_steps=1))
    budget = Budget(epsilon=5.0, delta=1e-3, unit="patch")
    _, replies = by_sites(generator, [patches()], [Nobody(0)], budget)
    assert not any(reply["gradient"].any() for reply in replies)
