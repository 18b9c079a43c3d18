"""The seconds and the memory of cells: measured on this machine, or else estimated."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from benchmark.results.spec import RunSpec
from benchmark.sweep.forecast.record import Record
from benchmark.sweep.forecast.reference import Board, scaled
from benchmark.sweep.forecast.work import Work, memory_key, works_of
from benchmark.sweep.inputs import Inputs
from benchmark.sweep.machine import Machine

Source = Literal["measured", "estimated", "rough", "unknown"]
MEASURED, ESTIMATED, ROUGH, UNKNOWN = SOURCES = ("measured", "estimated", "rough", "unknown")
"""On this machine; from the board, with the same settings and sizes; with others, or of too few
cells; not at all."""


class Seconds(NamedTuple):
    """What a stage of a cell takes.

    Attributes:
        stage: Its name.
        seconds: The seconds; 0 where they are unknown.
        spread: The standard deviation over cells that were measured; 0 where it is unknown.
        source: Where the seconds are from.
        coarse: Whether they were rounded up to a power of two, as those of patients' data are.
    """

    stage: str
    seconds: float
    spread: float
    source: Source
    coarse: bool = False


@dataclass(frozen=True, kw_only=True)
class CellForecast:
    """What a cell takes.

    Attributes:
        stages: Its stages.
        mib: Its memory; ``None`` if it is unknown.
        mib_measured: Whether that was measured here.
    """

    stages: Sequence[Seconds]
    mib: float | None
    mib_measured: bool

    @property
    def seconds(self) -> float:
        """All stages that are known."""
        return sum(stage.seconds for stage in self.stages)

    @property
    def sources(self) -> set[Source]:
        """The sources of the stages that matter: a hundredth of the cell, or of unknown length."""
        least = self.seconds / 100
        return {s.source for s in self.stages if s.seconds > least or s.source == UNKNOWN}


class Predictor:
    """Foretells cells. The machine is calibrated only if something has to be estimated.

    Args:
        inputs: The sweep's data, of which only counts and digests are used.
        machine: The machine.
        board: The shipped reference.
        calibration: Returns the seconds of this machine's calibration.
    """

    def __init__(
        self, inputs: Inputs, machine: Machine, board: Board, calibration: Callable[[], float]
    ) -> None:
        self._inputs, self._machine, self._board = inputs, machine, board
        self._record = Record(machine.cache)
        self._calibration = calibration
        self._slower: float | None = None
        self._known: dict[str, CellForecast] = {}

    def of(self, spec: RunSpec) -> CellForecast:
        """Foretell a cell; its seed decides nothing."""
        alike = replace(spec, seed=0).key
        if alike not in self._known:
            self._known[alike] = self._made(spec)
        return self._known[alike]

    def _made(self, spec: RunSpec) -> CellForecast:
        stages = [self._stage(work) for work in works_of(spec, self._inputs, self._machine)]
        measured = self._record.of(memory_key(spec, self._inputs, self._machine))
        mib = measured.mean if measured else self._board.peak_mib.get(spec.generator.name)
        return CellForecast(stages=stages, mib=mib, mib_measured=measured is not None)

    def _stage(self, work: Work) -> Seconds:
        measured = self._record.of(work.key)
        if measured is not None:
            said = measured.mean, measured.spread
            return Seconds(work.stage, *said, "measured", measured.coarse)
        found = scaled(work, self._board)
        if found is None:
            return Seconds(work.stage, 0.0, 0.0, "unknown")
        seconds = found.seconds * self._how_much_slower()
        return Seconds(work.stage, seconds, 0.0, "rough" if found.is_rough else "estimated")

    def _how_much_slower(self) -> float:
        """This machine's calibration over that of the board's machine."""
        if self._slower is None:
            self._slower = self._calibration() / self._board.calibration_s
        return self._slower


def wall_seconds(cells: Iterable[float], side_by_side: int) -> float:
    """Return how long cells take that begin one by one, whenever there is a free worker.

    Args:
        cells: The seconds of each cell, in the order of their start.
        side_by_side: How many run at a time; 1 or more.

    Examples:
        >>> wall_seconds([3, 1, 1, 1], 2)
        3.0
    """
    ends = [0.0] * side_by_side
    for seconds in cells:
        heapq.heapreplace(ends, ends[0] + seconds)
    return max(ends)


def standard_error(cells: Sequence[CellForecast]) -> float:
    """The standard deviation of the sum of all measured stages, cells taken as independent."""
    return math.sqrt(sum(stage.spread**2 for cell in cells for stage in cell.stages))
