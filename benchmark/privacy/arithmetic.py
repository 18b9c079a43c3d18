"""The arithmetic of a computation: exact for every private mechanism, bf16 for judges if asked.

A mechanism's proof counts on float32's own rounding. Two things could take it away from outside:
``torch.autocast``, and a backend that is allowed to round float32 factors to tf32 or bf16. Torch
allows cuDNN's convolutions tf32 unless it is told otherwise. ``exact_arithmetic`` forbids both,
whatever the caller has set.

bf16 keeps float32's range and 8 of its 24 bits. Factors are rounded to it, sums stay in float32.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

EXACT, BF16 = "exact", "bf16"
FAST = "fast"
"""What a user asks for: bf16 where the machine has it."""

IEEE = "ieee"


@contextmanager
def exact_arithmetic() -> Iterator[None]:
    """Compute float32 as float32, whatever autocast or backend setting is in force outside.

    The settings of the backends are the process's; those of autocast are the thread's. All are
    restored at the end, those of the process at the end of the last thread that is in here.
    """
    import torch  # a plan needs none, and imports what is exact

    _BACKENDS.begin()
    try:
        with torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
            yield
    finally:
        _BACKENDS.end()


@contextmanager
def denormals_as_zero() -> Iterator[None]:
    """Count numbers below 2^-126 as zero in this thread, as some processors are slow with them.

    Whoever chooses the weights could else make a step slow for some patients and not for others
    (Andrysco et al. 2015, "On subnormal floating point and abnormal timing"). Norms that clip allow
    for it: a product that is too small to represent counts as 2^-126 in them.
    """
    import torch

    supported = torch.set_flush_denormal(True)
    try:
        yield
    finally:
        if supported:
            torch.set_flush_denormal(False)


class _Backends:
    """The process's settings, for as long as any thread computes exactly."""

    def __init__(self) -> None:
        self._lock, self._inside = threading.Lock(), 0
        self._before: list[str] = []

    def begin(self) -> None:
        with self._lock:
            if not self._inside:
                self._before = [backend.fp32_precision for backend in _backends()]
            for backend in _backends():
                backend.fp32_precision = IEEE
            self._inside += 1

    def end(self) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                for backend, earlier in zip(_backends(), self._before, strict=True):
                    backend.fp32_precision = earlier


_BACKENDS = _Backends()


def _backends() -> list[Any]:
    import torch

    known: Any = torch.backends  # whose parts torch's types leave out
    return [known.cuda.matmul, known.cudnn.conv, known.mkldnn.matmul, known.mkldnn.conv]


def arithmetic(name: str, device: str) -> AbstractContextManager[None]:
    """Return the context in which a computation that is not private runs.

    Args:
        name: ``exact`` or ``bf16``.
        device: A torch device's name.
    """
    return exact_arithmetic() if name == EXACT else _bf16(device)


@contextmanager
def _bf16(device: str) -> Iterator[None]:
    import torch

    # Inside another autocast, even one that is off, cached weights would outlive optimiser steps.
    with torch.autocast(torch.device(device).type, torch.bfloat16, cache_enabled=False):
        yield


def has_bf16(device: str) -> bool:
    """Tell whether a device multiplies bf16 itself; others would emulate it, more slowly.

    Args:
        device: A torch device's name.
    """
    import torch

    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    return kind == "cpu" and (
        torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    )
