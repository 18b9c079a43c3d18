"""The gradient rule of a convolution, in the form that is fastest for its size, device and type.

In single precision on a CPU, compiled loops give the rows of a narrow convolution and the norms of
one with few positions. Anything else is composed of PyTorch's operators: columns and a product, a
convolution in groups, or Gram matrices of blocks of pixels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv2d_weight

from benchmark.privacy.dpsgd.shares import TINY, Rows, Seen, Share, gamma

if TYPE_CHECKING:
    from benchmark.privacy.dpsgd.loops import Geometry, Numbers

GRAM_ADVANTAGE = 25
"""Gram matrices are used up to this many multiplications for each number that rows would hold."""

FEW = 16
"""With fewer outputs than this, rows are short and cost less than another ordinary gradient."""

NEAR = 1 << 17
"""How many numbers of a unit's row stay in the cache while a loop adds to them.

For longer rows a matrix product is faster.
"""

BLOCK_POSITIONS = 1 << 10
MOST_CANCELLED = 16

AT_A_TIME = {"cpu": 1 << 19}
"""How many numbers of columns are held at once, so that they stay in the processor's cache.

On other devices more are better.
"""

ELSEWHERE = 1 << 26


class Windows(NamedTuple):
    """The inputs and output gradients of a convolution, for U units of k samples each.

    Attributes:
        layer: The convolution.
        inputs: ``(U, k, C, H, W)``, already padded unless the padding is zeros.
        output_gradients: S, ``(U, k, out, h, w)``.
        padding: The zeros still to be put around the inputs, in y and x.
    """

    layer: nn.Conv2d
    inputs: Tensor
    output_gradients: Tensor
    padding: tuple[int, int]

    @classmethod
    def of(cls, seen: Seen) -> Windows:
        """Collect what a convolution saw, for any padding mode."""
        layer, inputs = seen.layer, seen.inputs
        assert isinstance(layer, nn.Conv2d)  # noqa: S101  (RULES is by exact type)
        if layer.padding_mode == "zeros" and not isinstance(layer.padding, str):
            return cls(layer, inputs, seen.output_gradients, (layer.padding[0], layer.padding[1]))
        mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
        padded = F.pad(inputs.flatten(0, 1), layer._reversed_padding_repeated_twice, mode=mode)
        shape = (*inputs.shape[:2], *padded.shape[1:])
        return cls(layer, padded.reshape(shape), seen.output_gradients, (0, 0))

    @property
    def simple(self) -> bool:
        """Whether the convolution has neither groups nor dilation."""
        return self.layer.groups == 1 and self.layer.dilation == (1, 1)

    def geometry(self) -> Geometry | None:
        """Return the geometry for the compiled loops; ``None`` where they do not apply."""
        output_gradients, layer = self.output_gradients, self.layer
        if (
            not self.simple
            or output_gradients.device.type != "cpu"
            or output_gradients.dtype != torch.float32
        ):
            return None
        from benchmark.privacy.dpsgd.loops import Geometry

        _, samples, channels, height, width = self.inputs.shape
        rows, columns = output_gradients.shape[3:]
        return Geometry(
            samples=samples,
            height=height,
            width=width,
            channels=channels,
            kernel_y=layer.kernel_size[0],
            kernel_x=layer.kernel_size[1],
            step_y=layer.stride[0],
            step_x=layer.stride[1],
            pad_y=self.padding[0],
            pad_x=self.padding[1],
            rows=rows,
            columns=columns,
            out=layer.out_channels,
        )

    def as_arrays(self) -> tuple[Numbers, Numbers]:
        """Return inputs and output gradients with their channels last, for the compiled loops."""
        inputs, output_gradients = (
            t.permute(0, 1, 3, 4, 2) for t in (self.inputs, self.output_gradients)
        )
        return inputs.contiguous().numpy(), output_gradients.contiguous().numpy()


def convolution(seen: Seen) -> list[Share]:
    """Return the shares of an ``nn.Conv2d`` of any stride, padding, dilation and groups."""
    windows = Windows.of(seen)
    weight = Gram(windows, seen.public) if _prefers_gram(windows) else _rows(windows)
    if windows.layer.bias is None:
        return [weight]
    return [weight, Rows("bias", seen.output_gradients.sum((1, 3, 4)))]


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
        public: See ``Seen``. If true, all units are summed at once, in single precision.
    """

    def __init__(self, windows: Windows, public: bool = False) -> None:
        self._windows, self._public = windows, public

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
        layer, padding = self._windows.layer, self._windows.padding
        inputs, output_gradients = (  # of a unit without weight, too: 0 times it must be 0
            t.nan_to_num() for t in (self._windows.inputs, self._windows.output_gradients)
        )
        scaled = output_gradients * weights.to(output_gradients.dtype).view(-1, 1, 1, 1, 1)
        if self._public:
            at_once = _gradient(layer, inputs.flatten(0, 1), scaled.flatten(0, 1), padding)
            return {"weight": at_once.double()}
        each = block_units(self._positions)
        whole = len(inputs) // each * each
        total = torch.zeros((), dtype=torch.float64, device=output_gradients.device)
        for part, units in ((slice(0, whole), each), (slice(whole, None), len(inputs) - whole)):
            if len(inputs[part]):
                here, there = _merged(inputs[part], units), _merged(scaled[part], units)
                total = total + _rows(Windows(layer, here, there, padding)).total()
        return {"weight": total}


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


def _prefers_gram(windows: Windows) -> bool:
    """Whether two Gram matrices are cheaper than a row for each unit."""
    layer, (_, samples, out, height, width) = windows.layer, windows.output_gradients.shape
    whole = all(k % s == 0 for k, s in zip(layer.kernel_size, layer.stride, strict=True))
    length, positions = layer.weight.numel() // out, samples * height * width
    cheaper = positions**2 * (length + out) <= GRAM_ADVANTAGE * length * out
    return whole and windows.simple and cheaper and out >= FEW


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
    output_gradients = _last(F.pad(windows.output_gradients.flatten(0, 1), around)).reshape(
        units, -1, out
    )
    # In a flat N×N matrix, (t + o, t' + o) lies o (N + 1) behind (t, t'); what runs over an end
    # meets a output gradient of zero.
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


def _rows(windows: Windows) -> Rows:
    """Every unit's gradient of the weight."""
    geometry = windows.geometry()
    near = windows.layer.weight.numel() <= NEAR
    if geometry is not None and geometry.has_rows and near:
        from benchmark.privacy.dpsgd.compiled import rows

        made, order, squares = rows(*windows.as_arrays(), geometry)
        return Rows(
            "weight", torch.from_numpy(made), order=order, squares=torch.from_numpy(squares)
        )
    if windows.layer.groups == 1:
        return Rows("weight", _by_columns(windows), order=(0, 3, 1, 2))
    return Rows("weight", _by_groups(windows))


def _by_columns(windows: Windows) -> Tensor:
    """Rows ``(U, out, ky, kx, C)``, some units at a time."""
    units, (out, channels, *kernel) = len(windows.inputs), windows.layer.weight.shape
    rise = _last(windows.output_gradients.flatten(0, 1)).reshape(units, -1, out).mT
    rows = rise.new_empty(units, out, kernel[0] * kernel[1] * channels)
    numbers = AT_A_TIME.get(rise.device.type, ELSEWHERE)
    some = max(1, numbers // (rise.shape[2] * rows.shape[2]))
    for start in range(0, units, some):
        now = slice(start, start + some)
        torch.bmm(rise[now], _columns(windows, windows.inputs[now]), out=rows[now])
    return rows.view(units, out, *kernel, channels)


def _columns(windows: Windows, inputs: Tensor) -> Tensor:
    """Inputs ``(U, k, C, H, W)`` to their patches under the kernel, ``(U, k·T, ky·kx·C)``."""
    layer, padding = windows.layer, windows.padding
    (height, width), (y, x) = layer.kernel_size, layer.dilation
    around = (0, 0, padding[1], padding[1], padding[0], padding[0])
    maps = F.pad(_last(inputs.flatten(0, 1)), around)
    views = maps.unfold(1, y * (height - 1) + 1, layer.stride[0])
    views = views.unfold(2, x * (width - 1) + 1, layer.stride[1])[..., ::y, ::x]
    return views.permute(0, 1, 2, 4, 5, 3).reshape(
        len(inputs), -1, height * width * layer.in_channels
    )


def _by_groups(windows: Windows) -> Tensor:
    """Rows ``(U, *weight.shape)``, where one convolution has the units' channels side by side."""
    layer, *maps, padding = windows
    inputs, output_gradients = (t.transpose(0, 1).flatten(1, 2) for t in maps)
    found = _gradient(layer, inputs, output_gradients, padding, units=len(windows.inputs))
    return found.view(-1, *layer.weight.shape)


def _gradient(
    layer: nn.Conv2d,
    inputs: Tensor,
    output_gradients: Tensor,
    padding: tuple[int, int],
    *,
    units: int = 1,
) -> Tensor:
    """The weight's gradient of each of some units, whose channels stand one after the other."""
    out, *kernel = layer.weight.shape
    found: Tensor = conv2d_weight(  # type: ignore[no-untyped-call]
        inputs,
        (units * out, *kernel),
        output_gradients,
        stride=layer.stride,
        padding=padding,
        dilation=layer.dilation,
        groups=units * layer.groups,
    )
    return found


def _last(maps: Tensor) -> Tensor:
    """``(n, C, H, W)`` to ``(n, H, W, C)``."""
    return maps.permute(0, 2, 3, 1)
