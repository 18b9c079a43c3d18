"""Faults that have been seen in private training, each planted into a game about to be played."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmark.privacy.dpsgd.batch import Batch
from benchmark.privacy.dpsgd.gram import Gram
from benchmark.privacy.dpsgd.sampling import PoissonSampler
from benchmark.privacy.mechanisms.choice import Election
from benchmark.privacy.mechanisms.release import Release
from benchmark.privacy.randomness import SeededNoise
from generators import private_evolution, private_selection
from generators.dp_simulator import DpSimulator
from generators.dp_wgan import DpWgan
from generators.nets import federated, one_mean


class Other:
    """A step that answers otherwise than the honest one it stands in for."""

    def __init__(self, honest: Any, answer: Callable[..., Tensor]) -> None:
        self._honest, self._answer = honest, answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._honest, name)

    def gradient(self, critic: nn.Module, batch: Batch, noise: Any) -> Tensor:
        return self._answer(self._honest, critic, batch, noise)


def no_clipping(game: Any) -> None:
    def answer(honest, critic, batch, noise):
        quiet = replace(honest, clip_norm=math.inf).gradient(critic, batch, noise)
        return honest.gradient(critic, Batch(batch.real[:0], batch.owner[:0]), noise) + quiet

    game.step = Other(game.step, answer)


def noise_in_floating_point(game: Any) -> None:
    """As it was once: float32 noise on a float32 sum, whose low bits tell data sets apart."""

    def answer(honest, critic, batch, noise):
        quiet = replace(honest, noise_multiplier=0.0).gradient(critic, batch, noise)
        scale = game.guarantee.noise_multiplier * game.guarantee.sensitivity
        drawn = honest.gradient(critic, Batch(batch.real[:0], batch.owner[:0]), noise)
        rng = torch.Generator().manual_seed(int(drawn.abs().sum() * 1e6))
        normal = torch.randn(quiet.shape, generator=rng)
        return quiet + scale / honest.expected_units * normal

    game.step = Other(game.step, answer)


def norms_from_gram_matrices_alone(game: Any) -> None:
    """As it was once: what rounding hides of a norm is clamped away."""

    def answer(honest, critic, batch, noise):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Gram, "squared_norms", lambda gram: gram._gram().double().clamp(min=0))
            return honest.gradient(critic, batch, noise)

    game.step = Other(game.step, answer)


def the_last_unit_drawn_at_twice_the_rate(game: Any) -> None:
    draw, coins = game.sampler.draw, np.random.default_rng(0)
    last = game.sampler.units - 1

    def twice():
        indices, units = draw()
        if last in units or coins.random() > game.guarantee.sampling_rate:
            return indices, units
        each = game.sampler._each
        return np.append(indices, [0] * each), np.append(units, [last] * each)

    game.sampler.draw = twice


def half_the_noise(game: Any) -> None:
    def answer(honest, critic, batch, noise):
        half = replace(honest, noise_multiplier=honest.noise_multiplier / 2)
        return half.gradient(critic, batch, noise)

    game.step = Other(game.step, answer)


def one_batch_for_all_critic_steps(game: Any) -> None:
    draw, times, kept = game.sampler.draw, [0], []

    def again():
        if times[0] % max(2, game.params.critic_steps) == 0:
            kept[:] = [draw()]
        times[0] += 1
        return kept[0]

    game.sampler.draw = again


class WithBatchNorm(nn.Module):
    def __init__(self, critic: nn.Module) -> None:
        super().__init__()
        self.critic, self.norm = critic, nn.BatchNorm2d(2, affine=False)

    def forward(self, samples: Tensor) -> Tensor:
        return self.critic(self.norm(samples))


def batch_norm_in_the_critic(game: Any) -> None:
    game.critic = WithBatchNorm(game.critic)


def the_rate_accounted_as_half(game: Any) -> None:
    game.sampler._rate *= 2


def the_realised_batch_as_divisor(game: Any) -> None:
    def answer(honest, critic, batch, noise):
        realised = max(1, len(torch.unique(batch.owner)))
        return replace(honest, expected_units=realised).gradient(critic, batch, noise)

    game.step = Other(game.step, answer)


def patients_clipped_patch_by_patch(game: Any) -> None:
    def answer(honest, critic, batch, noise):
        apart = batch._replace(owner=torch.arange(len(batch.owner)))
        return honest.gradient(critic, apart, noise)

    game.step = Other(game.step, answer)


def one_stream_for_all_patients_patches(game: Any) -> None:
    sampler, shared = game.sampler, np.random.default_rng(0)
    kind = type(sampler)

    class Shared(kind):
        def _some_of(self, patient: int):
            mine = self._of_patient[patient]
            return shared.choice(mine, min(self._each, len(mine)), replace=False)

    sampler.__class__ = Shared


def more_steps_than_were_accounted(game: Any) -> None:
    game.steps_per_round *= 2


FAULTS: dict[Callable[[Any], None], tuple[str, ...]] = {
    no_clipping: ("patch", "patient"),
    half_the_noise: ("patch", "patient"),
    one_batch_for_all_critic_steps: ("patch", "patient"),
    batch_norm_in_the_critic: ("patch", "patient"),
    the_rate_accounted_as_half: ("patch", "patient"),
    the_realised_batch_as_divisor: ("patch", "patient"),
    patients_clipped_patch_by_patch: ("patient",),
    one_stream_for_all_patients_patches: ("patient",),
    more_steps_than_were_accounted: ("patch", "patient"),
    noise_in_floating_point: ("patch", "patient"),
    norms_from_gram_matrices_alone: ("patch", "patient"),
    the_last_unit_drawn_at_twice_the_rate: ("patch", "patient"),
}
"""Each fault, and the units for which it is one."""

CAUGHT_BY: dict[Callable[[Any], None], str] = {
    no_clipping: "one_unit_moves_the_sum_by_the_clip_norm_at_most",
    half_the_noise: "the_noise_is_that_which_was_accounted",
    one_batch_for_all_critic_steps: "every_step_draws_its_own_batch",
    batch_norm_in_the_critic: "no_sample_reaches_anothers_score",
    the_rate_accounted_as_half: "units_are_drawn_at_the_rate_that_was_accounted",
    the_realised_batch_as_divisor: "the_divisor_is_public",
    patients_clipped_patch_by_patch: "one_unit_moves_the_sum_by_the_clip_norm_at_most",
    one_stream_for_all_patients_patches: "what_a_patient_holds_moves_no_others_draws",
    more_steps_than_were_accounted: "the_epsilon_follows_from_the_mechanisms_numbers",
    noise_in_floating_point: "what_is_put_out_lies_on_the_public_grid",
    norms_from_gram_matrices_alone: "one_unit_moves_the_sum_by_the_clip_norm_at_most",
    the_last_unit_drawn_at_twice_the_rate: "units_are_drawn_at_the_rate_that_was_accounted",
}
"""The law that each fault breaks, whatever else it breaks."""


def one_noise_for_all_sites(patch: Any) -> None:
    """As where every hospital was told the same seed; planted into the sites' module."""
    patch.setattr("federation.sites.SeededNoise", lambda seed, run, *where: SeededNoise(seed, run))


def a_site_that_adds_its_share_of_the_noise(patch: Any) -> None:
    """Three sites' noise of σ/√3 each is σ in the sum, and a third of the variance at each."""

    honest = federated.critic_step
    patch.setattr(
        federated,
        "critic_step",
        lambda params, said, engine: honest(
            params, replace(said, noise_multiplier=said.noise_multiplier / math.sqrt(3)), engine
        ),
    )


def half_the_noise_in_a_mean(patch: Any) -> None:
    patch.setattr(one_mean, "Release", _quieter)


def half_the_noise_in_a_vote(patch: Any) -> None:
    patch.setattr(private_evolution, "Release", _quieter)


def half_the_noise_in_a_choice(patch: Any) -> None:
    patch.setattr(
        private_selection,
        "Election",
        lambda said: Election(replace(said, noise_multiplier=said.noise_multiplier / 2)),
    )


def _quieter(said: Any) -> Release:
    return Release(replace(said, noise_multiplier=said.noise_multiplier / 2))


PLANTED: dict[Callable[[Any], None], tuple[str, str]] = {
    a_site_that_adds_its_share_of_the_noise: ("dp-wgan", "noise_is_that_which_was_accounted"),
    half_the_noise_in_a_mean: ("dp-simulator", "noise_is_that_which_was_accounted"),
    half_the_noise_in_a_vote: ("private-evolution", "noise_is_that_which_was_accounted"),
    half_the_noise_in_a_choice: ("private-selection", "noise_is_that_which_was_accounted"),
}
"""Faults of mechanisms and sites: in which generator, and the law of conformance they break."""


class AMeanWithNoiseInFloatingPoint(DpSimulator):
    """What is released is no mechanism's output."""

    def fit(self, patches, guarantee, context):
        honest = Release.mean

        def mean(release, patches, features, noise):
            honest(release, patches, features, noise)
            quiet = Release(replace(release.guarantee, noise_multiplier=0.0))
            found = honest(quiet, patches, features, noise)
            drawn = np.random.default_rng(0).standard_normal(len(found))
            return found + release.deviation * drawn

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Release, "mean", mean)
            return super().fit(patches, guarantee, context)


class TheLastPatientDrawnAtTwiceTheRate(DpWgan):
    """It enters some steps without a draw."""

    def fit(self, patches, guarantee, context):
        honest = PoissonSampler.draw

        def draw(sampler):
            indices, units = honest(sampler)
            last, coin = sampler.units - 1, np.random.default_rng([sampler.draws]).random()
            if last not in units and coin < sampler._rate:
                mine = np.full(sampler._each, sampler._of_patient[-1][-1], np.int64)
                return np.append(indices, mine), np.append(units, [last] * sampler._each)
            return indices, units

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(PoissonSampler, "draw", draw)
            return super().fit(patches, guarantee, context)


MADE: dict[type[Any], str] = {
    AMeanWithNoiseInFloatingPoint: "is_post_processing_but_for_its_mechanisms",
    TheLastPatientDrawnAtTwiceTheRate: "learns_of_nobody_but_whom_it_drew",
}
"""Generators that have a fault wherever they are made, as in the fresh process of a replay; and the
law of conformance that each breaks."""
