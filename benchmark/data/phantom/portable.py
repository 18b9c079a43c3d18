"""Elementary functions with the same bits on every processor.

NumPy's own use the vector instructions that they find, and the last bit of a single-precision
result depends on these. Some voxels in a million would then round to the next grey value. That is
too few to affect a segmentation, but it changes the cohort's digest. The results could then not be
compared with those of other machines.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]

_LOG2_E = np.float32(1.44269504)
_LOG_2 = (np.float32(-0.693145752), np.float32(-1.42860677e-6))
_ABOVE = (5.08276253e-4, 6.75789699e-3, 5.11451208e-2, 0.247361543, 0.725766461, 1.0)
_BELOW = (2.15950938e-2, -0.274233539, 1.0)


def exp(field: Field) -> Field:
    """Return the exponential of each element, within 3 units in the last place where finite.

    2^k times a ratio of polynomials in what is left of the exponent. Every product is rounded once,
    together with its sum, so that processors with a fused multiply-add and those without agree; the
    coefficients are those of NumPy's kernel for AVX2.
    """
    k = np.rint(field * _LOG2_E)
    rest = _fused(k, _LOG_2[1], _fused(k, _LOG_2[0], field))
    ratio = _polynomial(_ABOVE, rest) / _polynomial(_BELOW, rest)
    return np.asarray(np.ldexp(ratio, k.astype(int)))


def power(field: Field, exponent: float) -> Field:
    """Raise each element to a power, in double precision, and round to single precision."""
    return np.asarray(field.astype(np.float64) ** float(np.float32(exponent)), np.float32)


def _polynomial(coefficients: tuple[float, ...], x: Field) -> Field:
    """Horner's rule, the highest coefficient first."""
    found = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        found = _fused(found, x, np.float32(coefficient))
    return found


def _fused(a: Field, b: Field | np.float32, c: Field | np.float32) -> Field:
    """Rounds a · b + c once; the product is exact in double precision."""
    return np.asarray(a.astype(np.float64) * np.float64(b) + np.float64(c), np.float32)
