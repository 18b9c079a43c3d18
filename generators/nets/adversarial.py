"""The adversarial game of the WGANs: critic steps on patients, generator steps on the critic.

Each critic step draws its own Poisson batch and takes ``benchmark.privacy.dpsgd``'s gradient, plain
or private as the guarantee says; nothing else reads a patient.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from benchmark.core.budget import Guarantee
from benchmark.core.generator import FitContext
from benchmark.core.patches import Patches
from benchmark.core.seeds import stream
from benchmark.privacy.checkpoint import State, Tally
from benchmark.privacy.dpsgd import Batch, Step, flat_gradient, refuse_mixing
from benchmark.privacy.engines import Loss, refuse_unruled
from benchmark.privacy.randomness import restore, state_of
from benchmark.privacy.sampling import PoissonSampler
from generators.nets.convolutional import (
    PatchCritic,
    PatchGenerator,
    bound_weights,
    initialise,
    project_spectrally,
)

if TYPE_CHECKING:
    from generators.wgan import WganParams

# Per-sample losses of a critic's scores, for real samples and for fakes.
LOSSES: dict[str, tuple[Loss, Loss]] = {
    "wasserstein": (torch.neg, lambda scores: scores),
    "hinge": (lambda scores: F.relu(1 - scores), lambda scores: F.relu(1 + scores)),
}
CONSTRAINTS = {"weights": bound_weights, "spectral": project_spectrally}
OPTIMISERS = {"adam": torch.optim.Adam, "rmsprop": torch.optim.RMSprop}
SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda played: 1.0,
    "cosine": lambda played: (1 + math.cos(math.pi * played)) / 2,
}


class Game:
    """One fit: networks, optimisers, draws, and the running average of the generator's weights."""

    def __init__(
        self,
        params: WganParams,
        patches: Patches,
        guarantee: Guarantee,
        context: FitContext,
        *,
        engine: str,
    ) -> None:
        self.params, self.guarantee, self.context = params, guarantee, context
        self.rng = torch.Generator(context.device)
        self.rng.manual_seed(stream(context.seed, "latents"))
        self.generator, self.critic = networks(params, patches.size, context)
        self.averaged = copy.deepcopy(self.generator)
        self._optimisers()
        self.step = critic_step(params, guarantee, engine)
        self.patches = patches
        self.sampler = PoissonSampler(
            patches,
            unit=guarantee.unit,
            rate=guarantee.sampling_rate,
            patches_per_draw=max(1, params.batch // params.patients_per_step),
            noise=context.noise,
            seed=stream(context.seed, "patches within a patient"),
        )

    def play(self) -> tuple[PatchGenerator, Tally]:
        """Trains for the planned rounds, in strides; returns the averaged generator."""
        self.context.inspect(self)
        tally = self._resumed() or Tally(total=self.params.generator_steps)
        while tally.begun < tally.total:
            self._keep(tally)
            for begun in range(tally.begun, tally.until):
                self._round(begun + 1, begun + 1 - tally.lost)
            tally = tally.done()
        self._keep(tally)
        return self.averaged.eval(), tally

    def _round(self, begun: int, useful: int) -> None:
        """Critic steps and a generator step; ``begun`` counts lost rounds too."""
        total = self.params.generator_steps
        for _ in range(self.params.critic_steps):
            self._critic_step()
        loss = self._generator_step()
        self._average(useful)
        self._slow_down(begun / total)
        self.context.progress(begun, total, {"generator_loss": loss})

    def _keep(self, tally: Tally) -> None:
        if self.context.checkpoint is not None:
            self.context.checkpoint.save(State(tally, self._tensors(), self._facts()))

    def _resumed(self) -> Tally | None:
        """Goes back to the checkpoint, if there is one."""
        kept: State | None = self.context.checkpoint and self.context.checkpoint.state
        if kept is None:
            return None
        for name, net in self._nets().items():
            net.load_state_dict(_below(name, kept.tensors))
        for name, optimiser in self._optimisers_by_name().items():
            for i, weight in enumerate(optimiser.param_groups[0]["params"]):
                optimiser.state[weight] = _below(f"{name}.{i}", kept.tensors)
        self.rng.set_state(kept.tensors["latents"])
        restore(self.sampler.rng, kept.facts["within patients"])
        exact = kept.facts["noise"] is not None
        if exact:
            self.context.noise.restore(kept.facts["noise"])
        tally = kept.tally.resumed(exact=exact)
        if tally.begun > 0:
            self._slow_down(tally.begun / tally.total)
        return tally

    def _tensors(self) -> dict[str, Tensor]:
        """All that training changes: weights, the optimisers' moments, the latents' stream."""
        nets = self._nets().items()
        found = {f"{name}.{k}": t for name, net in nets for k, t in net.state_dict().items()}
        for name, optimiser in self._optimisers_by_name().items():
            for i, weight in enumerate(optimiser.param_groups[0]["params"]):
                moments = optimiser.state[weight].items()
                found |= {f"{name}.{i}.{key}": tensor for key, tensor in moments}
        return {**found, "latents": self.rng.get_state()}

    def _nets(self) -> dict[str, torch.nn.Module]:
        return {"generator": self.generator, "averaged": self.averaged, "critic": self.critic}

    def _optimisers_by_name(self) -> dict[str, torch.optim.Optimizer]:
        return {"of critic": self.critic_optimiser, "of generator": self.generator_optimiser}

    def _facts(self) -> dict[str, Any]:
        return {
            "noise": self.context.noise.state(),
            "within patients": state_of(self.sampler.rng),
        }

    def _optimisers(self) -> None:
        make, p = OPTIMISERS[self.params.optimiser], self.params
        betas = {"betas": (0.5, 0.99)} if p.optimiser == "adam" else {}
        self.critic_optimiser = make(self.critic.parameters(), lr=p.critic_rate, **betas)
        self.generator_optimiser = make(self.generator.parameters(), lr=p.generator_rate, **betas)

    def _critic_step(self) -> None:
        indices, owners = self.sampler.draw()
        with torch.no_grad():
            fake = self.generator(*self.generator.latents(self.params.fakes, self.rng))
        real = _as_tensor(self.patches, indices).to(fake.device)
        batch = Batch(real, torch.from_numpy(owners).to(fake.device), fake)
        gradient = self.step.gradient(self.critic, batch, self.context.noise)
        _assign(self.critic, gradient)
        self.critic_optimiser.step()
        CONSTRAINTS[self.params.constraint](self.critic, self.params.bound)

    def _generator_step(self) -> float:
        fake = self.generator(*self.generator.latents(self.params.fakes, self.rng))
        loss = -self.critic(fake).mean()
        _assign(self.generator, flat_gradient(self.generator, loss))
        self.generator_optimiser.step()
        return float(loss.detach())

    def _slow_down(self, played: float) -> None:
        factor = SCHEDULES[self.params.schedule](played)
        _set_rate(self.critic_optimiser, factor * self.params.critic_rate)
        _set_rate(self.generator_optimiser, factor * self.params.generator_rate)

    @torch.no_grad()
    def _average(self, done: int) -> None:
        decay = min(self.params.averaging, done / (done + 10))
        for mean, now in zip(self.averaged.parameters(), self.generator.parameters(), strict=True):
            mean.lerp_(now, 1 - decay)


def networks(
    params: WganParams, size: int, context: FitContext
) -> tuple[PatchGenerator, PatchCritic]:
    """Freshly initialised generator and critic."""
    rng = torch.Generator().manual_seed(stream(context.seed, "initial weights"))
    generator = patch_generator(params, size)
    critic = PatchCritic(levels=params.levels, width=params.critic_width, norm=params.critic_norm)
    for net in (generator, critic):
        initialise(net, rng)
        net.to(context.device)
    refuse_mixing(critic, torch.randn(2, 2, size, size, generator=rng).to(context.device))
    refuse_unruled(critic)
    return generator, critic


def patch_generator(params: WganParams, size: int) -> PatchGenerator:
    """The generator's network, not yet initialised."""
    return PatchGenerator(
        latent=params.latent,
        size=size,
        levels=params.levels,
        width=params.generator_width,
        upsampling=params.upsampling,
        head=params.head,
    )


def critic_step(params: WganParams, guarantee: Guarantee, engine: str) -> Step:
    """The critic's gradient rule that a guarantee asks for."""
    real, fake = LOSSES[params.loss]
    units = guarantee.patients
    if guarantee.unit == "patch":
        units *= guarantee.patches_per_patient
    return Step(
        real_loss=real,
        fake_loss=fake,
        expected_units=guarantee.sampling_rate * units,
        clip_norm=guarantee.clip_norm,
        noise_multiplier=guarantee.noise_multiplier,
        engine=engine,
    )


def _below(name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with ``name`` and a dot, without that."""
    start = f"{name}."
    return {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}


def _set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate


def _as_tensor(patches: Patches, indices: NDArray[np.int64]) -> Tensor:
    """Some labelled patches ``(n, 2, H, W)``; the others stay where they are."""
    images, masks = (torch.from_numpy(a[indices]) for a in (patches.images, patches.masks))
    return torch.cat([images, masks.float() * 2 - 1], dim=1)


def _assign(net: torch.nn.Module, gradient: Tensor) -> None:
    start = 0
    for weight in net.parameters():
        weight.grad = gradient[start : start + weight.numel()].view_as(weight)
        start += weight.numel()
