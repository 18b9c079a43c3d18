"""The private step: the gradient of a critic that sees patients only through clipped, noised sums.

With per-sample losses l, units u (a patch, or a patient's patches averaged), clip norm C, noise
multiplier σ and the *public* expected number of units B in a step,

    g = 1/B · ( Σ_u clip(∇ mean_{i in u} l_real(x_i), C) + σ C N(0, I) )
      + 1/F · Σ_j clip(∇ l_fake(y_j), C)

Only the first half touches patients, so only it is noised and charged. The F fakes are
post-processing of earlier private steps; they are clipped to the same C because the real half is:
unclipped, they swamp it.

Reference: Abadi et al. (2016), arXiv:1607.00133, Algorithm 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from benchmark.core.errors import UsageError
from benchmark.core.generator import Noise

Loss = Callable[[Tensor], Tensor]
"""Scores ``(n,)`` to losses ``(n,)``, sample by sample."""

CHUNK = 64
BATCH_NORMS = nn.modules.batchnorm._BatchNorm


class Batch(NamedTuple):
    """What one critic step sees.

    Attributes:
        real: ``(n, channels, H, W)``; may be empty.
        owner: int64 ``(n,)``, the unit that each real sample belongs to.
        fake: ``(f, channels, H, W)``, ``f`` public and at least 1.
    """

    real: Tensor
    owner: Tensor
    fake: Tensor


@dataclass(frozen=True, kw_only=True)
class Step:
    """One critic step's gradient, plain (``clip_norm`` is inf) or private.

    Attributes:
        real_loss: The loss of real samples.
        fake_loss: The loss of fakes.
        expected_units: B, from public numbers.
        clip_norm: C; ``inf`` for none.
        noise_multiplier: σ.
    """

    real_loss: Loss
    fake_loss: Loss
    expected_units: float
    clip_norm: float
    noise_multiplier: float

    def gradient(self, critic: nn.Module, batch: Batch, noise: Noise) -> Tensor:
        """The gradient, flat, in the order of ``critic.parameters()``."""
        if self.clip_norm == float("inf"):
            return self._plain(critic, batch)
        real = self._real_sum(critic, batch)
        drawn = torch.from_numpy(noise.normal(real.numel())).to(real)
        fake = clipped_sum(critic, self.fake_loss, batch.fake, self.clip_norm)
        noised = real + self.noise_multiplier * self.clip_norm * drawn
        return noised / self.expected_units + fake / len(batch.fake)

    def _plain(self, critic: nn.Module, batch: Batch) -> Tensor:
        _, unit, counts = torch.unique(batch.owner, return_inverse=True, return_counts=True)
        scores = critic(torch.cat([batch.real, batch.fake]))
        real, fake = scores[: len(batch.real)], scores[len(batch.real) :]
        loss = (self.real_loss(real) / counts[unit]).sum() / self.expected_units
        return flat_gradient(critic, loss + self.fake_loss(fake).mean())

    def _real_sum(self, critic: nn.Module, batch: Batch) -> Tensor:
        owners, counts = torch.unique(batch.owner, return_counts=True)
        if (counts == 1).all():
            return clipped_sum(critic, self.real_loss, batch.real, self.clip_norm)
        total = _zeros(critic)
        for owner in owners:
            mean = self.real_loss(critic(batch.real[batch.owner == owner])).mean()
            total += clip(flat_gradient(critic, mean)[None], self.clip_norm)[0]
        return total


def refuse_mixing(critic: nn.Module) -> None:
    """Refuses a critic in which one patient's values reach another's gradient.

    Raises:
        UsageError: Naming the layer.
    """
    for module in critic.modules():
        if isinstance(module, BATCH_NORMS) or getattr(module, "track_running_stats", False):
            raise UsageError(
                f"{type(module).__name__} mixes patients in a batch, so a critic with it cannot be "
                "trained privately; use GroupNorm."
            )


def clipped_sum(critic: nn.Module, loss: Loss, samples: Tensor, clip_norm: float) -> Tensor:
    """Σ_i clip(∇ loss(critic(x_i)), C): flat, zero for no samples."""
    total = _zeros(critic)
    for chunk in torch.split(samples, CHUNK) if len(samples) else ():
        total += clip(per_sample_gradients(critic, loss, chunk), clip_norm).sum(0)
    return total


def per_sample_gradients(critic: nn.Module, loss: Loss, samples: Tensor) -> Tensor:
    """The gradient of each sample's loss, ``(n, parameters)``."""
    weights = {name: p.detach() for name, p in critic.named_parameters()}

    def one(weights: dict[str, Tensor], sample: Tensor) -> Tensor:
        scores = torch.func.functional_call(critic, weights, (sample[None],))
        return loss(scores)[0]

    grads = torch.func.vmap(torch.func.grad(one), in_dims=(None, 0))(weights, samples)
    return torch.cat([g.flatten(1) for g in grads.values()], dim=1)


def clip(gradients: Tensor, clip_norm: float) -> Tensor:
    """Rows ``(n, p)`` scaled to norm C at most; a row that is not finite becomes zero."""
    norms = gradients.norm(dim=1, keepdim=True)
    finite = torch.isfinite(norms)
    scale = torch.where(finite, clip_norm / norms.clamp(min=clip_norm), gradients.new_zeros(()))
    return torch.where(finite, gradients, gradients.new_zeros(())) * scale


def flat_gradient(critic: nn.Module, loss: Tensor) -> Tensor:
    """The gradient of one loss, flat, in the order of ``critic.parameters()``."""
    grads = torch.autograd.grad(loss, list(critic.parameters()))
    return torch.cat([g.flatten() for g in grads])


def _zeros(critic: nn.Module) -> Tensor:
    """A flat gradient of zeros."""
    weights = list(critic.parameters())
    return weights[0].new_zeros(sum(p.numel() for p in weights))
