"""Noise over the integers: the discrete Gaussian, exact, or fast with a negligible error.

The discrete Gaussian of scale s gives k the probability exp(-k²/2s²) / Σ_j exp(-j²/2s²). As noise
on integers it costs what a normal number does. *Proof.* Let N(0, τ²), τ² = s² - 1/12, be added to
an integer and the sum be rounded: post-processing of the Gaussian mechanism. With x = k/τ, the
logarithm of the rounded law's probability of k over the discrete Gaussian's is

    -(x⁴ - 6x² + 3) / (2880 s⁴) + O(s⁻⁶),

as 1/12 is the variance of a rounding error, so that all terms in 1/s² cancel. Half the mean of its
magnitude is 0.00049 / s⁴, so the two laws are 1/(1000 s⁴) apart in total variation at most for
s ≥ 16; the tests compute the distance itself. Over n numbers it is n times that (``distance``), and
(1 + e^ε) times as much joins δ.  ∎

``Exact`` is Canonne, Kamath and Steinke (2020), arXiv:2004.00010, algorithms 1 to 3: rejection from
integers alone, about 20 µs a number. ``Layered`` is for millions of numbers: A_0 + m A_1 + m² A_2 …
with independent A_i of a small scale a, each looked up in a table of 256-bit probabilities. *Proof
that it is the discrete Gaussian of scale a √(1 + m² + m⁴ …).* For the first two terms, completing
the square, P(A_0 + m A_1 = x) is proportional to exp(-x²/2s²) Σ_j exp(-(j - c x)²/2b²), with
b² = a² / (m² + 1) and some constant c; by Poisson's summation that sum is √(2π) b (1 + 2 Σ_i
e^(-2π²i²b²) cos(2πi c x)), so constant but for a factor of 1 ± 3 e^(-2π²b²). Here a ≥ 3.2 m, so
that b ≥ 3 and the factor is 1 ± 2^-250; the further terms are alike (Micciancio and Walter 2017,
doi 10.1007/978-3-319-63715-0_16, section 4).  ∎
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.core.mechanism import Integers, Words

SMALL_SCALE = 4096
"""a, the scale of the numbers that are looked up in a table."""

LARGEST_FACTOR = 1280
"""The largest m. Above it, the sum of layers would differ visibly from a discrete Gaussian."""

WORD = 64
PRECISION = 256
"""Bits of each probability in the table."""

_AT_A_TIME = 1 << 13
"""How many numbers are drawn at once, so that their random words stay in the nearest caches."""

_DIGITS = 100
_ROUNDING = 2.0**-150
"""An upper bound on one layer's distance from its law: the table's precision, its end, the
layers."""


def distance(numbers: float, scale: float) -> float:
    """Bound how far numbers of the discrete Gaussian are from rounded normal ones.

    Args:
        numbers: n, over all steps.
        scale: s, at least 16.

    Returns:
        An upper bound on the total variation distance; see the module.
    """
    return numbers * (1 / (1000 * scale**4) + _ROUNDING)


class Bits:
    """Random bits, taken from words one by one.

    Args:
        words: The source of random words.
    """

    _BLOCK = 64

    def __init__(self, words: Words) -> None:
        self._words, self._pool, self._left = words, 0, 0

    def take(self, count: int) -> int:
        """Return an integer of ``count`` random bits."""
        while self._left < count:
            block = int.from_bytes(self._words(self._BLOCK).tobytes(), "little")
            self._pool |= block << self._left
            self._left += self._BLOCK * WORD
        found = self._pool & ((1 << count) - 1)
        self._pool >>= count
        self._left -= count
        return found

    def below(self, bound: int) -> int:
        """Return a uniform integer in [0, ``bound``)."""
        length = (bound - 1).bit_length()
        while (found := self.take(length)) >= bound:
            pass
        return found


@dataclass(frozen=True)
class Exact:
    """The exact discrete Gaussian (Canonne, Kamath and Steinke 2020, algorithms 1 to 3).

    Attributes:
        scale: s, a whole number of at least 1.
    """

    scale: int

    @property
    def deviation(self) -> float:
        """√(s² - 1/12): the standard deviation of normal noise of the same privacy cost."""
        return math.sqrt(self.scale**2 - 1 / 12)

    def draw(self, n: int, words: Words) -> Integers:
        """Draw ``n`` independent numbers, int64 ``(n,)``."""
        bits = Bits(words)
        return np.array([self._one(bits) for _ in range(n)], np.int64)

    def _one(self, bits: Bits) -> int:
        """Algorithm 3: from a discrete Laplace law, what is too likely there is thinned out."""
        s, t = self.scale, self.scale + 1
        while True:
            found = _laplace(t, bits)
            if happens((abs(found) * t - s * s) ** 2, 2 * s * s * t * t, bits):
                return found


def _laplace(t: int, bits: Bits) -> int:
    """Algorithm 2: k with a probability proportional to exp(-|k| / t)."""
    while True:
        rest = bits.below(t)
        if not happens(rest, t, bits):
            continue
        whole = 0
        while happens(1, 1, bits):
            whole += 1
        found, negative = rest + t * whole, bits.take(1)
        if found or not negative:
            return -found if negative else found


def happens(above: int, below: int, bits: Bits) -> bool:
    """Return true with a probability of exactly exp(-``above`` / ``below``).

    Reference: Canonne, Kamath and Steinke (2020), arXiv:2004.00010, algorithm 1.

    Args:
        above: At least 0.
        below: At least 1.
        bits: The source of random bits.
    """
    while above > below:
        if not happens(1, 1, bits):
            return False
        above -= below
    k = 1
    while bits.below(below * k) < above:
        k += 1
    return k % 2 == 1


@dataclass(frozen=True)
class Layered:
    """The discrete Gaussian of scale a √(1 + m² + m⁴ …), drawn from tables.

    Attributes:
        factor: m, in [1, ``LARGEST_FACTOR``].
        layers: How many terms there are.

    Raises:
        ValueError: At construction, for a factor out of range.
    """

    factor: int
    layers: int
    _powers: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 1 <= self.factor <= LARGEST_FACTOR:
            raise ValueError(f"Expected factor in [1, {LARGEST_FACTOR}], got {self.factor}.")
        object.__setattr__(self, "_powers", tuple(self.factor**i for i in range(self.layers)))

    @classmethod
    def of_scale(cls, least: float) -> Layered:
        """Return the law of scale ``least`` or more with the fewest layers.

        Of those, it has the smallest scale.

        Args:
            least: The least scale.
        """
        layers = 2
        while cls(LARGEST_FACTOR, layers).scale < least:
            layers += 1
        low, high = 1, LARGEST_FACTOR
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if cls(middle, layers).scale >= least else (middle + 1, high)
        return cls(low, layers)

    @property
    def scale(self) -> float:
        """s, the scale of the whole sum."""
        return SMALL_SCALE * math.sqrt(sum(power**2 for power in self._powers))

    @property
    def deviation(self) -> float:
        """√(s² - 1/12): the standard deviation of normal noise of the same privacy cost."""
        return math.sqrt(self.scale**2 - 1 / 12)

    def draw(self, n: int, words: Words) -> Integers:
        """Draw ``n`` independent numbers from at least 64 random bits for each layer."""
        found = np.zeros(n, np.int64)
        for start in range(0, n, _AT_A_TIME):
            self._fill(found[start : start + _AT_A_TIME], words)
        return found

    def _fill(self, found: Integers, words: Words) -> None:
        """Adds a number to each of these zeros."""
        from benchmark.privacy.mechanisms.lookup import looked_up

        known, table, ties = words(len(found) * self.layers), _table(), 0
        rows = known.reshape(self.layers, len(found))
        for power, row in zip(self._powers, rows, strict=True):
            ties += looked_up(row, table.heads, table.guide, power, found)
        if ties:
            found[:] = self._untied(rows, words)

    def _untied(self, known: NDArray[np.uint64], words: Words) -> Integers:
        """The same where some first 64 bits do not tell two numbers apart: further bits do."""
        found = np.zeros(known.shape[1], np.int64)
        for power, row in zip(self._powers, known, strict=True):
            found += power * np.array([_searched(int(word), words) for word in row], np.int64)
        return found


class MagnitudeLaw(NamedTuple):
    """The law of the magnitude of a discrete Gaussian of scale a, as a lookup table.

    Attributes:
        whole: P(|A| ≤ k) for k = 0, 1, …, in units of 2^-256; the last is 1.
        heads: Their first 63 bits.
        guide: For each value of a word's first bits, the least possible k.
    """

    whole: tuple[int, ...]
    heads: NDArray[np.uint64]
    guide: NDArray[np.int32]


GUIDE_BITS = 15


@lru_cache(maxsize=1)
def _table() -> MagnitudeLaw:
    with localcontext() as context:
        context.prec = _DIGITS
        weights, falls = [Decimal(1)], (Decimal(-1) / (2 * SMALL_SCALE**2)).exp()
        weight, fall = Decimal(2), falls  # w_k = 2 e^(-k²/2a²); w_{k+1} / w_k = e^(-(2k+1)/2a²)
        while weight > Decimal(2) ** -PRECISION:
            weight *= fall
            fall *= falls * falls
            weights.append(weight)
        total, so_far, whole = sum(weights), Decimal(0), []
        for one in weights:
            so_far += one
            whole.append(int(so_far / total * 2**PRECISION))
    whole[-1] = 1 << PRECISION
    heads = np.array([min(w >> (PRECISION - 63), (1 << 63) - 1) for w in whole], np.uint64)
    starts = np.arange(1 << GUIDE_BITS, dtype=np.uint64) << np.uint64(63 - GUIDE_BITS)
    return MagnitudeLaw(
        tuple(whole), heads, np.searchsorted(heads, starts, "left").astype(np.int32)
    )


def _searched(word: int, words: Words) -> int:
    """A number of the law by the whole table: 1 bit for its sign, then 63, and all others."""
    from bisect import bisect_right

    below = PRECISION - 63
    more = int.from_bytes(words(-(-below // WORD)).tobytes(), "little") & ((1 << below) - 1)
    uniform = (word >> 1 << below) | more
    magnitude = bisect_right(_table().whole, uniform)
    return -magnitude if word & 1 else magnitude
