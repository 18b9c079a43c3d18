"""The outcomes of a sweep's cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from benchmark.results.spec import RunSpec

State = Literal["done", "kept", "failed", "busy"]


@dataclass(frozen=True)
class Outcome:
    """The outcome of a cell.

    Attributes:
        spec: The cell.
        state: ``done`` if computed now, ``kept`` from before, ``failed``, or ``busy`` where another
            process holds it.
        error: Why it failed: one sentence for a known error, else a traceback.
        trace: The traceback of the failure, if the cell ran in this process.
    """

    spec: RunSpec
    state: State
    error: str = ""
    trace: str = ""
