"""Noise sources that record the outputs of mechanisms, and sources that replay them.

All that a private fit learns of its patients passes through ``Noise.noised`` and ``Noise.chosen``.
If a fit is fed the outputs of another fit, it must end as that one did, whatever its own patients
hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.core.laws import LawBrokenError
from benchmark.core.mechanism import Choice, Grid, Integers, Noise

OTHER_MECHANISMS = "The law is: which mechanisms a fit runs, and how often, depends on no patient."


class Output(NamedTuple):
    """The output of a mechanism: its sums, in steps of the grid, before and after the noise."""

    sums: Integers
    grid: Grid
    noised: Integers


class Chosen(NamedTuple):
    """The choice of a mechanism: the sums, in steps of the grid, and the index of the winner."""

    sums: Integers
    choice: Choice
    winner: int


class Draw(NamedTuple):
    """A Poisson draw: the number of units, the rate, and the indices that entered."""

    units: int
    rate: float
    drawn: NDArray[np.int64]


class Recorder:
    """A noise source that records all draws and outputs, in order.

    Args:
        source: Where noise and draws come from.

    Attributes:
        events: Draws and outputs.
    """

    def __init__(self, source: Noise) -> None:
        self._source = source
        self.events: list[Draw | Output | Chosen] = []

    @property
    def seeded(self) -> bool:
        """Whether the source is seeded."""
        return self._source.seeded

    @property
    def outputs(self) -> list[Output | Chosen]:
        """The recorded outputs and choices, without the draws."""
        return [event for event in self.events if not isinstance(event, Draw)]

    def poisson(self, n: int, rate: float) -> NDArray[np.int64]:
        """Return the source's draw and record it."""
        drawn = self._source.poisson(n, rate)
        self.events.append(Draw(n, rate, drawn))
        return drawn

    def noised(self, sums: Integers, grid: Grid) -> Integers:
        """Return the source's noised sums and record them."""
        found = self._source.noised(sums, grid)
        self.events.append(Output(sums.copy(), grid, found.copy()))
        return found

    def chosen(self, sums: Integers, choice: Choice) -> int:
        """Return the source's choice and record it."""
        found = self._source.chosen(sums, choice)
        self.events.append(Chosen(sums.copy(), choice, found))
        return found

    def state(self) -> Mapping[str, Any] | None:
        """Return the source's state."""
        return self._source.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the source's state."""
        self._source.restore(state)


class Unseeded:
    """A seeded source that claims to be unseeded, so that a fit on patients can be repeated.

    Args:
        source: Where noise and draws come from.
    """

    seeded = False

    def __init__(self, source: Noise) -> None:
        self._source = source

    def poisson(self, n: int, rate: float) -> NDArray[np.int64]:
        """Return the source's draw."""
        return self._source.poisson(n, rate)

    def noised(self, sums: Integers, grid: Grid) -> Integers:
        """Return the source's noised sums."""
        return self._source.noised(sums, grid)

    def chosen(self, sums: Integers, choice: Choice) -> int:
        """Return the source's choice."""
        return self._source.chosen(sums, choice)

    def state(self) -> Mapping[str, Any] | None:
        """Return ``None``, as an unseeded source does."""
        return None

    def restore(self, state: Mapping[str, Any]) -> None:
        """Do nothing."""


class Moved(Unseeded):
    """An unseeded source whose draws are of other units: those that took their places.

    Args:
        source: Where noise and draws come from.
        places: The unit that enters where each would have, int64 ``(N,)``: all units in some order.
    """

    def __init__(self, source: Noise, places: NDArray[np.int64]) -> None:
        super().__init__(source)
        self._places = places

    def poisson(self, n: int, rate: float) -> NDArray[np.int64]:
        """Return the source's draw with the units moved; of another number of units, as it is."""
        drawn = super().poisson(n, rate)
        return np.sort(self._places[drawn]) if n == len(self._places) else drawn


class Replayer(Recorder):
    """A recorder that answers with the outputs of another fit, whatever the sums are.

    Args:
        source: A source like the other fit's. The draws come from it; its noise is discarded.
        outputs: The outputs of the other fit's mechanisms.
    """

    def __init__(self, source: Noise, outputs: Sequence[Output | Chosen]) -> None:
        super().__init__(source)
        self._left: Iterator[Output | Chosen] = iter(outputs)

    def noised(self, sums: Integers, grid: Grid) -> Integers:
        """Return the next recorded output.

        Raises:
            LawBrokenError: If the other fit had no such mechanism at this point.
        """
        super().noised(sums, grid)
        other = next(self._left, None)
        if isinstance(other, Output) and (other.grid, other.sums.shape) == (grid, sums.shape):
            return other.noised.copy()
        raise LawBrokenError(OTHER_MECHANISMS)

    def chosen(self, sums: Integers, choice: Choice) -> int:
        """Return the next recorded choice.

        Raises:
            LawBrokenError: If the other fit had no such mechanism at this point.
        """
        super().chosen(sums, choice)
        other = next(self._left, None)
        if isinstance(other, Chosen) and (other.choice, other.sums.shape) == (choice, sums.shape):
            return other.winner
        raise LawBrokenError(OTHER_MECHANISMS)

    @property
    def is_over(self) -> bool:
        """Whether no recorded output is left. It consumes the next one, so ask once, at the end."""
        return next(self._left, None) is None
