"""Compilation of this package's loops by numba, at their first call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def jit(function: Callable[..., Any]) -> Any:
    """Compile a function with numba, and cache the result for all processes where possible."""
    return _jit(function)


def inlined_jit(function: Callable[..., Any]) -> Any:
    """Compile like ``jit``, as part of each caller: what it returns then stays in registers."""
    return _jit(function, inline="always")


def reordering_jit(function: Callable[..., Any]) -> Any:
    """Compile like ``jit``, and let sums be reordered so that vector instructions can add them."""
    return _jit(function, fastmath={"reassoc", "contract"})


def _jit(function: Callable[..., Any], **how: Any) -> Any:
    try:
        return njit(nogil=True, cache=True, **how)(function)
    except RuntimeError:
        return njit(nogil=True, **how)(function)
