"""A generator that starts from the data-free simulator's patches and changes how they look.

The simulator (``generators.simulator``) draws branching arteries in millimetres with masks that fit
them, without data. It cannot know how these scanners show them. So a small network refines its
images against the critic,

    image = clip((1 + g) x + o + r(x, mask, noise)),

where the gain g, the offset o and the strengths of the residual r's features depend on a latent
vector and on a few statistics of the simulated image x.

Nor can it know where these annotators end a label. Masks stay as they are, or (``moves_edges``)
their edges move by a shift s, which depends on the same,

    mask = sign(l + s),

where the level l is how far a pixel is from being marked (``simulation.labels``). The sign has the
gradient of a tanh (a straight-through estimator; Bengio et al. 2013, arXiv:1308.3432).

All of g, o, r and s are 0 at first, so that training begins from the simulator itself. What the
simulator draws costs no privacy.

Reference: refining simulated images against a critic is SimGAN (Shrivastava et al. 2017,
arXiv:1612.07828); features scaled and shifted by a network is FiLM (Perez et al. 2018,
arXiv:1709.07871).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.core.budget import Guarantee
from benchmark.core.seeds import stream
from generators.nets.drawing import CHUNK, Drawer
from generators.simulator import Simulator, SimulatorParams

POOL = 4096
"""The most simulated patches that fits draw from. Each is turned and mirrored in eight ways."""

POOL_SEED = stream(0, "pool of simulated patches")
"""The same seed for all fits, so that a site that restarts after any round has the same pool."""

REACH = 4.0
"""A shift of the levels over its knob: edges have as far to go as looks, in the same steps."""

SHARPNESS = 4.0
"""The steepness of the mask's gradient: pixels within about a quarter of a level's unit count."""

STATISTICS = 6
"""How many statistics of a simulated patch the network is given."""


class Refiner(Drawer):
    """A network that maps simulated labelled patches to refined ones.

    ``fill`` its pool before ``latents`` are drawn for training; ``inputs`` simulates its own.

    Args:
        latent: Length of the latent vector.
        size: Side of a patch.
        width: Channels of the residual.
        pixel_mm: A pixel's side.
        moves_edges: Whether it moves the edges of masks; patches then begin with levels.
    """

    def __init__(
        self, *, latent: int, size: int, width: int, pixel_mm: float, moves_edges: bool = False
    ) -> None:
        super().__init__()
        self.latent, self.size, self.pixel_mm = latent, size, pixel_mm
        self.moves_edges = moves_edges
        self.pool = torch.empty(0, 2, size, size)
        self.width = width
        self.first = nn.Conv2d(4, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.last = nn.Conv2d(width, 1, 3, padding=1)
        self.seen = nn.Linear(latent + STATISTICS, 2 * width)
        self.knobs = nn.Linear(2 * width, 2 + 4 * width + moves_edges)

    def initialise(self, rng: torch.Generator) -> None:
        """Draw the weights (He et al.

        2015, arXiv:1502.01852) so that patches are not changed yet.
        """
        for layer in (self.first, self.second, self.seen):
            nn.init.normal_(layer.weight, 0.0, (2 / layer.weight[0].numel()) ** 0.5, generator=rng)
        for name, weight in self.named_parameters():
            if name.endswith("bias") or name.startswith(("last", "knobs")):
                nn.init.zeros_(weight)

    def fill(self, draws: int) -> None:
        """Simulate the pool from which ``latents`` chooses, at most ``draws`` patches."""
        pool = _pool(min(POOL, draws), self.size, self.pixel_mm, levels=self.moves_edges)
        self.pool = pool.to(self.last.weight.device)

    def latents(self, n: int, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Draw patches from the pool, with latents and noise.

        Returns:
            Simulated patches ``(n, 2, H, W)`` with masks or levels, latents ``(n, latent)`` and
            noise ``(n, 1, H, W)``.
        """
        chosen = torch.randint(len(self.pool), (n,), generator=rng, device=rng.device)
        begun = self.pool[chosen]
        turns = torch.rand(3, n, 1, 1, 1, generator=rng, device=rng.device) < 0.5
        for turned, axes in zip(turns, ((-1,), (-2,)), strict=False):
            begun = torch.where(turned, begun.flip(axes), begun)
        return torch.where(turns[2], begun.mT, begun), *self._noise(n, rng)

    def inputs(self, n: int, seed: int, rng: torch.Generator) -> Iterator[tuple[Tensor, ...]]:
        """Yield the inputs for ``n`` samples, some at a time; patches are simulated by the seed."""
        begun = simulated(n, self.size, self.pixel_mm, seed, levels=self.moves_edges)
        begun = begun.to(rng.device)
        for some in torch.split(begun, CHUNK):
            yield some, *self._noise(len(some), rng)

    def forward(self, begun: Tensor, latent: Tensor, noise: Tensor) -> Tensor:
        """Compute labelled patches ``(n, 2, H, W)`` in [-1, 1].

        Nothing changes outside the brain.
        """
        image, level = begun[:, :1], begun[:, 1:]
        mask = torch.where(level > 0, 1.0, -1.0)
        outside = _outside(image)
        known = torch.cat([latent, _statistics(image, mask, outside)], dim=1)
        knobs = self.knobs(F.relu(self.seen(known)))[..., None, None]
        gain, offset, shift = knobs[:, :1], knobs[:, 1:2], knobs[:, 2 + 4 * self.width :]
        films = knobs[:, 2 : 2 + 4 * self.width].chunk(4, dim=1)
        features = torch.cat([image, mask, noise, outside], dim=1)
        features = F.leaky_relu(self.first(features) * (1 + films[0]) + films[1], 0.2)
        features = F.leaky_relu(self.second(features) * (1 + films[2]) + films[3], 0.2)
        drawn = (1 + gain) * image + offset + self.last(features)
        drawn = drawn + (drawn.clamp(-1, 1) - drawn).detach()  # clipped, yet with a gradient
        if self.moves_edges:
            mask = _moved(level, shift, outside)
        return torch.cat([torch.where(outside > 0, image, drawn), mask], dim=1)

    def _noise(self, n: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        return (
            torch.randn(n, self.latent, generator=rng, device=rng.device),
            torch.randn(n, 1, self.size, self.size, generator=rng, device=rng.device),
        )


def simulated(n: int, size: int, pixel_mm: float, seed: int, *, levels: bool = False) -> Tensor:
    """Draw patches ``(n, 2, H, W)`` from the data-free simulator, with levels or masks as -1/1."""
    simulator = Simulator.of_size(SimulatorParams(pixel_mm=pixel_mm), size)
    if levels:
        return torch.from_numpy(simulator.levels(n, seed=seed))
    drawn = simulator.sample(n, seed=seed)
    masks = 2 * drawn.masks.astype(np.float32) - 1
    return torch.from_numpy(np.concatenate([drawn.images, masks], axis=1))


def trust(guarantee: Guarantee, numbers: int) -> float:
    """Compute how far a critic is followed away from the simulator, by public numbers alone.

    It is one over the length of a step's noise relative to the longest signal, σ √d / B, with B the
    expected units, and at most 1. A critic of noise alone would mislead the generator. If it is not
    followed, the generator stays at the simulator, which is free.

    Args:
        guarantee: The plan of the fit.
        numbers: d: the critic's trained weights.

    Returns:
        The factor, in (0, 1].
    """
    noise = guarantee.noise_multiplier * math.sqrt(numbers)
    return min(1.0, guarantee.sampling_rate * guarantee.units / noise) if noise else 1.0


@lru_cache(maxsize=1)
def _pool(n: int, size: int, pixel_mm: float, *, levels: bool) -> Tensor:
    return simulated(n, size, pixel_mm, POOL_SEED, levels=levels)


def _moved(level: Tensor, shift: Tensor, outside: Tensor) -> Tensor:
    """The masks, as -1/1, whose edges are shifted; a pixel beyond the brain is in none."""
    moved = torch.where(outside > 0, -1.0, level + REACH * shift)
    soft = torch.tanh(SHARPNESS * moved)
    return torch.where(moved > 0, 1.0, -1.0) + (soft - soft.detach())


def _outside(image: Tensor) -> Tensor:
    """Where a patch lies beyond the brain ``(n, 1, H, W)``: whole squares of -1."""
    core = -F.max_pool2d(-(image <= -1).float(), 3, 1, 1)
    return F.max_pool2d(core, 3, 1, 1)


def _statistics(image: Tensor, mask: Tensor, outside: Tensor) -> Tensor:
    """Mean and deviation of tissue and of vessels, the shares of vessel and outside ``(n, 6)``."""
    vessel = (mask > 0).float()
    found = []
    for part in ((1 - vessel) * (1 - outside), vessel):
        count = part.sum((1, 2, 3)).clamp(min=1)
        mean = (image * part).sum((1, 2, 3)) / count
        square = (image.square() * part).sum((1, 2, 3)) / count
        found += [mean, (square - mean.square()).clamp(min=1e-6).sqrt()]
    return torch.stack([*found, vessel.mean((1, 2, 3)).sqrt(), outside.mean((1, 2, 3))], dim=1)
