"""The design ``gradient-sums``: each round is one critic step, whose gradient sites add up.

Site k draws its units, and sends the noised mean of their clipped gradients over its *public*
expected units B_k: a noised sum, and nothing else of its patients. With w_k the sites' shares of
all patients and q the same everywhere, w_k / B_k = 1 / B. So the server has, of all sites,

    g = Σ_k w_k g_k + 1/F Σ_j clip(∇ l_fake(y_j), C),

which is the gradient of the pooled private step (``dpsgd.step``), with the noise of all sites. All
but the first sum depends on patients through earlier rounds alone, so the server computes it, once:
the fakes' part, the optimiser's step, and after every ``critic_steps`` rounds the generator's step.
With one site the fit is the pooled one, up to rounding: that snaps the fakes' part to its grid,
too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.core.budget import Guarantee
from benchmark.core.federation import Arrays, Schedule
from benchmark.core.generator import FitContext
from benchmark.core.patches import Patches
from benchmark.privacy.dpsgd.batch import Batch, drawn_by
from benchmark.privacy.dpsgd.shared_steps import planned_grid
from benchmark.privacy.dpsgd.step import Step
from benchmark.privacy.dpsgd.training import sampler_of
from generators.nets.players import (
    LOSSES,
    Players,
    critic_step,
    latents_of,
    networks,
    trained_numbers,
)
from generators.nets.pretraining import begin
from generators.nets.refining import Refiner
from generators.nets.states import arrays, mean, only, tensors
from generators.nets.wgan_settings import WganParams

CRITIC, LATENTS = "critic.", "latents"
GRADIENT, DEVIATION = "gradient", "deviation"


class GradientSite:
    """The site's part: it sends the noised gradient of one draw of its patients.

    Args:
        params: The settings.
        patches: Its patients' patches.
        guarantee: Its plan for all rounds.
        engine: How a clipped sum is computed.
    """

    def __init__(
        self, params: WganParams, patches: Patches, guarantee: Guarantee, *, engine: str
    ) -> None:
        self.params, self.patches, self.guarantee = params, patches, guarantee
        self.step = critic_step(params, guarantee, engine)
        if guarantee.noise_multiplier > 0:
            grid = planned_grid(guarantee, trained_numbers(params))
            self.step = replace(self.step, grid=grid)
        self._critic: nn.Module | None = None

    def compute(self, number: int, state: Arrays, context: FitContext) -> Arrays:
        """Return the noised gradient at the server's critic, and its noise's public deviation."""
        if self._critic is None:
            self._critic = networks(self.params, self.patches.size, context)[1]
        critic = self._critic
        weights = {n.removeprefix(CRITIC): t for n, t in tensors(state).items()}
        critic.load_state_dict(weights)
        sampler = sampler_of(
            self.patches,
            self.guarantee,
            context,
            patches_per_draw=self.params.patches_per_draw,
            padded=not context.noise.seeded,
        )
        drawn = drawn_by(sampler, self.patches).on(context.device)
        gradient = self.step.in_double(critic, drawn, context.noise)
        return {GRADIENT: gradient.cpu().numpy(), DEVIATION: np.array([self._deviation])}

    @property
    def _deviation(self) -> float:
        """σ C / B: the noise in each number; 0 without noise."""
        if self.guarantee.noise_multiplier == 0:
            return 0.0
        return self.guarantee.noise_multiplier * self.step.clip_norm / self.step.expected_units


class GradientServer:
    """The server's part: all of a critic step but the patients' sum, and the generator's steps.

    Args:
        params: The settings as they are for all patients.
        clip_norm: C, of a fake where the replies are noised.
        size: The side of a patch.
        schedule: The rounds.
        context: Seeds the weights and the latent draws.
        engine: How a clipped sum is computed.
    """

    def __init__(
        self,
        params: WganParams,
        clip_norm: float,
        size: int,
        schedule: Schedule,
        context: FitContext,
        *,
        engine: str,
    ) -> None:
        self.params, self.clip_norm, self.engine = params, clip_norm, engine
        self.size, self.schedule, self.context = size, schedule, context
        self.numbers = trained_numbers(params)
        self.players, self.rng = Players(params, size, context), latents_of(context)

    def begin(self) -> Arrays:
        """Return networks that saw no patient, and the stream of latents before its first draw."""
        begin(self.players, self.params, self.size, self.context)
        self.players.begin_moments()
        return self._state()

    def sent(self, state: Arrays) -> Arrays:
        """Return the critic's weights."""
        return only(state, CRITIC)

    def returned(self, state: Arrays, share: float) -> Arrays:
        """Return arrays with the names, shapes and types of a reply."""
        return {GRADIENT: np.zeros(self.numbers), DEVIATION: np.zeros(1)}

    def combine(
        self, number: int, state: Arrays, replies: Sequence[Arrays], weights: Sequence[float]
    ) -> Arrays:
        """Take the critic's step on the weighted sum, and the generator's where it is due."""
        players, turns = self.players, self.params.critic_steps
        kept = tensors(state)
        self.rng.set_state(kept.pop(LATENTS))
        players.load(kept)
        deviation = math.hypot(
            *(w * float(one[DEVIATION][0]) for w, one in zip(weights, replies, strict=True))
        )
        players.trust = self._trust(deviation)
        players.slow_down((number - 1) // turns * turns / self.schedule.rounds)
        of_patients = torch.from_numpy(mean(replies, weights)[GRADIENT])
        players.move_critic(self._with_fakes(of_patients, private=deviation > 0))
        if number % turns == 0 or number == self.schedule.rounds:
            players.generator_step(self.rng)
            players.average(math.ceil(number / turns))
        return self._state()

    def _with_fakes(self, of_patients: Tensor, *, private: bool) -> Tensor:
        """The gradient of a whole critic step; fakes are clipped as they are where sites clip."""
        real, fake = LOSSES[self.params.loss]
        step = Step(
            real_loss=real,
            fake_loss=fake,
            expected_units=1.0,
            clip_norm=self.clip_norm if private else math.inf,
            noise_multiplier=0.0,
            engine=self.engine,
        )
        fakes = self.players.fakes(self.rng)
        nobody = Batch(fakes[:0], torch.zeros(0, dtype=torch.int64), fakes).on(fakes.device)
        of_fakes = step.in_double(self.players.critic, nobody, self.context.noise)
        return (of_patients.to(of_fakes.device) + of_fakes).to(fakes)

    def _trust(self, deviation: float) -> float:
        """What ``refining.trust`` computes of a plan: C / B over the length of the noise."""
        if deviation == 0 or not isinstance(self.players.generator, Refiner):
            return 1.0
        return min(1.0, self.clip_norm / deviation / math.sqrt(self.numbers))

    def _state(self) -> Arrays:
        return {**arrays(self.players), LATENTS: self.rng.get_state().numpy().copy()}
