"""Detection of critics whose scores mix patients. Such a critic cannot be trained privately."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from benchmark.core.errors import UsageError
from benchmark.privacy.dpsgd.engines import scores_of

BATCH_NORMS = nn.modules.batchnorm._BatchNorm
SAME = 1e-9
"""How far two computations of one score may differ, in double precision."""

STIRRED = 0.2
"""The standard deviation of newly drawn weights."""


def refuse_mixing(critic: nn.Module, example: Tensor) -> None:
    """Refuse a critic in which one patient's values can reach another's gradient.

    Args:
        critic: The critic.
        example: At least three samples that belong to no patient.

    Raises:
        UsageError: Naming the layer, or saying that scores were seen to mix samples.
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
    """Return a copy of a network with newly drawn weights.

    A layer that starts at zero would hide all layers below it.
    """
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
