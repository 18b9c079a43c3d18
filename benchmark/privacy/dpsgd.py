"""The private step: the gradient of a critic that sees patients only through clipped, noised sums.

With per-sample losses l, units u (a patch, or a patient's patches averaged), clip norm C, noise
multiplier σ and the *public* expected number of units B in a step,

    g = 1/B · ( Σ_u clip(∇ mean_{i in u} l_real(x_i), C) + σ C N(0, I) )
      + 1/F · Σ_j clip(∇ l_fake(y_j), C)

Only the first half touches patients, so only it is noised and charged. The F fakes are
post-processing of earlier private steps; they are clipped to the same C because the real half is:
unclipped, they swamp it. A network that learns from patients alone has no fakes, and the first half
is all; where its loss needs labels, they are channels of its samples and the network's scores are
losses already.

Reference: Abadi et al. (2016), arXiv:1607.00133, Algorithm 1.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from benchmark.core.errors import UsageError
from benchmark.core.generator import Noise
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


class Batch(NamedTuple):
    """What one critic step sees.

    Attributes:
        real: ``(n, channels, H, W)``; may be empty.
        owner: int64 ``(n,)``, the unit that each real sample belongs to.
        fake: ``(f, channels, H, W)``, ``f`` public and at least 1; ``None`` where there are none.
    """

    real: Tensor
    owner: Tensor
    fake: Tensor | None = None

    @property
    def samples(self) -> Tensor:
        """Reals first, then fakes."""
        return self.real if self.fake is None else torch.cat([self.real, self.fake])


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
        scale = self.noise_multiplier * self.clip_norm / self.expected_units
        return clipped.add_(torch.from_numpy(noise.normal(len(clipped))).to(clipped), alpha=scale)

    def _clipped(self, critic: nn.Module, batch: Batch) -> Tensor:
        samples = batch.samples
        if len(samples) == 0:
            return _nothing(critic)
        return ENGINES[self.engine](critic, self._loss(batch), samples, self._units(batch))

    def _plain(self, critic: nn.Module, batch: Batch) -> Tensor:
        samples = batch.samples
        if len(samples) == 0:
            return _nothing(critic)
        units = self._units(batch)
        counts = torch.bincount(units.of_sample)
        losses = self._loss(batch)(scores_of(critic, in_layout(critic, samples)))
        loss = (losses * (units.share / counts)[units.of_sample]).sum()
        return flat_gradient(critic, loss)

    def _loss(self, batch: Batch) -> Loss:
        """Reals first, then fakes, each by its own loss."""
        reals = len(batch.real)
        return lambda scores: torch.cat(
            [self.real_loss(scores[:reals]), self.fake_loss(scores[reals:])]
        )

    def _units(self, batch: Batch) -> Units:
        """Real samples by their owner, 1/B each; every fake is its own, 1/F each."""
        owners, real = torch.unique(batch.owner, return_inverse=True)
        fakes = 0 if batch.fake is None else len(batch.fake)
        fake = torch.arange(len(owners), len(owners) + fakes, device=real.device)
        share = torch.full((len(owners) + fakes,), 1 / max(1, fakes), device=real.device)
        share[: len(owners)] = 1 / self.expected_units
        return Units(torch.cat([real, fake]), share, self.clip_norm)


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
def stirred(critic: nn.Module) -> nn.Module:
    """A copy with weights drawn anew: a layer that starts at zero hides all that lie below it."""
    made, rng = copy.deepcopy(critic), torch.Generator().manual_seed(0)
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
