"""Times and sizes that may be seen: so coarse that no single patient moves them, but by luck."""

from __future__ import annotations


def coarse(value: float, step: float = 1.0) -> float:
    """``value`` rounded up to ``step`` times a power of two: 1, 2, 4, 8 and so on.

    Args:
        value: For example seconds; at least 0.
        step: The least that is ever said; above 0.

    Examples:
        >>> coarse(0.2), coarse(5.0), coarse(11.0, step=10.0)
        (1.0, 8.0, 20.0)
    """
    while step < value:
        step *= 2
    return step
