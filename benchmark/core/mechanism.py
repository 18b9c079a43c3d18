"""What every private mechanism is made of: whole numbers on a public grid, and chance on that grid.

A proof about real numbers says nothing of floats: noise of one precision on a sum of another tells
two data sets apart by the low bits alone (Mironov 2012, doi 10.1145/2382196.2382264). So a
mechanism brings its sums onto a public grid, as integers, and hands them to ``Noise.noised``, which
adds noise to each, or to ``Noise.chosen``, which picks one of them. What comes back is all that a
fit may learn of its patients. Everything else is post-processing, and tests show that it is by
feeding a fit what another fit's mechanisms put out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Words = Callable[[int], NDArray[np.uint64]]
"""From a count to so many random 64-bit words."""


class NoiseLaw(Protocol):
    """A symmetric distribution over whole numbers."""

    @property
    def scale(self) -> float:
        """s, of the discrete Gaussian that it is."""

    @property
    def deviation(self) -> float:
        """That of the normal number that it costs as much as: a little less than s."""

    def draw(self, n: int, words: Words) -> Integers:
        """Draws ``n`` independent numbers from random words."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The public grid that a mechanism's sums lie on, and the noise that they get.

    Attributes:
        spacing: γ: how far two neighbouring points of the grid lie apart, in units of the sum.
        sensitivity: The most that one unit moves the sum, rounding included, in the same units.
        law: Of the noise, in steps of the grid.
    """

    spacing: float
    sensitivity: float
    law: NoiseLaw

    @property
    def noise_multiplier(self) -> float:
        """σ: the noise's standard deviation over the sensitivity."""
        return self.spacing * self.law.deviation / self.sensitivity


class ChoiceLaw(Protocol):
    """A random choice among whole numbers, of which larger ones are likelier."""

    @property
    def deviation(self) -> float:
        """That of the noise after which the largest number is the chosen one."""

    def draw(self, sums: Integers, words: Words) -> int:
        """Draws the index of one of the numbers from random words."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The public grid that candidates' sums of scores lie on, and how one of them is chosen.

    Attributes:
        spacing: γ: how far two neighbouring points of the grid lie apart, in scores.
        sensitivity: The most that one unit adds to any candidate's sum, in scores; it takes from
            none.
        law: Of the choice, in steps of the grid.
    """

    spacing: float
    sensitivity: float
    law: ChoiceLaw

    @property
    def noise_multiplier(self) -> float:
        """σ: the noise's standard deviation over the sensitivity."""
        return self.spacing * self.law.deviation / self.sensitivity


class Noise(Protocol):
    """The randomness that a guarantee rests on."""

    @property
    def seeded(self) -> bool:
        """Whether a seed repeats it; a release must not be."""

    def poisson(self, n: int, rate: float) -> NDArray[np.int64]:
        """The indices, among ``n`` units, of those that enter; each independently with ``rate``."""

    def noised(self, sums: Integers, grid: Grid) -> Integers:
        """A mechanism's output: its sums, in steps of the grid, plus noise of the grid's law."""

    def chosen(self, sums: Integers, choice: Choice) -> int:
        """A mechanism's output: the index of a sum, in steps of the grid, by the choice's law."""

    def state(self) -> Mapping[str, Any] | None:
        """Where a seeded source stands, for JSON; ``None`` for one that nobody can repeat."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes back to where a seeded source stood."""
