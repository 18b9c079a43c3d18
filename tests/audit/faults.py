"""Faults that have been seen in private training, each planted into a game about to be played."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.privacy.dpsgd import Batch
from benchmark.privacy.randomness import SeededNoise


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
        scale = honest.noise_multiplier * honest.clip_norm / honest.expected_units
        return quiet + scale * torch.from_numpy(noise.normal(len(quiet)))

    game.step = Other(game.step, answer)


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
            return shared.choice(mine, min(self._per_draw, len(mine)), replace=False)

    sampler.__class__ = Shared


def more_steps_than_were_accounted(game: Any) -> None:
    game.params = replace(game.params, critic_steps=2 * game.params.critic_steps)


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
}
"""The law that each fault breaks, whatever else it breaks."""


def one_noise_for_all_sites(patch: Any) -> None:
    """As where every hospital was told the same seed; planted into the sites' module."""
    patch.setattr("federation.sites.SeededNoise", lambda seed, run, *where: SeededNoise(seed, run))
