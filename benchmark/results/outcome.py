"""How the cells of a sweep ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from benchmark.results.spec import RunSpec

State = Literal["done", "kept", "failed", "busy"]


@dataclass(frozen=True)
class Outcome:
    """How a cell ended.

    Attributes:
        spec: The cell.
        state: ``done`` if computed now, ``kept`` from before, ``failed``, or ``busy`` where another
            process holds it.
        error: Why it failed; empty otherwise.
    """

    spec: RunSpec
    state: State
    error: str = ""
