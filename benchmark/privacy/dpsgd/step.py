"""The private step: the gradient of a critic that sees patients only through clipped, noised sums.

With per-sample losses l, units u (a patch, or a patient's patches averaged), clip norm C, noise
multiplier σ and the *public* expected number of units B in a step,

    g = 1/B · ( Σ_u clip(∇ mean_{i in u} l_real(x_i), C) + B/F Σ_j clip(∇ l_fake(y_j), C) + noise ),

where all but the noise is rounded to a public grid, and the noise, of deviation σ S, is whole steps
of that grid (``grid_of``). Only the first sum touches patients, so only that is charged. The F
fakes are post-processing of earlier private steps. They are clipped to the same C as the real half,
because unclipped they would dominate it. A network that learns from patients alone has no fakes,
and only the first half. If its loss needs labels, they are channels of its samples, and the
network's scores are already losses.

Reference: Abadi et al. (2016), arXiv:1607.00133, Algorithm 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmark.core.mechanism import Grid, Noise, NoiseLaw
from benchmark.privacy.arithmetic import exact_arithmetic
from benchmark.privacy.dpsgd.batch import Batch
from benchmark.privacy.dpsgd.engines import (
    DEFAULT_ENGINE,
    ENGINES,
    Loss,
    Units,
    in_layout,
    scores_of,
    trainable,
)
from benchmark.privacy.mechanisms.discrete import Layered

ROUNDING = 2.0**-9 + 2.0**-16
"""The share of C by which floating-point rounding lets one unit move a sum further
(``gram``, ``engines``)."""

LEAST_CLIP_NORM = 2.0**-60
"""The least C. Beside it, numbers below 2^-126 are nothing, however many are added."""

SNAPPING = 2.0**-9
"""The largest share of C by which rounding to the grid lets one unit move a sum further."""

FINEST = 1 << 18
"""The least scale of the noise, in grid steps.

It is then close enough to its law for a fit of any length.
"""


def law_of(noise_multiplier: float, numbers: int) -> Layered:
    """Return the law of the noise of a private step.

    Args:
        noise_multiplier: σ.
        numbers: d.
    """
    return Layered.of_scale(max(FINEST, noise_multiplier * math.sqrt(numbers) / SNAPPING))


def grid_of(noise_multiplier: float, clip_norm: float, numbers: int) -> Grid:
    """Make the grid of a private step, and its noise.

    Args:
        noise_multiplier: σ, above 0.
        clip_norm: C.
        numbers: d: how many numbers the sum has.
    """
    return grid_for(law_of(noise_multiplier, numbers), noise_multiplier, clip_norm, numbers)


def grid_for(law: NoiseLaw, noise_multiplier: float, clip_norm: float, numbers: int) -> Grid:
    """Make the grid on which noise of a law has the multiplier σ.

    Rounding the sum to the grid moves each of its d numbers by half a step at most. So a unit moves
    the rounded sum by √d γ more than the sum. Noise of scale τ steps costs as much as σ times the
    sensitivity S, with

        S = C (1 + rounding) + √d γ,    γ = σ S / τ.

    Args:
        law: Of deviation τ, which is above σ √d.
        noise_multiplier: σ, above 0.
        clip_norm: C.
        numbers: d: how many numbers the sum has.
    """
    long = noise_multiplier * math.sqrt(numbers)
    sensitivity = clip_norm * (1 + ROUNDING) / (1 - long / law.deviation)
    spacing = noise_multiplier * sensitivity / law.deviation * (1 + 2.0**-48)  # never below
    return Grid(spacing=spacing, sensitivity=sensitivity, law=law)


@dataclass(frozen=True, kw_only=True)
class Step:
    """The gradient of one critic step: private, or plain if ``clip_norm`` is inf.

    Attributes:
        real_loss: The loss of real samples.
        fake_loss: The loss of fakes, where there are any.
        expected_units: B, from public numbers.
        clip_norm: C; ``inf`` for none.
        noise_multiplier: σ.
        engine: A name of ``engines.ENGINES``; it affects the speed alone.
        grid: The public grid and the noise on it; ``None`` for those of ``grid_of``.

    Raises:
        ValueError: At construction, for a C beside which the least numbers count.
    """

    real_loss: Loss
    fake_loss: Loss = torch.zeros_like
    expected_units: float
    clip_norm: float
    noise_multiplier: float
    engine: str = DEFAULT_ENGINE
    grid: Grid | None = None

    def __post_init__(self) -> None:
        if not self.clip_norm >= LEAST_CLIP_NORM:
            raise ValueError(
                f"Expected clip_norm of at least {LEAST_CLIP_NORM:g}, got {self.clip_norm!r}: less "
                "is so small that numbers lose more than rounding takes."
            )

    @exact_arithmetic()
    def gradient(self, critic: nn.Module, batch: Batch, noise: Noise) -> Tensor:
        """Compute the gradient of one batch, in exact arithmetic whatever is in force outside.

        Args:
            critic: The network; its scores are ``(n,)``.
            batch: The drawn units' samples, and fakes if there are any.
            noise: The source of the noise.

        Returns:
            A flat tensor in the order of ``trainable(critic)``, clipped and noised if ``clip_norm``
            is finite.
        """
        return self.in_double(critic, batch, noise).to(next(critic.parameters()))

    @exact_arithmetic()
    def in_double(self, critic: nn.Module, batch: Batch, noise: Noise) -> Tensor:
        """Compute the gradient of one batch in double precision.

        A noised one is whole steps of its grid over the expected units, and lies on the CPU.
        Arguments and result are otherwise those of ``gradient``.
        """
        if self.clip_norm == float("inf"):
            return self._plain(critic, batch).double()
        clipped = self._clipped(critic, batch)
        if self.noise_multiplier == 0:
            return clipped / self.expected_units
        grid = self.grid or grid_of(self.noise_multiplier, self.clip_norm, len(clipped))
        sums = clipped.div_(grid.spacing).round_().to(torch.int64).cpu().numpy()
        noised = torch.from_numpy(noise.noised(sums, grid))
        return noised.double().mul_(grid.spacing / self.expected_units)

    def _clipped(self, critic: nn.Module, batch: Batch) -> Tensor:
        """B times the clipped sum, in double precision."""
        batch, each = batch.arranged()
        samples = batch.samples
        if len(samples) == 0:
            return _nothing(critic).double()
        fakes = 0 if batch.fake is None else len(batch.fake)
        count = len(batch.real) // each
        units = Units(
            reals=count,
            samples=each,
            present=batch.there.view(count, each),
            fakes=fakes,
            fake_share=self.expected_units / max(1, fakes),
            clip_norm=self.clip_norm,
        )
        return ENGINES[self.engine](critic, self._loss(batch), samples, units)

    def _plain(self, critic: nn.Module, batch: Batch) -> Tensor:
        samples = batch.samples
        if len(samples) == 0:
            return _nothing(critic)
        losses = self._loss(batch)(scores_of(critic, in_layout(critic, samples)))
        return flat_gradient(critic, (losses * self._plain_shares(batch)).sum())

    def _plain_shares(self, batch: Batch) -> Tensor:
        """What each sample's loss counts: 1/B for a unit, over its samples; 1/F for a fake."""
        fakes = 0 if batch.fake is None else len(batch.fake)
        _, unit = torch.unique(batch.owner, return_inverse=True)
        present = batch.there.to(batch.real)
        counts = torch.zeros_like(present).index_add_(0, unit, present).clamp(min=1)
        real = present * (1 / self.expected_units) / counts[unit]
        return torch.cat([real, real.new_full((fakes,), 1 / max(1, fakes))])

    def _loss(self, batch: Batch) -> Loss:
        """Reals first, then fakes, each by its own loss."""
        reals = len(batch.real)
        return lambda scores: torch.cat(
            [self.real_loss(scores[:reals]), self.fake_loss(scores[reals:])]
        )


def _nothing(critic: nn.Module) -> Tensor:
    """The gradient of no samples: a Poisson batch may be empty, and steps all the same."""
    return torch.cat([torch.zeros_like(weight).flatten() for weight in trainable(critic)])


def flat_gradient(critic: nn.Module, loss: Tensor) -> Tensor:
    """Return the gradient of one loss, flat, in the order of ``trainable(critic)``."""
    grads = torch.autograd.grad(loss, trainable(critic))
    return torch.cat([g.flatten() for g in grads])
