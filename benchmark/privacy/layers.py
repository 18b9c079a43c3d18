"""What each kind of layer adds to a unit's gradient, from its inputs and its outputs' gradients.

A unit u has k samples; a layer saw their inputs A, and S = ∂(mean of the unit's losses)/∂(its
output) is known. Then the gradient of each of the layer's parameters is a sum over the unit's
samples and positions t,

    convolution, linear   ∂weight = Σ_t S_t A_tᵀ       ∂bias = Σ_t S_t
    group, instance norm  ∂weight = Σ_t S_t Â_t        ∂bias = Σ_t S_t     (Â: A normalised)

with A_t the patch of the input under the kernel. A share keeps these gradients as rows, or, where
they are long and positions are few, only A and S: the norm then comes from two small Gram matrices,

    ‖Σ_t S_t A_tᵀ‖² = Σ_{t,t'} ⟨A_t, A_t'⟩ ⟨S_t, S_t'⟩,

and a weighted sum over units is one ordinary gradient with S scaled (Bu et al. 2023,
arXiv:2210.00038, section 3). Every rule here can be checked against ``torch.autograd`` alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv2d_weight

GRAM_ADVANTAGE = 25
"""Gram matrices are used up to this many multiplications for each number that rows would hold."""

VECTOR = 16
"""Channels below which a convolution's own kernels waste most of a processor's vector."""

AT_A_TIME = {"cpu": 1 << 19}
"""So many numbers of columns stay in a processor's cache until they are used; elsewhere more are
better."""

ELSEWHERE = 1 << 26


Padding = tuple[int, int]


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
    """

    def __init__(self, name: str, rows: Tensor, order: tuple[int, ...] | None = None) -> None:
        self._name, self._rows, self._order = name, rows, order

    def squared_norms(self) -> Tensor:
        """Row by row."""
        norms: Tensor = torch.linalg.vector_norm(self._rows.flatten(1), dim=1)
        return norms.square()

    def weighted_sum(self, weights: Tensor) -> Mapping[str, Tensor]:
        """One product."""
        found = (weights @ self._rows.flatten(1)).view(self._rows.shape[1:])
        return {self._name: found.permute(self._order) if self._order else found}


class Gram(Share):
    """A convolution's weight, without any unit's gradient.

    With stride s, pixels are taken together in blocks of s×s, so that the kernel, whose side is a
    multiple of s, moves by one block. Then ⟨A_t, A_t'⟩ is a sum of products of blocks, over the
    offsets o within the kernel, and no pixel's product is computed twice.
    """

    def __init__(self, layer: nn.Conv2d, inputs: Tensor, slopes: Tensor, padding: Padding) -> None:
        self._layer, self._inputs, self._slopes = layer, inputs, slopes
        self._padding = padding

    def squared_norms(self) -> Tensor:
        """Σ_o Σ_{t,t'} ⟨block_{t+o}, block_{t'+o}⟩ ⟨S_t, S_t'⟩."""
        (step_y, step_x), kernel = self._layer.stride, self._layer.kernel_size
        units, samples, _, height, width = self._slopes.shape
        reach = kernel[0] // step_y - 1, kernel[1] // step_x - 1
        rows, columns = height + reach[0], width + reach[1]
        blocks = _blocks(self._layer, self._inputs, self._padding, rows, columns)
        around = (0, reach[1], 0, reach[0])
        slopes = _last(F.pad(self._slopes.flatten(0, 1), around)).reshape(units, -1, len(self))
        # In a flat N×N matrix, (t + o, t' + o) lies o (N + 1) behind (t, t'); what runs over an end
        # meets a slope of zero.
        strides = [
            (y * columns + x) * (samples * rows * columns + 1)
            for y in range(reach[0] + 1)
            for x in range(reach[1] + 1)
        ]
        products = torch.bmm(blocks, blocks.mT).flatten(1)
        rises = torch.bmm(slopes, slopes.mT).flatten(1)
        length = products.shape[1] - max(strides)
        near = products[:, :length].clone()
        for stride in strides[1:]:
            near += products[:, stride : stride + length]
        return near.mul_(rises[:, :length]).sum(1).clamp(min=0)

    def __len__(self) -> int:
        return self._layer.out_channels

    def weighted_sum(self, weights: Tensor) -> Mapping[str, Tensor]:
        """The ordinary gradient of the scaled slopes."""
        scaled = self._slopes * weights.view(-1, 1, 1, 1, 1)
        inputs, slopes = self._inputs.flatten(0, 1), scaled.flatten(0, 1)
        return {"weight": _weight_gradient(self._layer, inputs, slopes, self._padding, units=1)}


def convolution(seen: Seen) -> list[Share]:
    """``nn.Conv2d`` of any stride, padding, dilation and groups."""
    layer = _convolution(seen.layer)
    inputs, padding = _padding(layer, seen.inputs)
    bias = [Rows("bias", seen.slopes.sum((1, 3, 4)))] if layer.bias is not None else []
    if _prefers_gram(layer, seen.slopes):
        return [Gram(layer, inputs, seen.slopes, padding), *bias]
    units, (out, *kernel) = len(inputs), layer.weight.shape
    if layer.groups == 1:
        rows = _by_columns(layer, inputs, seen.slopes, padding)
        return [Rows("weight", rows, (0, 3, 1, 2)), *bias]
    joined, rise = (t.transpose(0, 1).flatten(1, 2) for t in (inputs, seen.slopes))
    rows = _weight_gradient(layer, joined, rise, padding, units=units)
    return [Rows("weight", rows.view(units, out, *kernel)), *bias]


def _prefers_gram(layer: nn.Conv2d, slopes: Tensor) -> bool:
    """Whether two Gram matrices are cheaper than a row for each unit."""
    positions = slopes.shape[1] * slopes.shape[3] * slopes.shape[4]
    length, out = layer.weight[0].numel(), layer.out_channels
    whole = all(k % s == 0 for k, s in zip(layer.kernel_size, layer.stride, strict=True))
    simple = whole and layer.groups == 1 and layer.dilation == (1, 1) and out >= VECTOR
    return simple and positions**2 * (length + out) <= GRAM_ADVANTAGE * length * out


def linear(seen: Seen) -> list[Share]:
    """``nn.Linear`` over the last axis."""
    inputs, slopes = (t.flatten(1, -2) for t in (seen.inputs, seen.slopes))
    weight = Rows("weight", torch.bmm(slopes.mT, inputs))
    has_bias = getattr(seen.layer, "bias", None) is not None
    return [weight, Rows("bias", slopes.sum(1))] if has_bias else [weight]


def normalisation(seen: Seen) -> list[Share]:
    """``nn.GroupNorm`` and ``nn.InstanceNorm2d`` with scale and shift."""
    layer, inputs = seen.layer, seen.inputs.flatten(0, 1)
    if isinstance(layer, nn.GroupNorm):
        normal = F.group_norm(inputs, layer.num_groups, eps=layer.eps)
    else:
        normal = F.instance_norm(inputs, eps=float(getattr(layer, "eps", 1e-5)))
    product = normal.view_as(seen.inputs) * seen.slopes
    return [Rows("weight", product.sum((1, 3, 4))), Rows("bias", seen.slopes.sum((1, 3, 4)))]


RULES: dict[type[nn.Module], Callable[[Seen], list[Share]]] = {
    nn.Conv2d: convolution,
    nn.Linear: linear,
    nn.GroupNorm: normalisation,
    nn.InstanceNorm2d: normalisation,
}


def _convolution(layer: nn.Module) -> nn.Conv2d:
    assert isinstance(layer, nn.Conv2d)  # noqa: S101  (RULES is by exact type)
    return layer


def _padding(layer: nn.Conv2d, inputs: Tensor) -> tuple[Tensor, Padding]:
    """Inputs ``(U, k, C, H, W)`` and the zeros still to be put around them, in y and x."""
    if layer.padding_mode == "zeros" and not isinstance(layer.padding, str):
        return inputs, (layer.padding[0], layer.padding[1])
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    padded = F.pad(inputs.flatten(0, 1), layer._reversed_padding_repeated_twice, mode=mode)
    return padded.reshape(*inputs.shape[:2], *padded.shape[1:]), (0, 0)


def _weight_gradient(
    layer: nn.Conv2d, inputs: Tensor, slopes: Tensor, padding: Padding, *, units: int
) -> Tensor:
    """The weight's gradient of each of some units, whose channels stand one after the other."""
    out, *kernel = layer.weight.shape
    found: Tensor = conv2d_weight(  # type: ignore[no-untyped-call]
        inputs,
        (units * out, *kernel),
        slopes,
        stride=layer.stride,
        padding=padding,
        dilation=layer.dilation,
        groups=units * layer.groups,
    )
    return found


def _by_columns(layer: nn.Conv2d, inputs: Tensor, slopes: Tensor, padding: Padding) -> Tensor:
    """The weight's gradient of each unit ``(U, out, ky, kx, C)``, some units at a time."""
    units, (out, channels, *kernel) = len(inputs), layer.weight.shape
    rise = _last(slopes.flatten(0, 1)).reshape(units, -1, out).mT
    rows = slopes.new_empty(units, out, kernel[0] * kernel[1] * channels)
    numbers = AT_A_TIME.get(slopes.device.type, ELSEWHERE)
    some = max(1, numbers // (rise.shape[2] * rows.shape[2]))
    for start in range(0, units, some):
        now = slice(start, start + some)
        torch.bmm(rise[now], _columns(layer, inputs[now], padding), out=rows[now])
    return rows.view(units, out, *kernel, channels)


def _last(maps: Tensor) -> Tensor:
    """``(n, C, H, W)`` to ``(n, H, W, C)``."""
    return maps.permute(0, 2, 3, 1)


def _columns(layer: nn.Conv2d, inputs: Tensor, padding: Padding) -> Tensor:
    """Inputs ``(U, k, C, H, W)`` to their patches under the kernel, ``(U, k·T, ky·kx·C)``."""
    (height, width), (y, x) = layer.kernel_size, layer.dilation
    around = (0, 0, padding[1], padding[1], padding[0], padding[0])
    maps = F.pad(_last(inputs.flatten(0, 1)), around)
    windows = maps.unfold(1, y * (height - 1) + 1, layer.stride[0])
    windows = windows.unfold(2, x * (width - 1) + 1, layer.stride[1])[..., ::y, ::x]
    return windows.permute(0, 1, 2, 4, 5, 3).reshape(
        len(inputs), -1, height * width * layer.in_channels
    )


def _blocks(layer: nn.Conv2d, inputs: Tensor, padding: Padding, rows: int, columns: int) -> Tensor:
    """Inputs ``(U, k, C, H, W)`` as ``rows`` by ``columns`` blocks of a stride's pixels each."""
    (y, x), (height, width) = layer.stride, inputs.shape[3:]
    after = rows * y - height - padding[0], columns * x - width - padding[1]
    maps = F.pad(inputs.flatten(0, 1), (padding[1], after[1], padding[0], after[0]))
    blocks = maps.reshape(len(maps), -1, rows, y, columns, x).permute(0, 2, 4, 3, 5, 1)
    return blocks.reshape(len(inputs), -1, y * x * inputs.shape[2])
