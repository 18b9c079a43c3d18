"""The two networks of a WGAN, how each takes a step, and all that training changes.

A critic step draws fakes and takes the gradient of ``dpsgd.step``, plain or private. It is the only
step that reads patients. A generator step uses the critic alone.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.core.budget import Guarantee
from benchmark.core.generator import FitContext
from benchmark.core.mechanism import Noise
from benchmark.core.seeds import stream
from benchmark.privacy.dpsgd.batch import Batch
from benchmark.privacy.dpsgd.engines import Loss, trainable
from benchmark.privacy.dpsgd.step import Step, flat_gradient
from benchmark.privacy.dpsgd.training import (
    STEP,
    Learner,
    assign,
    follow,
    refuse_untrainable,
    set_rate,
    step_of,
)
from generators.nets.convolutional import (
    PatchCritic,
    PatchGenerator,
    bound_weights,
    initialise,
    project_spectrally,
)
from generators.nets.drawing import Drawer
from generators.nets.refining import Refiner, trust
from generators.nets.wgan_settings import WganParams

# Per-sample losses of a critic's scores, for real samples and for fakes.
LOSSES: dict[str, tuple[Loss, Loss]] = {
    "wasserstein": (torch.neg, lambda scores: scores),
    "hinge": (lambda scores: F.relu(1 - scores), lambda scores: F.relu(1 + scores)),
}
CONSTRAINTS = {"weights": bound_weights, "spectral": project_spectrally}
OPTIMISERS = {"adam": torch.optim.Adam, "rmsprop": torch.optim.RMSprop}
MOMENTS = {"adam": ("exp_avg", "exp_avg_sq"), "rmsprop": ("square_avg",)}
SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda played: 1.0,
    "cosine": lambda played: (1 + math.cos(math.pi * played)) / 2,
}


class Players(Learner):
    """Both networks with their optimisers, and the running average of the generator's weights.

    Args:
        params: The WGAN's settings.
        size: The side of a patch.
        context: Its seed initialises the weights.
        guarantee: Decides how far a refiner follows the critic; ``None`` where it is unknown.
    """

    def __init__(
        self,
        params: WganParams,
        size: int,
        context: FitContext,
        guarantee: Guarantee | None = None,
    ) -> None:
        self.params = params
        self.generator, self.critic = networks(params, size, context)
        self.averaged = copy.deepcopy(self.generator)
        self.trust = 1.0
        if isinstance(self.generator, Refiner):
            self.generator.fill(_fakes_of(params))
            if guarantee is not None:
                self.trust = trust(guarantee, sum(w.numel() for w in trainable(self.critic)))
        make = OPTIMISERS[params.optimiser]
        betas = {"betas": (0.5, 0.99)} if params.optimiser == "adam" else {}
        self.critic_optimiser = make(trainable(self.critic), lr=params.critic_rate, **betas)
        self.generator_optimiser = make(
            self.generator.parameters(), lr=self.trust * params.generator_rate, **betas
        )

    def critic_step(self, drawn: Batch, rng: torch.Generator, step: Step, noise: Noise) -> None:
        """Take one step of the critic.

        Args:
            drawn: Labelled patches ``(n, 2, H, W)`` of drawn units.
            rng: Draws the fakes.
            step: Computes the critic's gradient.
            noise: The source of the gradient's noise.
        """
        batch = drawn.beside(self.fakes(rng))
        self.move_critic(step.gradient(self.critic, batch, noise))

    def fakes(self, rng: torch.Generator) -> Tensor:
        """Draw the fakes of one critic step, ``(f, 2, H, W)``."""
        with torch.no_grad():
            fake: Tensor = self.generator(*self.generator.latents(self.params.fakes, rng))
        return fake

    def move_critic(self, gradient: Tensor) -> None:
        """Take the critic's optimiser step, and bound its weights.

        Args:
            gradient: Flat, in the order of ``trainable(critic)``.
        """
        assign(self.critic, gradient)
        self.critic_optimiser.step()
        CONSTRAINTS[self.params.constraint](self.critic, self.params.bound)

    def generator_step(self, rng: torch.Generator) -> float:
        """Take one step of the generator against the critic, and return its loss."""
        fake = self.generator(*self.generator.latents(self.params.fakes, rng))
        loss = -self.critic(fake).mean()
        assign(self.generator, flat_gradient(self.generator, loss))
        self.generator_optimiser.step()
        return float(loss.detach())

    def slow_down(self, played: float) -> None:
        """Set both learning rates by the schedule.

        Args:
            played: The share of the fit that is done, in [0, 1].
        """
        factor = SCHEDULES[self.params.schedule](played)
        set_rate(self.critic_optimiser, factor * self.params.critic_rate)
        set_rate(self.generator_optimiser, factor * self.trust * self.params.generator_rate)

    def average(self, done: int) -> None:
        """Update the running average after the generator's step number ``done``."""
        follow(self.averaged, self.generator, averaging=self.params.averaging, done=done)

    def begin_moments(self) -> None:
        """Give both optimisers the zero moments with which their first steps would begin."""
        for optimiser in self.optimisers().values():
            for weight in optimiser.param_groups[0]["params"]:
                zeros = {name: torch.zeros_like(weight) for name in MOMENTS[self.params.optimiser]}
                optimiser.state[weight] = {STEP: torch.zeros(()), **zeros}

    def nets(self) -> dict[str, torch.nn.Module]:
        """Return the generator, its running average, and the critic."""
        return {"generator": self.generator, "averaged": self.averaged, "critic": self.critic}

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return the critic's and the generator's optimiser."""
        return {"of critic": self.critic_optimiser, "of generator": self.generator_optimiser}


def _fakes_of(params: WganParams) -> int:
    """How many a fit draws."""
    return params.fakes * (params.critic_steps + 1) * params.generator_steps


def networks(params: WganParams, size: int, context: FitContext) -> tuple[Drawer, PatchCritic]:
    """Make a freshly initialised generator and critic.

    Raises:
        UsageError: If the critic cannot be trained privately.
    """
    rng = torch.Generator().manual_seed(stream(context.seed, "initial weights"))
    generator = patch_generator(params, size)
    critic = patch_critic(params)
    for net in (generator, critic):
        if isinstance(net, Refiner):
            net.initialise(rng)
        else:
            initialise(net, rng)
        net.to(context.device)
    refuse_untrainable(critic, torch.randn(3, 2, size, size, generator=rng).to(context.device))
    return generator, critic


def patch_generator(params: WganParams, size: int) -> Drawer:
    """Make the generator's network, without initialising it."""
    if params.begin == "simulator":
        return Refiner(
            latent=params.latent,
            size=size,
            width=params.generator_width,
            pixel_mm=params.pixel_mm,
            moves_edges=params.edges == "moved",
        )
    return PatchGenerator(
        latent=params.latent,
        size=size,
        levels=params.levels,
        width=params.generator_width,
        upsampling=params.upsampling,
        head=params.head,
    )


def patch_critic(params: WganParams) -> PatchCritic:
    """Make the critic's network, without initialising it; its first layers may be frozen."""
    critic = PatchCritic(
        levels=params.levels,
        width=params.critic_width,
        norm=params.critic_norm,
        padding=params.critic_padding,
    )
    critic.freeze_but(params.trained_layers)
    return critic


def trained_numbers(params: WganParams) -> int:
    """Count the critic's trained weights, without allocating memory for them."""
    with torch.device("meta"):
        critic = patch_critic(params)
    return sum(weight.numel() for weight in trainable(critic))


def critic_step(params: WganParams, guarantee: Guarantee, engine: str) -> Step:
    """Return the critic's gradient with the numbers of a guarantee."""
    real, fake = LOSSES[params.loss]
    return step_of(guarantee, engine=engine, real=real, fake=fake)


def latents_of(context: FitContext) -> torch.Generator:
    """Return the random stream from which a fit's fakes are drawn."""
    rng = torch.Generator(context.device)
    return rng.manual_seed(stream(context.seed, "latents"))
