"""The record of a running cell: stages are timed, progress is forwarded, curves are kept."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from benchmark.core.coarse import coarse
from benchmark.sweep.judging.testing import Listener


@dataclass
class Watch:
    """Times the stages of a cell, forwards its progress and keeps its curves.

    Attributes:
        listener: Called for every step of a stage.
        seconds: By stage.
        curves: Points as name, step and value.
    """

    listener: Listener
    seconds: dict[str, float] = field(default_factory=dict)
    curves: list[tuple[str, int, float]] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what happens inside the context."""
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 3)

    def seen(self) -> dict[str, Any]:
        """What a checkpoint keeps of it: the curves so far."""
        return {"curves": self.curves}

    def recall(self, said: Mapping[str, Any]) -> None:
        """Goes on from what a checkpoint kept."""
        self.curves = [(str(n), int(step), float(value)) for n, step, value in said["curves"]]

    def taken(self, *, private: bool) -> dict[str, float]:
        """Return the seconds by stage, with ``total``.

        Args:
            private: Whether patients' data influence them; they are coarse then.
        """
        taken = {**self.seconds, "total": round(sum(self.seconds.values()), 3)}
        return {stage: coarse(s) for stage, s in taken.items()} if private else taken

    def hears(self, stage: str) -> Callable[[int, int, Mapping[str, float]], None]:
        """Return a ``Progress`` callback for one stage. It keeps about 200 points of each curve."""

        def progress(step: int, total: int, curves: Mapping[str, float], /) -> None:
            self.listener(stage, step, total)
            if step % max(1, total // 200) == 0:
                self.curves += [(n, step, v) for n, v in curves.items() if math.isfinite(v)]

        return progress
