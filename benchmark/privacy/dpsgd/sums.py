"""The loops of ``compiled`` that add single-precision results in double precision.

They are a file of their own because numba keeps compiled code until the loop's own file changes.
As they take ``finite`` from ``loops``, a digest of that file is here (``LOOPS``).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from benchmark.privacy.dpsgd.geometry import Geometry
from benchmark.privacy.dpsgd.loops import Numbers, finite
from benchmark.privacy.jit import jit, reordering_jit

LOOPS = "bd14806f0aa8"
"""The first digits of the SHA-256 of ``loops.py``. A test holds them, so that a change there
changes this file too."""

NUMBERS = 2048
"""How many double-precision sums stay in the nearest cache."""


@jit
def _double(number: np.float32) -> np.float64:
    return np.float64(finite(number))


@jit
def summed(weights: NDArray[np.float64], rows: Numbers, made: NDArray[np.float64]) -> None:
    """Add Σ_u weights[u] · row u to ``made``, in double precision.

    Rows of weight 0 may hold anything, and are read all the same. Four are added at a time, so that
    a sum is loaded and stored once for them.
    """
    length, fours = len(made), len(weights) // 4 * 4
    for start in range(0, length, NUMBERS):
        part = made[start : start + NUMBERS]
        for unit in range(0, fours, 4):
            place = unit * length + start
            one, two = rows[place:][: len(part)], rows[place + length :][: len(part)]
            three, four = (
                rows[place + 2 * length :][: len(part)],
                rows[place + 3 * length :][: len(part)],
            )
            for i in range(len(part)):
                total = part[i] + weights[unit] * _double(one[i])
                total += weights[unit + 1] * _double(two[i])
                total += weights[unit + 2] * _double(three[i])
                part[i] = total + weights[unit + 3] * _double(four[i])
        for unit in range(fours, len(weights)):
            row = rows[unit * length + start :][: len(part)]
            for i in range(len(part)):
                part[i] += weights[unit] * _double(row[i])


@reordering_jit
def _squares(numbers: Numbers, count: int, made: NDArray[np.float64]) -> None:
    """``made``: at least the sums of squares of the first runs of so many numbers."""
    for place in range(len(made)):
        run, total = numbers[place * count : (place + 1) * count], 0.0
        for i in range(count):
            total += np.float64(run[i]) * np.float64(run[i])
        made[place] = total * (1 + 1e-9)


@jit
def lengths(
    inputs: Numbers, output_gradients: Numbers, found: NDArray[np.float64], tiny: float, g: Geometry
) -> None:
    """Add upper bounds on Σ_t a_t s_t, Σ_t a_t and Σ_t s_t of every unit to ``found``.

    a_t and s_t are the norms of the input under the kernel and of the output gradient, at position
    t.
    """
    pixels, positions = g.height * g.width, g.rows * g.columns
    squares, rises = np.zeros(pixels), np.zeros(positions)
    least_a, least_s = tiny * g.kernel_y * g.kernel_x * g.channels, tiny * g.out
    for unit in range(found.shape[1]):
        for sample in range(unit * g.samples, (unit + 1) * g.samples):
            _squares(inputs[sample * pixels * g.channels :], g.channels, squares)
            _squares(output_gradients[sample * positions * g.out :], g.out, rises)
            for t in range(positions):
                y = t // g.columns * g.step_y - g.pad_y
                x = t % g.columns * g.step_x - g.pad_x
                under = least_a
                for row in range(max(y, 0), min(y + g.kernel_y, g.height)):
                    for column in range(max(x, 0), min(x + g.kernel_x, g.width)):
                        under += squares[row * g.width + column]
                a, s = math.sqrt(under), math.sqrt(least_s + rises[t])
                found[0, unit] += a * s
                found[1, unit] += a
                found[2, unit] += s
