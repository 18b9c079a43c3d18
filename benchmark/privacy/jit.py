"""How this package's loops are compiled: by numba, at their first call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def jit(function: Callable[..., Any]) -> Any:
    """Compiled once for all processes, where there is a place to keep it."""
    return _jit(function)


def reordering_jit(function: Callable[..., Any]) -> Any:
    """The same for sums whose order does not matter, so that vectors add them up."""
    return _jit(function, fastmath={"reassoc", "contract"})


def _jit(function: Callable[..., Any], **how: Any) -> Any:
    try:
        return njit(nogil=True, cache=True, **how)(function)
    except RuntimeError:
        return njit(nogil=True, **how)(function)
