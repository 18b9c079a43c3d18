"""A layer's share of every unit's gradient: its norm, and its weighted sum over units."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Seen(NamedTuple):
    """What one layer did for U units of k samples each.

    Attributes:
        layer: The layer.
        inputs: ``(U, k, ...)``.
        slopes: S, ``(U, k, ...)``, like the outputs.
    """

    layer: nn.Module
    inputs: Tensor
    slopes: Tensor


class Share(ABC):
    """The part of every unit's gradient that belongs to some of a layer's parameters."""

    @abstractmethod
    def squared_norms(self) -> Tensor:
        """``(U,)``."""

    @abstractmethod
    def weighted_sum(self, weights: Tensor) -> Mapping[str, Tensor]:
        """Σ_u ``weights[u]`` · gradient of u, by the parameter's name in the layer."""


class Rows(Share):
    """One parameter's gradient of every unit, ``(U, *parameter.shape)``.

    Args:
        name: The parameter.
        rows: The gradients.
        order: Where the parameter's axes stand in a row's; as they are if ``None``.
        squares: The squared norms ``(U,)``, where they are known.
    """

    def __init__(
        self,
        name: str,
        rows: Tensor,
        *,
        order: tuple[int, ...] | None = None,
        squares: Tensor | None = None,
    ) -> None:
        self._name, self._rows, self._order, self._squares = name, rows, order, squares

    def squared_norms(self) -> Tensor:
        """Row by row."""
        if self._squares is not None:
            return self._squares
        norms: Tensor = torch.linalg.vector_norm(self._rows.flatten(1), dim=1)
        return norms.square()

    def weighted_sum(self, weights: Tensor) -> Mapping[str, Tensor]:
        """One product."""
        found = (weights @ self._rows.flatten(1)).view(self._rows.shape[1:])
        return {self._name: found.permute(self._order) if self._order else found}
