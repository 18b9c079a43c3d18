"""A convolution's share by Gram matrices: norms and weighted sums without any unit's gradient."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.privacy.dpsgd.shares import TINY, Share, gamma
from benchmark.privacy.dpsgd.windows import Windows, channels_last, rows_of, weight_gradient

BLOCK_POSITIONS = 1 << 10
MOST_CANCELLED = 16


class Gram(Share):
    """The share of a convolution's weight, computed without any unit's gradient.

    a_t and s_t are the norms of A_t and S_t. The rounding of the Gram matrices moves the squared
    norm by at most γ_m (Σ_t a_t s_t)², for m products and sums in a row, so that much is added. The
    weighted sum is computed block by block, a few units in single precision, and all blocks are
    added in double. The rounding of one unit there is at most a share of Σ_t a_t s_t. So a norm
    below a sixteenth of that sum is counted as a sixteenth: outputs that cancel gain nothing
    (``ROUNDING``).

    Args:
        windows: What the convolution saw.
        fakes: See ``Seen``.
    """

    def __init__(self, windows: Windows, fakes: int = 0) -> None:
        self._windows, self._reals = windows, len(windows.inputs) - fakes

    def squared_norms(self) -> Tensor:
        """Return Σ_{t,t'} ⟨A_t, A_t'⟩ ⟨S_t, S_t'⟩ plus a bound on its rounding error."""
        windows, out = self._windows, self._windows.output_gradients.shape[2]
        length, positions = windows.layer.weight.numel() // out, self._positions
        products, inputs, output_gradients = _lengths(windows)
        lost = TINY * (length * output_gradients.square() + out * inputs.square() + positions**2)
        error = gamma(length + out + positions**2, windows.output_gradients.dtype)
        found = self._gram().double() + error * products.square() + lost
        return torch.maximum(found, (products / MOST_CANCELLED).square())

    @property
    def _positions(self) -> int:
        """T, of a unit: those of all its samples."""
        _, samples, _, height, width = self._windows.output_gradients.shape
        return samples * height * width

    def _gram(self) -> Tensor:
        geometry = self._windows.geometry()
        if geometry is None or not geometry.has_norms:
            return _norms_of_blocks(self._windows)
        from benchmark.privacy.dpsgd.compiled import squared_norms

        return torch.from_numpy(squared_norms(*self._windows.as_arrays(), geometry))

    def weighted_sum(self, weights: Tensor) -> Mapping[str, Tensor]:
        """Sum the gradients of blocks, each as if it were one unit, and add up the blocks."""
        geometry, at_once = self._windows.geometry(), block_units(self._positions)
        if geometry is None or not geometry.has_many_outputs:
            return {"weight": self._sum_of_reals(weights, at_once) + self._sum_of_fakes(weights)}
        from benchmark.privacy.dpsgd.compiled import weighted_sum

        inputs, output_gradients = self._windows.as_arrays()
        first, last = (
            weighted_sum(
                inputs[some], output_gradients[some], weights[some].numpy(), geometry, at_once
            )
            for some in (slice(0, self._reals), slice(self._reals, None))
        )
        return {"weight": torch.from_numpy(first.total + last.total).permute(first.order)}

    def _sum_of_reals(self, weights: Tensor, at_once: int) -> Tensor:
        """Blocks of units by PyTorch's operators."""
        inputs, scaled = self._scaled(slice(0, self._reals), weights)
        blocks = self._reals // at_once * at_once
        total = torch.zeros((), dtype=torch.float64, device=scaled.device)
        for part, units in (
            (slice(0, blocks), at_once),
            (slice(blocks, None), self._reals - blocks),
        ):
            if len(inputs[part]):
                here, there = _merged(inputs[part], units), _merged(scaled[part], units)
                windows = self._windows._replace(inputs=here, output_gradients=there)
                total = total + rows_of(windows).total()
        return total

    def _sum_of_fakes(self, weights: Tensor) -> Tensor:
        """All fakes at once, as the rounding of their sum needs no bound."""
        inputs, scaled = (t.flatten(0, 1) for t in self._scaled(slice(self._reals, None), weights))
        if not len(inputs):
            return torch.zeros((), dtype=torch.float64, device=scaled.device)
        return weight_gradient(self._windows.layer, inputs, scaled, self._windows.padding).double()

    def _scaled(self, some: slice, weights: Tensor) -> tuple[Tensor, Tensor]:
        """The inputs of some units, and their output gradients times their weights: all finite.

        Also those of a unit without weight: 0 times anything must be 0.
        """
        inputs, output_gradients = (
            t[some].nan_to_num() for t in (self._windows.inputs, self._windows.output_gradients)
        )
        return inputs, output_gradients * weights[some].to(output_gradients.dtype).view(
            -1, 1, 1, 1, 1
        )


def block_units(positions: int) -> int:
    """Return how many units of T positions each are summed in single precision: n with n² T ≤ 2^10.

    The rounding of such a block is at most 2 γ_{nT} n Σ_t a_t s_t, with a unit present or absent.
    With Σ_t a_t s_t ≤ 16 C that is at most 2 (n T 2^-24) n 16 C ≤ 2^-9 C.
    """
    return max(1, math.isqrt(BLOCK_POSITIONS // positions))


def _merged(maps: Tensor, units: int) -> Tensor:
    """``(U, k, ...)`` to ``(U / n, n k, ...)``."""
    return maps.reshape(-1, units * maps.shape[1], *maps.shape[2:])


def _lengths(windows: Windows) -> Tensor:
    """At least Σ_t a_t s_t, Σ_t a_t and Σ_t s_t of every unit: ``(3, U)`` float64."""
    geometry = windows.geometry()
    if geometry is not None:
        from benchmark.privacy.dpsgd.compiled import lengths

        return torch.from_numpy(lengths(*windows.as_arrays(), geometry, TINY))
    layer, inputs, output_gradients, padding = windows
    length, kind = layer.weight.numel() // layer.out_channels, output_gradients.dtype
    around = (padding[1], padding[1], padding[0], padding[0])
    squares = F.pad(inputs.flatten(0, 1).square().sum(1, keepdim=True), around)
    under = F.avg_pool2d(squares, layer.kernel_size, layer.stride, divisor_override=1)
    rising = output_gradients.flatten(0, 1).square().sum(1)
    more = 1 + gamma(length + layer.out_channels, kind)
    first, second = (
        (t.double().view(len(output_gradients), -1) * more + TINY * n).sqrt()
        for t, n in ((under, length), (rising, layer.out_channels))
    )
    return torch.stack([(first * second).sum(1), first.sum(1), second.sum(1)])


def _norms_of_blocks(windows: Windows) -> Tensor:
    """Σ_o Σ_{t,t'} ⟨block_{t+o}, block_{t'+o}⟩ ⟨S_t, S_t'⟩.

    With stride s, pixels are taken together in blocks of s×s, so that the kernel, whose side is a
    multiple of s, moves by one block. Then ⟨A_t, A_t'⟩ is a sum of products of blocks, over the
    offsets o within the kernel, and no pixel's product is computed twice.
    """
    (step_y, step_x), kernel = windows.layer.stride, windows.layer.kernel_size
    units, samples, out, height, width = windows.output_gradients.shape
    reach = kernel[0] // step_y - 1, kernel[1] // step_x - 1
    rows, columns = height + reach[0], width + reach[1]
    blocks = _blocks(windows, rows, columns)
    around = (0, reach[1], 0, reach[0])
    output_gradients = channels_last(F.pad(windows.output_gradients.flatten(0, 1), around)).reshape(
        units, -1, out
    )
    # In a flat N×N matrix, (t + o, t' + o) lies o (N + 1) behind (t, t'); what runs over an end
    # meets an output gradient of zero.
    strides = [
        (y * columns + x) * (samples * rows * columns + 1)
        for y in range(reach[0] + 1)
        for x in range(reach[1] + 1)
    ]
    products = torch.bmm(blocks, blocks.mT).flatten(1)
    rises = torch.bmm(output_gradients, output_gradients.mT).flatten(1)
    length = products.shape[1] - max(strides)
    near = products[:, :length].clone()
    for stride in strides[1:]:
        near += products[:, stride : stride + length]
    return near.mul_(rises[:, :length]).sum(1)


def _blocks(windows: Windows, rows: int, columns: int) -> Tensor:
    """The inputs as ``rows`` by ``columns`` blocks of a stride's pixels each."""
    layer, inputs, _, padding = windows
    (y, x), (height, width) = layer.stride, inputs.shape[3:]
    after = rows * y - height - padding[0], columns * x - width - padding[1]
    maps = F.pad(inputs.flatten(0, 1), (padding[1], after[1], padding[0], after[0]))
    blocks = maps.reshape(len(maps), -1, rows, y, columns, x).permute(0, 2, 4, 3, 5, 1)
    return blocks.reshape(len(inputs), -1, y * x * inputs.shape[2])
