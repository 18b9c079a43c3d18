"""A layer's part of every unit's gradient: a bound on its norm, and its weighted sum over units.

A norm that clips must bound what is summed, whatever weights a hostile server sent, so rounding is
added to every norm that is computed in single precision (Higham 2002, "Accuracy and stability of
numerical algorithms", section 3.1): a sum of m products, in any order, is off by
γ_m = m u / (1 - m u) times the sum of their magnitudes at most, with u = 2^-24; numbers too small
to hold add 2^-126 each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

TINY = 2.0**-126
"""How much a product may lose because it is too small to represent."""

AT_ONCE = 4096
"""How many squares are added in single precision before these sums are added in double."""

SHORT = 256
"""Rows of at most this many numbers are not worth a compiled loop."""


def gamma(count: int, kind: torch.dtype) -> float:
    """Return γ_m, the largest relative error of a sum of m products.

    Args:
        count: m.
        kind: The number type of the products.

    Returns:
        m u / (1 - m u), with u half the type's epsilon; infinity if m u is 1 or more.

    Examples:
        >>> gamma(1 << 14, torch.float32) > 2.0**-10
        True
    """
    error = count * torch.finfo(kind).eps / 2
    return error / (1 - error) if error < 1 else float("inf")


class Seen(NamedTuple):
    """What one layer saw for U units of k samples each.

    Attributes:
        layer: The layer.
        inputs: ``(U, k, ...)``.
        output_gradients: S, ``(U, k, ...)``, shaped like the outputs.
        fakes: How many of the last units belong to no patient. Their own sum is the same to the
            last bit whatever any patient's data are, so its rounding needs no bound. Their share
            may be above 1, so they are never summed in one block with real units.
    """

    layer: nn.Module
    inputs: Tensor
    output_gradients: Tensor
    fakes: int = 0


class Share(ABC):
    """The part of every unit's gradient that belongs to some of a layer's parameters."""

    @abstractmethod
    def squared_norms(self) -> Tensor:
        """Return upper bounds on the squared norms of what is summed, ``(U,)`` float64."""

    @abstractmethod
    def weighted_sum(self, weights: Tensor) -> Mapping[str, Tensor]:
        """Compute Σ_u ``weights[u]`` · gradient of u.

        Args:
            weights: ``(U,)`` float64; 0 for a unit whose values may not be finite.

        Returns:
            float64 sums by the parameter's name in the layer.
        """


class Rows(Share):
    """One parameter's gradient of every unit, ``(U, *parameter.shape)``.

    Args:
        name: The parameter.
        rows: The gradients.
        order: The positions of the parameter's axes in a row; ``None`` if they are unchanged.
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
        """Return upper bounds on the squared norms of the rows, ``(U,)`` float64."""
        flat = self._rows.flatten(1)
        lost, error = TINY * flat.shape[1], gamma(AT_ONCE + 8, self._rows.dtype)
        if self._squares is not None:  # by the loops: a vector's sums, then tile by tile
            return self._squares.double() * (1 + error) + lost
        if flat.shape[1] <= SHORT:
            return flat.double().square().sum(1)
        norms = [torch.linalg.vector_norm(part, dim=1) for part in torch.split(flat, AT_ONCE, 1)]
        return torch.stack(norms).double().square().sum(0) * (1 + error) + lost

    def weighted_sum(self, weights: Tensor) -> Mapping[str, Tensor]:
        """Return the weighted sum of the rows, computed in double precision."""
        found = summed(weights, self._rows.flatten(1)).view(self._rows.shape[1:])
        return {self._name: found.permute(self._order) if self._order else found}

    def total(self) -> Tensor:
        """Return the sum of all rows, float64."""
        ones = torch.ones(len(self._rows), dtype=torch.float64, device=self._rows.device)
        return self.weighted_sum(ones)[self._name]


def summed(weights: Tensor, rows: Tensor) -> Tensor:
    """Compute Σ_u ``weights[u]`` · ``rows[u]`` in double precision, in the same time for any rows.

    Args:
        weights: float64 ``(U,)``.
        rows: ``(U, d)``; those of weight 0 may hold anything.
    """
    if rows.shape[1] <= SHORT:
        return weights @ rows.nan_to_num().double()
    if rows.device.type == "cpu" and rows.dtype == torch.float32:
        from benchmark.privacy.dpsgd.compiled import summed as compiled_sum

        return torch.from_numpy(compiled_sum(weights.numpy(), rows.contiguous().numpy()))
    total = rows.new_zeros(rows.shape[1], dtype=torch.float64)
    for some, part in zip(torch.split(weights, 8), torch.split(rows, 8), strict=True):
        total += some @ part.nan_to_num().double()
    return total
