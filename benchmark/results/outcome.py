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
        error: Why it failed: one sentence for a known error, else a traceback.
        trace: The traceback of whatever it failed by, where it ran in this very process.
    """

    spec: RunSpec
    state: State
    error: str = ""
    trace: str = ""
