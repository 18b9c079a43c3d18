"""The two networks of a WGAN, how each takes a step, and all that training changes.

A critic step draws fakes, takes ``benchmark.privacy.dpsgd``'s gradient, plain or private, and is
the only one that sees patients; a generator step sees the critic alone.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from benchmark.core.budget import Guarantee
from benchmark.core.generator import FitContext
from benchmark.core.mechanism import Noise
from benchmark.core.patches import Patches
from benchmark.core.seeds import stream
from benchmark.privacy.dpsgd import Batch, Step, flat_gradient, refuse_mixing
from benchmark.privacy.engines import Loss, refuse_unruled, trained
from benchmark.privacy.sampling import BLANK, PoissonSampler
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
STEP = "step"  # an optimiser counts its steps on the CPU, wherever its weights are
SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda played: 1.0,
    "cosine": lambda played: (1 + math.cos(math.pi * played)) / 2,
}


class How(NamedTuple):
    """How a critic's gradient is taken, and where its noise comes from."""

    step: Step
    noise: Noise


class Players:
    """Both networks with their optimisers, and the running average of the generator's weights.

    Args:
        params: The WGAN's settings.
        size: The side of a patch.
        context: Its seed initialises the weights.
        guarantee: What a refiner trusts the critic by; ``None`` where that is not known.
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
                self.trust = trust(guarantee, sum(w.numel() for w in trained(self.critic)))
        make = OPTIMISERS[params.optimiser]
        betas = {"betas": (0.5, 0.99)} if params.optimiser == "adam" else {}
        self.critic_optimiser = make(trained(self.critic), lr=params.critic_rate, **betas)
        self.generator_optimiser = make(
            self.generator.parameters(), lr=self.trust * params.generator_rate, **betas
        )

    def critic_step(self, drawn: Batch, rng: torch.Generator, how: How) -> None:
        """One step of the critic on drawn samples ``(n, 2, H, W)`` and as many fakes as is set."""
        with torch.no_grad():
            fake = self.generator(*self.generator.latents(self.params.fakes, rng))
        batch = drawn.beside(fake)
        _assign(self.critic, how.step.gradient(self.critic, batch, how.noise))
        self.critic_optimiser.step()
        CONSTRAINTS[self.params.constraint](self.critic, self.params.bound)

    def generator_step(self, rng: torch.Generator) -> float:
        """One step of the generator against the critic; returns its loss."""
        fake = self.generator(*self.generator.latents(self.params.fakes, rng))
        loss = -self.critic(fake).mean()
        _assign(self.generator, flat_gradient(self.generator, loss))
        self.generator_optimiser.step()
        return float(loss.detach())

    def slow_down(self, played: float) -> None:
        """Sets both learning rates for what comes after a share of the fit."""
        factor = SCHEDULES[self.params.schedule](played)
        _set_rate(self.critic_optimiser, factor * self.params.critic_rate)
        _set_rate(self.generator_optimiser, factor * self.trust * self.params.generator_rate)

    @torch.no_grad()
    def average(self, done: int) -> None:
        """Lets the running average follow the generator after its step number ``done``."""
        decay = min(self.params.averaging, done / (done + 10))
        for mean, now in zip(self.averaged.parameters(), self.generator.parameters(), strict=True):
            mean.lerp_(now, 1 - decay)

    def begin_moments(self) -> None:
        """Gives both optimisers the zero moments that their first steps would begin with."""
        for optimiser in self._optimisers_by_name().values():
            for weight in optimiser.param_groups[0]["params"]:
                zeros = {name: torch.zeros_like(weight) for name in MOMENTS[self.params.optimiser]}
                optimiser.state[weight] = {STEP: torch.zeros(()), **zeros}

    def tensors(self) -> dict[str, Tensor]:
        """All that training changes: weights and the optimisers' moments."""
        nets = self._nets().items()
        found = {f"{name}.{k}": t for name, net in nets for k, t in net.state_dict().items()}
        for name, optimiser in self._optimisers_by_name().items():
            for i, weight in enumerate(optimiser.param_groups[0]["params"]):
                moments = optimiser.state[weight].items()
                found |= {f"{name}.{i}.{key}": tensor for key, tensor in moments}
        return found

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Goes back to what ``tensors`` gave.

        A network that is not among them stays as it is, an optimiser's moments are forgotten.
        """
        for name, net in self._nets().items():
            if below := _below(name, tensors):
                net.load_state_dict(below)
        for name, optimiser in self._optimisers_by_name().items():
            optimiser.state.clear()
            for i, weight in enumerate(optimiser.param_groups[0]["params"]):
                if below := _below(f"{name}.{i}", tensors):
                    optimiser.state[weight] = {
                        key: moment if key == STEP else moment.to(weight.device)
                        for key, moment in below.items()
                    }

    def _nets(self) -> dict[str, torch.nn.Module]:
        return {"generator": self.generator, "averaged": self.averaged, "critic": self.critic}

    def _optimisers_by_name(self) -> dict[str, torch.optim.Optimizer]:
        return {"of critic": self.critic_optimiser, "of generator": self.generator_optimiser}


def _fakes_of(params: WganParams) -> int:
    """How many a fit draws."""
    return params.fakes * (params.critic_steps + 1) * params.generator_steps


def networks(params: WganParams, size: int, context: FitContext) -> tuple[Drawer, PatchCritic]:
    """Freshly initialised generator and critic."""
    rng = torch.Generator().manual_seed(stream(context.seed, "initial weights"))
    generator = patch_generator(params, size)
    critic = patch_critic(params)
    for net in (generator, critic):
        if isinstance(net, Refiner):
            net.initialise(rng)
        else:
            initialise(net, rng)
        net.to(context.device)
    refuse_mixing(critic, torch.randn(3, 2, size, size, generator=rng).to(context.device))
    refuse_unruled(critic)
    return generator, critic


def patch_generator(params: WganParams, size: int) -> Drawer:
    """The generator's network, not yet initialised."""
    if params.begin == "simulator":
        return Refiner(
            latent=params.latent,
            size=size,
            width=params.generator_width,
            pixel_mm=params.pixel_mm,
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
    """The critic's network, not yet initialised, its first layers frozen if so set."""
    critic = PatchCritic(
        levels=params.levels,
        width=params.critic_width,
        norm=params.critic_norm,
        padding=params.critic_padding,
    )
    critic.freeze_but(params.trained_layers)
    return critic


def critic_step(params: WganParams, guarantee: Guarantee, engine: str) -> Step:
    """The critic's gradient rule that a guarantee asks for."""
    real, fake = LOSSES[params.loss]
    return Step(
        real_loss=real,
        fake_loss=fake,
        expected_units=guarantee.sampling_rate * guarantee.units,
        clip_norm=guarantee.clip_norm,
        noise_multiplier=guarantee.noise_multiplier,
        engine=engine,
    )


def sampler_of(
    params: WganParams,
    patches: Patches,
    guarantee: Guarantee,
    context: FitContext,
    *,
    padded: bool = False,
) -> PoissonSampler:
    """The Poisson draws that a guarantee rests on; padded where others see how long they take."""
    return PoissonSampler(
        patches,
        unit=guarantee.unit,
        rate=guarantee.sampling_rate,
        patches_per_draw=max(1, params.batch // params.patients_per_step),
        noise=context.noise,
        seed=stream(context.seed, "patches within a patient"),
        padded=padded,
    )


def drawn_by(sampler: PoissonSampler, patches: Patches) -> Batch:
    """A fresh batch of labelled patches, without fakes."""
    indices, owners = sampler.draw()
    present = torch.from_numpy(indices != BLANK)
    return Batch(labelled(patches, indices), torch.from_numpy(owners), present=present)


def latents_of(context: FitContext) -> torch.Generator:
    """The stream that a fit's fakes are drawn from."""
    rng = torch.Generator(context.device)
    return rng.manual_seed(stream(context.seed, "latents"))


def labelled(patches: Patches, indices: NDArray[np.int64]) -> Tensor:
    """Some labelled patches ``(n, 2, H, W)``, zeros for blank ones; the others stay where they are.

    A blank one takes as long as another: some patch is read for it.

    Args:
        patches: To choose from.
        indices: Which; ``BLANK`` for none.
    """
    size = patches.images.shape[2:]
    if len(patches.images) == 0:
        return torch.zeros(len(indices), 2, *size)
    read = np.where(indices == BLANK, np.arange(len(indices)) % len(patches.images), indices)
    images, masks = (torch.from_numpy(a[read]) for a in (patches.images, patches.masks))
    found = torch.cat([images, masks.float() * 2 - 1], dim=1)
    return found.masked_fill_(torch.from_numpy(indices == BLANK).view(-1, 1, 1, 1), 0.0)


def _below(name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with ``name`` and a dot, without that."""
    start = f"{name}."
    return {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}


def _set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate


def _assign(net: torch.nn.Module, gradient: Tensor) -> None:
    start = 0
    for weight in trained(net):
        weight.grad = gradient[start : start + weight.numel()].view_as(weight)
        start += weight.numel()
