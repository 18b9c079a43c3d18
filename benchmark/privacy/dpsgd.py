"""The private step: the gradient of a critic that sees patients only through clipped, noised sums.

With per-sample losses l, units u (a patch, or a patient's patches averaged), clip norm C, noise
multiplier σ and the *public* expected number of units B in a step,

    g = 1/B · ( Σ_u clip(∇ mean_{i in u} l_real(x_i), C) + B/F Σ_j clip(∇ l_fake(y_j), C) + noise ),

where all but the noise is rounded to a public grid, and the noise, of deviation σ S, is whole steps
of that grid (``grid_of``). Only the first sum touches patients, so only that is charged. The F
fakes are post-processing of earlier private steps; they are clipped to the same C because the real
half is: unclipped, they swamp it. A network that learns from patients alone has no fakes, and the
first half is all; where its loss needs labels, they are channels of its samples and the network's
scores are losses already.

Reference: Abadi et al. (2016), arXiv:1607.00133, Algorithm 1.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from benchmark.core.errors import UsageError
from benchmark.core.mechanism import Grid, Noise
from benchmark.privacy.discrete import Layered
from benchmark.privacy.engines import (
    DEFAULT_ENGINE,
    ENGINES,
    Loss,
    Units,
    in_layout,
    scores_of,
    trained,
)

BATCH_NORMS = nn.modules.batchnorm._BatchNorm
SAME = 1e-9
"""How far two computations of one score may lie apart, in double precision."""

STIRRED = 0.2
"""The standard deviation of weights that are drawn anew."""


ROUNDING = 2.0**-9 + 2.0**-16
"""Of C: how much further than C one unit moves a sum in floating point (``convolution``)."""

SNAPPING = 2.0**-9
"""Of C: how much further, at most, that rounding to the grid lets it move."""

FINEST = 1 << 18
"""The noise's scale at least, in steps of the grid: so close to its law for fits of any length."""


def grid_of(noise_multiplier: float, clip_norm: float, numbers: int) -> Grid:
    """The grid of a private step, and its noise.

    Rounding the sum to the grid moves each of its d numbers by half a step at most, so a unit moves
    the rounded sum by √d γ more than the sum. With the noise of scale τ steps that costs as much as
    σ times the sensitivity S,

        S = C (1 + rounding) + √d γ,    γ = σ S / τ.

    Args:
        noise_multiplier: σ, above 0.
        clip_norm: C.
        numbers: d: how many numbers the sum has.
    """
    long = noise_multiplier * math.sqrt(numbers)
    law = Layered.of_scale(max(FINEST, long / SNAPPING))
    sensitivity = clip_norm * (1 + ROUNDING) / (1 - long / law.deviation)
    spacing = noise_multiplier * sensitivity / law.deviation * (1 + 2.0**-48)  # never below
    return Grid(spacing=spacing, sensitivity=sensitivity, law=law)


class Batch(NamedTuple):
    """What one critic step sees.

    Attributes:
        real: ``(n, channels, H, W)``; may be empty.
        owner: int64 ``(n,)``, the unit that each real sample belongs to.
        fake: ``(f, channels, H, W)``, ``f`` public and at least 1; ``None`` where there are none.
        present: bool ``(n,)``, the real samples that are not blank; ``None`` for all. A blank one
            holds the place of a drawn unit, or a part of one, that has no patch.
    """

    real: Tensor
    owner: Tensor
    fake: Tensor | None = None
    present: Tensor | None = None

    @property
    def samples(self) -> Tensor:
        """Reals first, zeros for blank ones, then fakes."""
        real = self.real.masked_fill(~self.there.view(-1, 1, 1, 1), 0.0)
        return real if self.fake is None else torch.cat([real, self.fake])

    @property
    def there(self) -> Tensor:
        """``present``, whole."""
        return (
            torch.ones_like(self.owner, dtype=torch.bool) if self.present is None else self.present
        )

    def on(self, device: str | torch.device) -> Batch:
        """The same on a device."""
        fake, present = (t if t is None else t.to(device) for t in (self.fake, self.present))
        return Batch(self.real.to(device), self.owner.to(device), fake, present)

    def beside(self, fake: Tensor) -> Batch:
        """The same with fakes, on their device."""
        return self.on(fake.device)._replace(fake=fake)

    def arranged(self) -> tuple[Batch, int]:
        """The same with equally many samples for each unit, one after the other, and how many."""
        if torch.equal(self.owner, torch.arange(len(self.owner), device=self.owner.device)):
            return self, 1  # each sample is a unit of its own, which needs no sorting
        counts = torch.unique(self.owner, return_counts=True)[1]
        most = int(counts.max()) if len(counts) else 1
        units = self.owner[::most]
        whole = len(self.owner) % most == 0
        if whole and torch.equal(self.owner, units.repeat_interleave(most)):
            return self, most
        order = torch.argsort(self.owner, stable=True)
        rank = torch.arange(len(order), device=order.device)
        starts = torch.repeat_interleave(counts.cumsum(0) - counts, counts)
        place = torch.repeat_interleave(torch.arange(len(counts), device=order.device), counts)
        place = place * most + rank - starts
        real = self.real.new_zeros(len(counts) * most, *self.real.shape[1:])
        present = torch.zeros(len(real), dtype=torch.bool, device=order.device)
        real[place] = self.real[order]
        present[place] = self.there[order]
        owner = torch.unique(self.owner).repeat_interleave(most)
        return Batch(real, owner, self.fake, present), most


@dataclass(frozen=True, kw_only=True)
class Step:
    """One critic step's gradient, plain (``clip_norm`` is inf) or private.

    Attributes:
        real_loss: The loss of real samples.
        fake_loss: The loss of fakes, where there are any.
        expected_units: B, from public numbers.
        clip_norm: C; ``inf`` for none.
        noise_multiplier: σ.
        engine: A name of ``engines.ENGINES``; decides the speed alone.
    """

    real_loss: Loss
    fake_loss: Loss = torch.zeros_like
    expected_units: float
    clip_norm: float
    noise_multiplier: float
    engine: str = DEFAULT_ENGINE

    def gradient(self, critic: nn.Module, batch: Batch, noise: Noise) -> Tensor:
        """The gradient, flat, in the order of ``trained(critic)``."""
        if self.clip_norm == float("inf"):
            return self._plain(critic, batch)
        clipped = self._clipped(critic, batch)
        like = next(critic.parameters())
        if self.noise_multiplier == 0:
            return (clipped / self.expected_units).to(like)
        grid = grid_of(self.noise_multiplier, self.clip_norm, len(clipped))
        sums = clipped.div_(grid.spacing).round_().to(torch.int64).cpu().numpy()
        noised = torch.from_numpy(noise.noised(sums, grid))
        return noised.double().mul_(grid.spacing / self.expected_units).to(like)

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


def refuse_mixing(critic: nn.Module, example: Tensor) -> None:
    """Refuses a critic in which one patient's values reach another's gradient, at any weights.

    Args:
        critic: The critic.
        example: Some samples that belong to nobody, at least three.

    Raises:
        UsageError: Naming the layer, or the samples that were seen to mix.
    """
    for module in critic.modules():
        if isinstance(module, BATCH_NORMS) or getattr(module, "track_running_stats", False):
            raise UsageError(
                f"{type(module).__name__} mixes patients in a batch, so a critic with it cannot be "
                "trained privately; use GroupNorm."
            )
    if _mixes(stirred(critic).double(), example.detach().double()):
        raise UsageError(
            f"{type(critic).__name__} lets samples of a batch reach each other's score, so it "
            "cannot be trained privately; every score must come from its own sample."
        )


@torch.no_grad()
def stirred(critic: nn.Module, seed: int = 0) -> nn.Module:
    """A copy with weights drawn anew: a layer that starts at zero hides all that lie below it."""
    made, rng = copy.deepcopy(critic), torch.Generator().manual_seed(seed)
    for weight in made.parameters():
        weight.copy_(STIRRED * torch.randn(weight.shape, generator=rng))
    return made


def _mixes(critic: nn.Module, samples: Tensor) -> bool:
    """Whether a score differs from that of its sample alone, or moves with another sample."""
    samples = samples.requires_grad_()
    together = scores_of(critic, samples)
    alone = torch.cat([scores_of(critic, sample[None]) for sample in samples])
    if not torch.allclose(together, alone, rtol=SAME, atol=SAME):
        return True
    reach = [torch.autograd.grad(s, samples, retain_graph=True)[0] for s in together]
    return any(bool(row.any()) for i, g in enumerate(reach) for j, row in enumerate(g) if j != i)


def _nothing(critic: nn.Module) -> Tensor:
    """The gradient of no samples: a Poisson batch may be empty, and steps all the same."""
    return torch.cat([torch.zeros_like(weight).flatten() for weight in trained(critic)])


def flat_gradient(critic: nn.Module, loss: Tensor) -> Tensor:
    """The gradient of one loss, flat, in the order of ``trained(critic)``."""
    grads = torch.autograd.grad(loss, trained(critic))
    return torch.cat([g.flatten() for g in grads])
