"""Per-unit gradients of convolutions, by loops that are compiled for this processor.

PyTorch has no operator for this. If it is composed of columns and matrix products, more time is
spent on moving numbers than on multiplying them. The loops move one unit's input into a *scratch
buffer*, where it has its padding and stays in the cache. They then run over its positions with
their sums in registers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.privacy.dpsgd import loops, sums
from benchmark.privacy.dpsgd.geometry import LANES, TILE, Geometry
from benchmark.privacy.dpsgd.loops import Numbers


class Made(NamedTuple):
    """Gradients of a weight ``(out, channels, ky, kx)``, one row for each unit.

    Attributes:
        rows: Every unit's gradient, with its axes in another order.
        order: The positions of the weight's axes in a row.
        squares: The squared norms of the rows, ``(U,)``.
    """

    rows: Numbers
    order: tuple[int, ...]
    squares: Numbers


class Summed(NamedTuple):
    """A weighted sum of gradients of a weight ``(out, channels, ky, kx)``.

    Attributes:
        total: The sum in double precision, with its axes in another order.
        order: The positions of the weight's axes in it.
    """

    total: NDArray[np.float64]
    order: tuple[int, ...]


def rows(inputs: Numbers, output_gradients: Numbers, g: Geometry) -> Made:
    """Compute the gradient of a convolution's weight for every unit.

    Args:
        inputs: A, ``(U, k, height, width, channels)``.
        output_gradients: S, ``(U, k, rows, columns, out)``.
        g: The convolution; ``g.has_rows`` must be true.

    Raises:
        ValueError: For shapes that are not the convolution's.
    """
    _check(inputs, output_gradients, g, fits=g.has_rows)
    units, under = len(inputs), (g.kernel_y, g.kernel_x, g.channels)
    squares, made = np.zeros(units, np.float32), np.empty((units, *under, g.out), np.float32)
    loop, order = loops.rows, (3, 2, 0, 1)
    if not g.has_many_outputs:
        loop, order, made = loops.rows_of_few, (0, 3, 1, 2), made.reshape(units, g.out, *under)
    loop(
        inputs.reshape(-1), output_gradients.reshape(-1), _scratch(g), made.reshape(-1), squares, g
    )
    return Made(made, order, squares)


def weighted_sum(
    inputs: Numbers,
    output_gradients: Numbers,
    weights: NDArray[np.float64],
    g: Geometry,
    at_once: int,
) -> Summed:
    """Compute the weighted sum of all units' gradients, block by block.

    Args:
        inputs: A, as for ``rows``.
        output_gradients: S, as for ``rows``.
        weights: ``(U,)``, rounded to single precision; 0 for a unit that may hold anything.
        g: The convolution; ``g.has_many_outputs`` must be true.
        at_once: How many units are a block, which is summed in single precision.

    Returns:
        The sum.

    Raises:
        ValueError: For shapes that are not the convolution's, or another number of weights.
    """
    _check(inputs, output_gradients, g, fits=g.has_many_outputs)
    if weights.shape != (len(inputs),):
        raise ValueError(f"Weights {weights.shape} do not fit {len(inputs)} units.")
    made = np.zeros((g.kernel_y, g.kernel_x, g.channels, g.out))
    block = max(1, min(at_once, len(inputs)))
    rises = np.empty(block * g.samples * g.rows * g.columns * g.out, np.float32)
    loops.weighted_sum(
        inputs.reshape(-1),
        output_gradients.reshape(-1),
        weights.astype(np.float32),
        _scratch(g, block),
        rises,
        made.reshape(-1),
        g,
    )
    return Summed(made, (3, 2, 0, 1))


def squared_norms(inputs: Numbers, output_gradients: Numbers, g: Geometry) -> Numbers:
    """Compute the squared norms ``(U,)`` of the gradients, from Gram matrices.

    Args:
        inputs: A, as for ``rows``.
        output_gradients: S, as for ``rows``.
        g: The convolution; ``g.has_norms`` must be true.

    Raises:
        ValueError: For shapes that are not the convolution's.
    """
    _check(inputs, output_gradients, g, fits=g.has_norms)
    positions, half = g.samples * g.rows * g.columns, TILE // 2
    rises = np.zeros((-(-positions // half) * half, -(-g.out // LANES) * LANES), np.float32)
    squares = np.zeros(len(inputs), np.float32)
    loops.squared_norms(
        inputs.reshape(-1), output_gradients.reshape(-1), _scratch(g), rises, squares, g
    )
    return squares


def lengths(
    inputs: Numbers, output_gradients: Numbers, g: Geometry, tiny: float
) -> NDArray[np.float64]:
    """Bound Σ_t a_t s_t, Σ_t a_t and Σ_t s_t of every unit from above.

    Args:
        inputs: A, ``(U, k, height, width, channels)``; a_t is the norm of A_t.
        output_gradients: S, ``(U, k, rows, columns, out)``; s_t is the norm of S_t.
        g: The convolution.
        tiny: How much each product may have lost because it was too small to represent.

    Returns:
        The three bounds, float64 ``(3, U)``.

    Raises:
        ValueError: For shapes that are not the convolution's.
    """
    _check(inputs, output_gradients, g, fits=True)
    found = np.zeros((3, len(inputs)))
    sums.lengths(inputs.reshape(-1), output_gradients.reshape(-1), found, tiny, g)
    return found


def summed(weights: NDArray[np.float64], rows: Numbers) -> NDArray[np.float64]:
    """Compute Σ_u ``weights[u]`` · ``rows[u]`` in double precision.

    Args:
        weights: float64 ``(U,)``.
        rows: float32 ``(U, d)``.

    Raises:
        ValueError: If there is not one weight for each row, or the rows are not float32.
    """
    if rows.ndim != 2 or weights.shape != rows.shape[:1] or rows.dtype != np.float32:
        raise ValueError(f"Weights {weights.shape} do not fit rows {rows.shape} of {rows.dtype}.")
    made = np.zeros(rows.shape[1])
    sums.summed(weights, rows.reshape(-1), made)
    return made


def _check(inputs: Numbers, output_gradients: Numbers, g: Geometry, *, fits: bool) -> None:
    """The loops check no bound."""
    seen = (len(inputs), g.samples, g.height, g.width, g.channels)
    given = (len(inputs), g.samples, g.rows, g.columns, g.out)
    tall = (g.rows - 1) * g.step_y + g.kernel_y <= g.height + 2 * g.pad_y
    wide = (g.columns - 1) * g.step_x + g.kernel_x <= g.width + 2 * g.pad_x
    if not (fits and tall and wide and inputs.shape == seen and output_gradients.shape == given):
        raise ValueError(
            f"Inputs {inputs.shape} and output gradients {output_gradients.shape} do not fit {g}."
        )
    if not inputs.dtype == output_gradients.dtype == np.float32:
        raise ValueError(f"Expected float32, got {inputs.dtype} and {output_gradients.dtype}.")


def _scratch(g: Geometry, units: int = 1) -> Numbers:
    """For some units' inputs with the zeros around them."""
    tall, wide = g.samples * (g.height + 2 * g.pad_y), g.width + 2 * g.pad_x
    return np.zeros(units * tall * wide * g.channels, np.float32)
