"""The sizes of a convolution, and which of the compiled loops support it on this processor."""

from __future__ import annotations

from typing import NamedTuple

from llvmlite import binding

HAS_32_REGISTERS = bool(binding.get_host_cpu_features().get("avx512f"))

LANES = 16 if HAS_32_REGISTERS else 8
"""How many single-precision numbers one instruction multiplies."""

TILE = 8
"""How many vectors of sums a loop holds: enough to hide an addition's delay, and few enough for the
registers."""


class Geometry(NamedTuple):
    """The sizes of a convolution without groups or dilation, for units with equally many samples.

    Attributes:
        samples: k, the samples of each unit.
        height: The input's height in pixels.
        width: The input's width.
        channels: The input's channels, C.
        kernel_y: The kernel's height.
        kernel_x: The kernel's width.
        step_y: The stride along y.
        step_x: The stride along x.
        pad_y: Rows of zeros above and below the input.
        pad_x: Columns of zeros left and right of the input.
        rows: The output's height.
        columns: The output's width.
        out: The output's channels.
    """

    samples: int
    height: int
    width: int
    channels: int
    kernel_y: int
    kernel_x: int
    step_y: int
    step_x: int
    pad_y: int
    pad_x: int
    rows: int
    columns: int
    out: int

    @property
    def run(self) -> int:
        """The number of adjacent values under one row of the kernel."""
        return self.kernel_x * self.channels

    @property
    def has_rows(self) -> bool:
        """Whether the loop ``rows`` or ``rows_of_few`` supports this convolution."""
        return self.run % (TILE * LANES) == 0 or self.has_many_outputs

    @property
    def has_many_outputs(self) -> bool:
        """Whether the outputs fill whole vectors."""
        return self.run % TILE == 0 and self.out % LANES == 0

    @property
    def has_norms(self) -> bool:
        """Whether the loop ``squared_norms`` supports this convolution."""
        return self.run % LANES == 0
