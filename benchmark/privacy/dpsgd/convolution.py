"""The gradient rule of a convolution: rows, or Gram matrices where few positions are left."""

from __future__ import annotations

from benchmark.privacy.dpsgd.gram import Gram
from benchmark.privacy.dpsgd.shares import Rows, Seen, Share
from benchmark.privacy.dpsgd.windows import Windows, rows_of

MOST_POSITIONS = 1 << 11
"""Up to so many positions of a unit, the rounding of a block is bounded (``gram.block_units``)."""

GRAM_ADVANTAGE = 25
"""Gram matrices are used up to this many multiplications for each number that rows would hold."""

FEW = 16
"""With fewer outputs than this, rows are short and cost less than another ordinary gradient."""


def convolution(seen: Seen) -> list[Share]:
    """Return the shares of an ``nn.Conv2d`` of any stride, padding, dilation and groups."""
    windows = Windows.of(seen)
    weight = Gram(windows, seen.fakes) if _prefers_gram(windows) else rows_of(windows)
    if windows.layer.bias is None:
        return [weight]
    return [weight, Rows("bias", seen.output_gradients.sum((1, 3, 4)))]


def _prefers_gram(windows: Windows) -> bool:
    """Whether two Gram matrices are cheaper than a row for each unit."""
    layer, (_, samples, out, height, width) = windows.layer, windows.output_gradients.shape
    whole = all(k % s == 0 for k, s in zip(layer.kernel_size, layer.stride, strict=True))
    length, positions = layer.weight.numel() // out, samples * height * width
    cheaper = positions**2 * (length + out) <= GRAM_ADVANTAGE * length * out
    bounded = positions <= MOST_POSITIONS
    return whole and windows.simple and cheaper and bounded and out >= FEW
