"""Training of a generator network against a noised mean of its patients' features.

The loss is ‖ mean_j clip(φ(G(z_j))) - m ‖², estimated without the bias that comes from the spread
of a batch's fakes. It is post-processing of the released m, so it costs no privacy.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmark.core.budget import Unit
from benchmark.core.generator import Progress, silent
from benchmark.core.seeds import stream
from benchmark.privacy.dpsgd.training import follow
from benchmark.privacy.mechanisms.release import Vectors
from generators.nets.convolutional import PatchGenerator
from generators.nets.embedding import Embedding
from generators.nets.merf_settings import DpMerfParams

LEAST_NORM = 1e-9


@dataclass(frozen=True, kw_only=True)
class Target:
    """What the network is trained against, which is all that a fit knows about the patients.

    Attributes:
        mean: m, ``(d,)``.
        deviation: The noise's standard deviation in each of its numbers.
        clip_norm: C, infinite where nothing was clipped.
        unit: The unit whose vectors were clipped.
        size: The side of a patch.
        seed: The seed of all that is public.
    """

    mean: Vectors
    deviation: float
    clip_norm: float
    unit: Unit
    size: int
    seed: int


def train(
    net: PatchGenerator,
    embedding: Embedding,
    target: Target,
    params: DpMerfParams,
    progress: Progress = silent,
) -> PatchGenerator:
    """Train a network, and return the running average of its weights.

    Args:
        net: The network.
        embedding: The features, on the network's device.
        target: The noised mean.
        params: The settings of the training.
        progress: Called for every step.
    """
    device = next(net.parameters()).device
    wanted = embedding.believed(target.mean, target.deviation).to(device)
    rng = torch.Generator(device).manual_seed(stream(target.seed, "latents"))
    optimiser = torch.optim.Adam(net.parameters(), lr=params.rate, betas=(0.5, 0.99))
    slower = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, params.steps)
    averaged = copy.deepcopy(net)
    for step in range(1, params.steps + 1):
        chosen = torch.randperm(params.frequencies, generator=rng, device=device)
        part, where = embedding.some(chosen[: params.looked_at])
        vectors = part.vectors(net(*net.latents(params.fakes, rng)))
        room = math.sqrt(embedding.length / len(where))
        loss = distance(contributions(vectors, target.unit, target.clip_norm), wanted[where] * room)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        slower.step()
        follow(averaged, net, averaging=params.averaging, done=step)
        progress(step, params.steps, {"distance": float(loss.detach())})
    return averaged.eval()


def contributions(vectors: Tensor, unit: Unit, clip_norm: float) -> Tensor:
    """Clip fakes' vectors as the units' were; all fakes count as one patient's.

    The scaling factors are treated as constants. With their derivative, clipped vectors could never
    become shorter.

    Args:
        vectors: ``(n, d)``.
        unit: The unit whose vectors were clipped.
        clip_norm: C; infinite for no clipping.
    """
    if math.isinf(clip_norm):
        return vectors
    whole = vectors if unit == "patch" else vectors.mean(0, keepdim=True)
    norms = whole.norm(dim=1, keepdim=True).clamp(min=LEAST_NORM)
    scaled: Tensor = vectors * (clip_norm / norms).clamp(max=1).detach()
    return scaled


def distance(vectors: Tensor, mean: Tensor) -> Tensor:
    """Estimate ‖E v - m‖² from vectors ``(n, d)`` without bias; the result may be negative."""
    spread = vectors.var(0).sum() / len(vectors)
    found: Tensor = (vectors.mean(0) - mean).square().sum() - spread
    return found
