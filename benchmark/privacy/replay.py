"""Noise that remembers what mechanisms put out, and noise that puts the same out again.

All that a private fit learns of its patients passes through ``Noise.noised`` and ``Noise.chosen``.
Fed the outputs of another fit, it must end as that one did, whatever its own patients hold.
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
    """What a mechanism put out: its sums, in steps of the grid, before and after the noise."""

    sums: Integers
    grid: Grid
    noised: Integers


class Chosen(NamedTuple):
    """What a mechanism chose: the sums, in steps of the grid, and which of them."""

    sums: Integers
    choice: Choice
    winner: int


class Draw(NamedTuple):
    """A Poisson draw: of how many units, at what rate, and who entered."""

    units: int
    rate: float
    drawn: NDArray[np.int64]


class Recorder:
    """A source of noise that remembers everything it was asked for, in order.

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
        """As the source."""
        return self._source.seeded

    @property
    def outputs(self) -> list[Output | Chosen]:
        """What mechanisms put out."""
        return [event for event in self.events if not isinstance(event, Draw)]

    def poisson(self, n: int, rate: float) -> NDArray[np.int64]:
        """The source's draw."""
        drawn = self._source.poisson(n, rate)
        self.events.append(Draw(n, rate, drawn))
        return drawn

    def noised(self, sums: Integers, grid: Grid) -> Integers:
        """The source's answer."""
        found = self._source.noised(sums, grid)
        self.events.append(Output(sums.copy(), grid, found.copy()))
        return found

    def chosen(self, sums: Integers, choice: Choice) -> int:
        """The source's answer."""
        found = self._source.chosen(sums, choice)
        self.events.append(Chosen(sums.copy(), choice, found))
        return found

    def state(self) -> Mapping[str, Any] | None:
        """The source's."""
        return self._source.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """The source's."""
        self._source.restore(state)


class Unseeded:
    """A seeded source that says it is none: what a fit on patients sees, and can be repeated.

    Args:
        source: Where noise and draws come from.
    """

    seeded = False

    def __init__(self, source: Noise) -> None:
        self._source = source

    def poisson(self, n: int, rate: float) -> NDArray[np.int64]:
        """The source's draw."""
        return self._source.poisson(n, rate)

    def noised(self, sums: Integers, grid: Grid) -> Integers:
        """The source's answer."""
        return self._source.noised(sums, grid)

    def chosen(self, sums: Integers, choice: Choice) -> int:
        """The source's answer."""
        return self._source.chosen(sums, choice)

    def state(self) -> Mapping[str, Any] | None:
        """Nobody knows it."""
        return None

    def restore(self, state: Mapping[str, Any]) -> None:
        """Nothing to go on from."""


class Replayer(Recorder):
    """A recorder that answers with the outputs of another fit, whatever the sums are.

    Args:
        source: A source like the other fit's: the draws are its own, and its noise is passed over.
        outputs: What the other fit's mechanisms put out.
    """

    def __init__(self, source: Noise, outputs: Sequence[Output | Chosen]) -> None:
        super().__init__(source)
        self._left: Iterator[Output | Chosen] = iter(outputs)

    def noised(self, sums: Integers, grid: Grid) -> Integers:
        """The next recorded output.

        Raises:
            LawBrokenError: If the other fit had no such mechanism then.
        """
        super().noised(sums, grid)
        other = next(self._left, None)
        if isinstance(other, Output) and (other.grid, other.sums.shape) == (grid, sums.shape):
            return other.noised.copy()
        raise LawBrokenError(OTHER_MECHANISMS)

    def chosen(self, sums: Integers, choice: Choice) -> int:
        """The next recorded choice.

        Raises:
            LawBrokenError: If the other fit had no such mechanism then.
        """
        super().chosen(sums, choice)
        other = next(self._left, None)
        if isinstance(other, Chosen) and (other.choice, other.sums.shape) == (choice, sums.shape):
            return other.winner
        raise LawBrokenError(OTHER_MECHANISMS)

    @property
    def is_over(self) -> bool:
        """Whether nothing is left that the other fit's mechanisms put out."""
        return next(self._left, None) is None
