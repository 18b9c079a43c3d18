"""Conversion of exact fractions to floats that are never smaller, for upper bounds on ε."""

from __future__ import annotations

import math
from fractions import Fraction


def least_float(exact: Fraction) -> float:
    """Return the least float that is not below a fraction.

    Args:
        exact: The fraction.

    Returns:
        The float; infinity if the fraction is above all floats.

    Examples:
        >>> least_float(Fraction(1, 10)) >= Fraction(1, 10), least_float(Fraction(2))
        (True, 2.0)
    """
    try:
        near = float(exact)
    except OverflowError:
        return math.inf
    return near if Fraction(near) >= exact else math.nextafter(near, math.inf)
