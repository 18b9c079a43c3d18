"""The loops of ``compiled``, and the vectors that numba lacks for them.

A loop over positions adds up many products at once: eight vectors of sums, which stay in the
processor's registers. Numba's own vectoriser does not produce these. So their type and the
operations of the loops are written here as instructions of LLVM. Arrays are flat and of single
precision. *No bound is checked here*: ``compiled`` checks them before it calls.

All of it is one file, since numba keeps what it compiled until the loop's own file changes. A
digest of what they take from other files is here for that reason (``GEOMETRY``).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, register_model
from numpy.typing import NDArray

from benchmark.privacy.dpsgd.geometry import HAS_32_REGISTERS, LANES, TILE, Geometry
from benchmark.privacy.jit import inlined_jit, jit

GEOMETRY = "26a8347630e8"
"""The first digits of the SHA-256 of ``geometry.py``. A test holds them, so that a change there
changes this file too."""

Numbers = NDArray[np.float32]
Places = NDArray[np.int64]

MOST = np.float32(2.0**100)
"""A larger number, or none at all, belongs to a unit without weight, and is taken for this one."""


class _Sums(types.Type):  # type: ignore[misc]
    """``TILE`` vectors of ``LANES`` numbers."""

    def __init__(self) -> None:
        super().__init__(name=f"Sums({TILE}, {LANES})")


_sums = _Sums()
_NUMBER, _INDEX = ir.FloatType(), ir.IntType(32)
_VECTOR = ir.VectorType(_NUMBER, LANES)
_DOUBLES = ir.VectorType(ir.DoubleType(), LANES)
_SUMS = ir.ArrayType(_VECTOR, TILE)
_NOTHING = ir.Constant(_VECTOR, None)


@register_model(_Sums)
class _SumsModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _SUMS)


class _Array:
    """A flat array whose numbers are read and written at places found at run time."""

    def __init__(self, builder: Any, data: Any) -> None:
        self._builder, self._data = builder, data

    def number(self, index: Any) -> Any:
        """``array[index]``."""
        return self._builder.load(self._builder.gep(self._data, [index]))

    def load(self, start: Any, kind: Any = _VECTOR) -> Any:
        """``array[start : start + LANES]``."""
        return self._builder.load(self._place(start, kind), align=4)

    def store(self, start: Any, vector: Any) -> None:
        """``array[start : start + LANES] = vector``."""
        self._builder.store(vector, self._place(start, vector.type), align=4)

    def _place(self, start: Any, kind: Any) -> Any:
        place = self._builder.gep(self._data, [start])
        return self._builder.bitcast(place, kind.as_pointer())


def _instruction(returns: Any) -> Callable[[Callable[..., Any]], Any]:
    """Makes what compiled code may call of a function that writes instructions.

    The function gets the builder, and each argument as a value, or as an ``_Array``.
    """

    def of(write: Callable[..., Any]) -> Any:
        def typed(_typing: Any, *kinds: Any) -> Any:
            def written(context: Any, builder: Any, signature: Any, args: Any) -> Any:
                def handle(kind: Any, value: Any) -> Any:
                    if not isinstance(kind, types.Array):
                        return value
                    return _Array(builder, context.make_array(kind)(context, builder, value).data)

                found = write(builder, *map(handle, signature.args, args))
                return context.get_dummy_value() if found is None else found

            return returns(*kinds), written

        return intrinsic(functools.wraps(write, assigned=["__name__", "__doc__"])(typed))

    return of


@_instruction(_sums)
def none(builder: Any) -> Any:
    """Return sums of zeros."""
    return ir.Constant(_SUMS, None)


@_instruction(_sums)
def plus(builder: Any, one: Any, other: Any) -> Any:
    """Return ``one[n] + other[n]``."""
    for n in range(TILE):
        added = builder.fadd(builder.extract_value(one, n), builder.extract_value(other, n))
        one = builder.insert_value(one, added, n)
    return one


@_instruction(_sums)
def outer(builder: Any, sums: Any, many: _Array, i: Any, wide: _Array, j: Any) -> Any:
    """Return sums with ``sums[n] += many[i + n] * wide[j : j + LANES]``."""
    vector = wide.load(j)
    for n in range(TILE):
        number = _spread(builder, many.number(_after(builder, i, n)))
        sums = _add(builder, sums, n, number, vector)
    return sums


@_instruction(_sums)
def along(builder: Any, sums: Any, one: _Array, i: Any, wide: _Array, j: Any) -> Any:
    """Return sums with ``sums[n] += one[i] * wide[j + n LANES :][: LANES]``."""
    number = _spread(builder, one.number(i))
    for n in range(TILE):
        sums = _add(builder, sums, n, number, wide.load(_after(builder, j, n * LANES)))
    return sums


@_instruction(_sums)
def inner(
    builder: Any, sums: Any, array: _Array, starts: _Array, i: Any, j: Any, offset: Any
) -> Any:
    """``sums[2 m + n] += array[starts[i + m] + offset :] * array[starts[j + n] + offset :]``."""

    def load(first: Any, number: int) -> Any:
        return array.load(builder.add(starts.number(_after(builder, first, number)), offset))

    left, right = [load(i, m) for m in range(TILE // 2)], [load(j, n) for n in range(2)]
    for k in range(TILE):
        sums = _add(builder, sums, k, left[k // 2], right[k % 2])
    return sums


@_instruction(types.float32)
def keep(builder: Any, array: _Array, start: Any, step: Any, sums: Any) -> Any:
    """Store ``array[start + n step :][: LANES] = sums[n]`` and return the sum of all squares."""
    squares = _NOTHING
    for n in range(TILE):
        vector = builder.extract_value(sums, n)
        array.store(builder.add(start, builder.mul(step, step.type(n))), vector)
        squares = _fused(builder, squares, vector, vector)
    return _total(builder, squares)


@_instruction(types.void)
def add(builder: Any, array: _Array, start: Any, step: Any, sums: Any) -> None:
    """Add ``sums[n]`` to the double-precision ``array[start + n step :][: LANES]``."""
    for n in range(TILE):
        place = builder.add(start, builder.mul(step, step.type(n)))
        more = builder.fpext(builder.extract_value(sums, n), _DOUBLES)
        array.store(place, builder.fadd(array.load(place, _DOUBLES), more))


@_instruction(types.float32)
def product(builder: Any, one: Any, other: Any) -> Any:
    """Return Σ_n (sum of ``one[n]``) · (sum of ``other[n]``)."""
    found = _NOTHING
    for n in range(TILE):
        total = _spread(builder, _total(builder, builder.extract_value(other, n)))
        found = _fused(builder, found, builder.extract_value(one, n), total)
    return _total(builder, found)


def _after(builder: Any, index: Any, distance: int) -> Any:
    return builder.add(index, index.type(distance))


def _spread(builder: Any, number: Any) -> Any:
    """One number in every lane."""
    nothing = ir.Constant(_VECTOR, ir.Undefined)
    first = builder.insert_element(nothing, number, _INDEX(0))
    return builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(_INDEX, LANES), None))


def _fused(builder: Any, vector: Any, one: Any, other: Any) -> Any:
    """``vector + one * other``, rounded once where the processor can."""
    flags = ("contract",)
    return builder.fadd(vector, builder.fmul(one, other, flags=flags), flags=flags)


def _add(builder: Any, sums: Any, n: int, one: Any, other: Any) -> Any:
    """``sums[n] += one * other``."""
    added = _fused(builder, builder.extract_value(sums, n), one, other)
    return builder.insert_value(sums, added, n)


def _total(builder: Any, vector: Any) -> Any:
    """The sum of all lanes."""
    name = f"llvm.vector.reduce.fadd.v{LANES}f32"
    kind = ir.FunctionType(_NUMBER, [_NUMBER, _VECTOR])
    reduce = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
    return builder.call(reduce, [_NUMBER(0.0), vector], fastmath=("reassoc",))


@jit
def _enter(inputs: Numbers, scratch: Numbers, unit: int, g: Geometry) -> None:
    """Puts one unit's inputs into the scratch buffer."""
    line, wide = g.width * g.channels, (g.width + 2 * g.pad_x) * g.channels
    for sample in range(g.samples):
        for y in range(g.height):
            start = ((unit * g.samples + sample) * g.height + y) * line
            place = (sample * (g.height + 2 * g.pad_y) + g.pad_y + y) * wide + g.pad_x * g.channels
            scratch[place : place + line] = inputs[start : start + line]


@jit
def _enter_finite(inputs: Numbers, scratch: Numbers, unit: int, g: Geometry) -> None:
    """The same, with finite numbers alone."""
    _enter(inputs, scratch, unit, g)
    for i in range(len(scratch)):
        scratch[i] = finite(scratch[i])


@jit
def _scale(
    output_gradients: Numbers, rises: Numbers, n: int, unit: int, weight: np.float32, size: int
) -> None:
    """Puts one unit's finite output gradients, times its weight, into a block's place."""
    for i in range(size):
        rises[n * size + i] = finite(output_gradients[unit * size + i]) * weight


@jit
def finite(number: np.float32) -> np.float32:
    """Bring a number, or what is none, to at most ``MOST`` in magnitude."""
    number = number if number < MOST else MOST
    return number if number > -MOST else -MOST


@jit
def _in_pairs(g: Geometry) -> bool:
    """Whether outputs fill pairs of vectors, and the registers hold the sums of a pair."""
    return HAS_32_REGISTERS and g.out % (2 * LANES) == 0


@jit
def _places(g: Geometry) -> Places:
    """Where the patches under the kernel begin in the scratch buffer, ``(k, rows · columns)``."""
    wide = (g.width + 2 * g.pad_x) * g.channels
    places = np.empty((g.samples, g.rows, g.columns), np.int64)
    for sample in range(g.samples):
        for y in range(g.rows):
            first = sample * (g.height + 2 * g.pad_y) + y * g.step_y
            for x in range(g.columns):
                places[sample, y, x] = first * wide + x * g.step_x * g.channels
    return places.reshape(g.samples, -1)


@inlined_jit
def _one(
    scratch: Numbers, place: int, output_gradients: Numbers, at: int, samples: int, g: Geometry
) -> Any:
    """Σ_t of ``TILE`` inputs by a vector of output gradients, which begin at these places."""
    wide = (g.width + 2 * g.pad_x) * g.channels
    tall, line, total = (g.height + 2 * g.pad_y) * wide, g.step_x * g.channels, none()
    for sample in range(samples):
        sums = none()
        for y in range(g.rows):
            here = place + sample * tall + y * g.step_y * wide
            for _ in range(g.columns):
                sums = outer(sums, scratch, here, output_gradients, at)
                here += line
                at += g.out
        total = plus(total, sums)  # by sample: long sums lose digits
    return total


@inlined_jit
def _two(
    scratch: Numbers, place: int, output_gradients: Numbers, at: int, samples: int, g: Geometry
) -> Any:
    """The same with two vectors of output gradients, so that an input is read once for both."""
    wide = (g.width + 2 * g.pad_x) * g.channels
    tall, line = (g.height + 2 * g.pad_y) * wide, g.step_x * g.channels
    total, further = none(), none()
    for sample in range(samples):
        sums, more = none(), none()
        for y in range(g.rows):
            here = place + sample * tall + y * g.step_y * wide
            for _ in range(g.columns):
                sums = outer(sums, scratch, here, output_gradients, at)
                more = outer(more, scratch, here, output_gradients, at + LANES)
                here += line
                at += g.out
        total, further = plus(total, sums), plus(further, more)
    return total, further


@jit
def rows(
    inputs: Numbers,
    output_gradients: Numbers,
    scratch: Numbers,
    made: Numbers,
    squares: Numbers,
    g: Geometry,
) -> None:
    """Write Σ_t S_t A_tᵀ of every unit into ``made``, and add its squared norm to ``squares``."""
    wide, run, row = (g.width + 2 * g.pad_x) * g.channels, g.kernel_x * g.channels, 0
    unit_size, in_pairs = g.samples * g.rows * g.columns * g.out, _in_pairs(g)
    for unit in range(len(squares)):
        _enter(inputs, scratch, unit, g)
        for ky in range(g.kernel_y):
            for k in range(ky * wide, ky * wide + run, TILE):
                at = unit * unit_size
                for o in range(0, g.out, 2 * LANES if in_pairs else LANES):
                    if in_pairs:
                        one, two = _two(scratch, k, output_gradients, at + o, g.samples, g)
                        squares[unit] += keep(made, row + o, g.out, one)
                        squares[unit] += keep(made, row + o + LANES, g.out, two)
                    else:
                        one = _one(scratch, k, output_gradients, at + o, g.samples, g)
                        squares[unit] += keep(made, row + o, g.out, one)
                row += TILE * g.out


@jit
def weighted_sum(
    inputs: Numbers,
    output_gradients: Numbers,
    weights: Numbers,
    scratch: Numbers,
    rises: Numbers,
    made: NDArray[np.float64],
    g: Geometry,
) -> None:
    """Add Σ_u weights[u] Σ_t S_t A_tᵀ to ``made``: blocks of units, each in double precision.

    ``rises`` is a scratch buffer for the S of a block, whose size it decides. What is no finite
    number belongs to a unit of weight 0, and is taken for a finite one.
    """
    wide, run, units = (g.width + 2 * g.pad_x) * g.channels, g.kernel_x * g.channels, len(weights)
    unit_size, in_pairs = g.samples * g.rows * g.columns * g.out, _in_pairs(g)
    block, tall = len(rises) // unit_size, g.samples * (g.height + 2 * g.pad_y) * wide
    for first in range(0, units, block):
        many, row = min(block, units - first), 0
        for n in range(many):
            _enter_finite(inputs, scratch[n * tall : (n + 1) * tall], first + n, g)
            _scale(output_gradients, rises, n, first + n, weights[first + n], unit_size)
        for ky in range(g.kernel_y):
            for k in range(ky * wide, ky * wide + run, TILE):
                for o in range(0, g.out, 2 * LANES if in_pairs else LANES):
                    if in_pairs:
                        one, two = _two(scratch, k, rises, o, many * g.samples, g)
                        add(made, row + o, g.out, one)
                        add(made, row + o + LANES, g.out, two)
                    else:
                        one = _one(scratch, k, rises, o, many * g.samples, g)
                        add(made, row + o, g.out, one)
                row += TILE * g.out


@jit
def rows_of_few(
    inputs: Numbers,
    output_gradients: Numbers,
    scratch: Numbers,
    made: Numbers,
    squares: Numbers,
    g: Geometry,
) -> None:
    """Do what ``rows`` does for few outputs, with vectors along the inputs.

    ``made`` is ``(U, out, ky, kx·C)``.
    """
    wide, run = (g.width + 2 * g.pad_x) * g.channels, g.kernel_x * g.channels
    places, row = _places(g), 0
    for unit in range(len(squares)):
        _enter(inputs, scratch, unit, g)
        for o in range(g.out):
            for ky in range(g.kernel_y):
                for k in range(0, run, TILE * LANES):
                    total, output_gradient = none(), unit * places.size * g.out + o
                    for sample in range(g.samples):
                        sums = none()
                        for place in places[sample]:
                            sums = along(
                                sums,
                                output_gradients,
                                output_gradient,
                                scratch,
                                place + ky * wide + k,
                            )
                            output_gradient += g.out
                        total = plus(total, sums)
                    squares[unit] += keep(made, row, LANES, total)
                    row += TILE * LANES


@jit
def squared_norms(
    inputs: Numbers,
    output_gradients: Numbers,
    scratch: Numbers,
    rises: Numbers,
    squares: Numbers,
    g: Geometry,
) -> None:
    """Add Σ_{t,t'} ⟨A_t, A_t'⟩ ⟨S_t, S_t'⟩ of every unit to ``squares``.

    ``rises`` is a scratch buffer for S, padded with zeros in its last positions and channels.
    """
    wide, run = (g.width + 2 * g.pad_x) * g.channels, g.kernel_x * g.channels
    length, deep = rises.shape
    positions, lines = _places(g).reshape(-1), np.arange(length) * deep
    flat = rises.reshape(-1)
    places = np.zeros(length, np.int64)
    places[: len(positions)] = positions
    for unit in range(len(squares)):
        _enter(inputs, scratch, unit, g)
        for t in range(len(positions)):
            start = (unit * len(positions) + t) * g.out
            rises[t, : g.out] = output_gradients[start : start + g.out]
        for i in range(0, length, TILE // 2):
            for j in range(i, length, 2):
                alike, rising = none(), none()
                for ky in range(g.kernel_y):
                    for k in range(0, run, LANES):
                        alike = inner(alike, scratch, places, i, j, ky * wide + k)
                for o in range(0, deep, LANES):
                    rising = inner(rising, flat, lines, i, j, o)
                twice = 2 if j >= i + TILE // 2 else 1
                squares[unit] += twice * product(alike, rising)
