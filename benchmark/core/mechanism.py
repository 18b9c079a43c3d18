"""The parts of every private mechanism: integers on a public grid, and random noise on that grid.

A proof about real numbers does not hold for floats. Float noise on a float sum can tell two data
sets apart by the low bits alone (Mironov 2012, doi 10.1145/2382196.2382264). So a mechanism brings
its sums onto a public grid, as integers. It hands them to ``Noise.noised``, which adds noise to
each, or to ``Noise.chosen``, which picks one of them. The result is all that a fit may learn about
its patients. Everything else is post-processing. Tests check this: they feed a fit the mechanism
outputs of another fit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Words = Callable[[int], NDArray[np.uint64]]
"""A function from a count to that many random 64-bit words."""


class NoiseLaw(Protocol):
    """The noise that a mechanism adds: a symmetric distribution over the integers."""

    @property
    def scale(self) -> float:
        """s, the scale of the discrete Gaussian, in steps of the grid."""

    @property
    def deviation(self) -> float:
        """The standard deviation of Gaussian noise of the same privacy cost; a little below s."""

    def draw(self, n: int, words: Words) -> Integers:
        """Draw independent numbers.

        Args:
            n: How many.
            words: Returns the asked number of random 64-bit words.

        Returns:
            int64 ``(n,)``.
        """


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The public grid that a mechanism's sums lie on, and the noise that they get.

    Attributes:
        spacing: γ: the distance between neighbouring grid points, in units of the sum.
        sensitivity: The most that one unit moves the sum, rounding included, in the same units.
        law: The distribution of the noise, in steps of the grid.
    """

    spacing: float
    sensitivity: float
    law: NoiseLaw

    @property
    def noise_multiplier(self) -> float:
        """σ: the noise's standard deviation over the sensitivity."""
        return self.spacing * self.law.deviation / self.sensitivity


class ChoiceLaw(Protocol):
    """A random choice among integers; larger ones are more likely."""

    @property
    def deviation(self) -> float:
        """The standard deviation of the equivalent noise.

        If such noise is added to each number, the largest result is the chosen one.
        """

    def draw(self, sums: Integers, words: Words) -> int:
        """Choose one of the numbers.

        Args:
            sums: int64 ``(K,)``, in steps of the grid.
            words: Returns the asked number of random 64-bit words.

        Returns:
            The index of the chosen one, in [0, K).
        """


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The public grid that the candidates' sums of scores lie on, and how one candidate is chosen.

    Attributes:
        spacing: γ: the distance between neighbouring grid points, in scores.
        sensitivity: The most that one unit adds to any candidate's sum, in scores. A unit never
            lowers a sum.
        law: The distribution of the choice, in steps of the grid.
    """

    spacing: float
    sensitivity: float
    law: ChoiceLaw

    @property
    def noise_multiplier(self) -> float:
        """σ: the noise's standard deviation over the sensitivity."""
        return self.spacing * self.law.deviation / self.sensitivity


class Noise(Protocol):
    """The source of randomness that a guarantee depends on.

    A fit takes all its private randomness from it.
    """

    @property
    def seeded(self) -> bool:
        """Whether a seed repeats it. Noise in data that leave the hospital must not be seeded."""

    def poisson(self, n: int, rate: float) -> NDArray[np.int64]:
        """Draw the units that enter a private step.

        Args:
            n: How many units there are.
            rate: q in (0, 1]: the probability with which each enters, independently.

        Returns:
            The indices of those that enter, rising, int64; possibly none.
        """

    def noised(self, sums: Integers, grid: Grid) -> Integers:
        """Add noise to sums. The result is a mechanism's output.

        Args:
            sums: int64, in steps of the grid.
            grid: The spacing, the sensitivity and the law of the noise.

        Returns:
            The sums with noise, of the same shape, in steps of the grid.
        """

    def chosen(self, sums: Integers, choice: Choice) -> int:
        """Choose a candidate at random. The result is a mechanism's output.

        Args:
            sums: int64 ``(K,)``, the candidates' sums of scores in steps of the grid.
            choice: The spacing, the sensitivity and the law of the choice.

        Returns:
            The index of the chosen one, in [0, K).
        """

    def state(self) -> Mapping[str, Any] | None:
        """Return the state of a seeded source, as JSON can hold it; ``None`` if it has no seed."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Set a seeded source back to an earlier state.

        Args:
            state: What ``state`` returned.
        """
