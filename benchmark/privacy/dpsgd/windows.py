"""What a convolution saw, and every unit's gradient of its weight.

In single precision on a CPU, compiled loops give the rows of a narrow convolution. Any other is
composed of PyTorch's operators: columns and a product, or a convolution in groups.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv2d_weight

from benchmark.privacy.dpsgd.shares import Rows, Seen

if TYPE_CHECKING:
    from benchmark.privacy.dpsgd.geometry import Geometry
    from benchmark.privacy.dpsgd.loops import Numbers

NEAR = 1 << 17
"""How many numbers of a unit's row stay in the cache while a loop adds to them.

For longer rows a matrix product is faster.
"""

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
        from benchmark.privacy.dpsgd.geometry import Geometry

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


def rows_of(windows: Windows) -> Rows:
    """Return every unit's gradient of the weight.

    Args:
        windows: What the convolution saw.
    """
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
    rise = channels_last(windows.output_gradients.flatten(0, 1)).reshape(units, -1, out).mT
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
    maps = F.pad(channels_last(inputs.flatten(0, 1)), around)
    views = maps.unfold(1, y * (height - 1) + 1, layer.stride[0])
    views = views.unfold(2, x * (width - 1) + 1, layer.stride[1])[..., ::y, ::x]
    return views.permute(0, 1, 2, 4, 5, 3).reshape(
        len(inputs), -1, height * width * layer.in_channels
    )


def _by_groups(windows: Windows) -> Tensor:
    """Rows ``(U, *weight.shape)``, where one convolution has the units' channels side by side."""
    layer, *maps, padding = windows
    inputs, output_gradients = (t.transpose(0, 1).flatten(1, 2) for t in maps)
    found = weight_gradient(layer, inputs, output_gradients, padding, units=len(windows.inputs))
    return found.view(-1, *layer.weight.shape)


def weight_gradient(
    layer: nn.Conv2d,
    inputs: Tensor,
    output_gradients: Tensor,
    padding: tuple[int, int],
    *,
    units: int = 1,
) -> Tensor:
    """Return the weight's gradient of each of some units.

    Args:
        layer: The convolution.
        inputs: ``(n, units * C, H, W)``: the units' channels stand one after the other.
        output_gradients: ``(n, units * out, h, w)``, likewise.
        padding: The zeros still to be put around the inputs, in y and x.
        units: How many units there are.
    """
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


def channels_last(maps: Tensor) -> Tensor:
    """Return ``(n, C, H, W)`` as ``(n, H, W, C)``."""
    return maps.permute(0, 2, 3, 1)
