"""Coarse times and sizes, so that what is shown of them tells little about any single patient."""

from __future__ import annotations


def coarse(value: float, step: float = 1.0) -> float:
    """Round a value up to ``step`` times a power of two.

    Args:
        value: For example seconds; at least 0.
        step: The least result; above 0.

    Returns:
        The first of ``step``, 2 · ``step``, 4 · ``step`` and so on that is not below ``value``.

    Examples:
        >>> coarse(0.2), coarse(5.0), coarse(11.0, step=10.0)
        (1.0, 8.0, 20.0)
    """
    while step < value:
        step *= 2
    return step
