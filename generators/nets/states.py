"""What sites and server exchange as arrays: parts of a state, their mean, and their tensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from benchmark.core.federation import Arrays
from benchmark.privacy.dpsgd.training import Learner


def mean(replies: Sequence[Arrays], weights: Sequence[float]) -> Arrays:
    """Compute Σ_k weight_k · reply_k, in float64 and in the sites' order.

    The fixed order makes the result reproducible to the last bit.
    """
    return {
        name: sum(
            (w * reply[name].astype(np.float64) for w, reply in zip(weights, replies, strict=True)),
            start=np.zeros(like.shape),
        ).astype(like.dtype)
        for name, like in replies[0].items()
    }


def only(state: Arrays, *beginnings: str) -> Arrays:
    """Return the part of a state whose names begin with one of some texts."""
    return {name: array for name, array in state.items() if name.startswith(beginnings)}


def arrays(players: Learner) -> Arrays:
    """Return copies of all that training changes."""
    return {name: tensor.cpu().numpy().copy() for name, tensor in players.tensors().items()}


def tensors(state: Arrays) -> dict[str, torch.Tensor]:
    """Return a state as tensors that share no memory with it."""
    return {name: torch.from_numpy(np.array(array)) for name, array in state.items()}
