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
    """The noise that a mechanism adds: a symmetric distribution over whole numbers."""

    @property
    def scale(self) -> float:
        """s, the scale of the discrete Gaussian, in steps of the grid."""

    @property
    def deviation(self) -> float:
        """The deviation of the normal number that costs as much privacy: a little less than s."""

    def draw(self, n: int, words: Words) -> Integers:
        """Draw independent numbers.

        Args:
            n: How many.
            words: Gives so many random 64-bit words as it is asked for.

        Returns:
            int64 ``(n,)``.
        """


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
    """A random choice among whole numbers, in which larger numbers are likelier."""

    @property
    def deviation(self) -> float:
        """The deviation of the noise after which the largest number would be the chosen one."""

    def draw(self, sums: Integers, words: Words) -> int:
        """Choose one of the numbers.

        Args:
            sums: int64 ``(K,)``, in steps of the grid.
            words: Gives so many random 64-bit words as it is asked for.

        Returns:
            The index of the chosen one, in [0, K).
        """


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
    """The randomness that a guarantee rests on; a fit takes all of it from here."""

    @property
    def seeded(self) -> bool:
        """Whether a seed repeats it. Noise of data that are given away must not be seeded."""

    def poisson(self, n: int, rate: float) -> NDArray[np.int64]:
        """Draw the units that enter a private step.

        Args:
            n: How many units there are.
            rate: q in (0, 1]: the probability with which each enters, independently.

        Returns:
            The indices of those that enter, rising, int64; possibly none.
        """

    def noised(self, sums: Integers, grid: Grid) -> Integers:
        """Add noise: a mechanism's output.

        Args:
            sums: int64, in steps of the grid.
            grid: The spacing, the sensitivity and the law of the noise.

        Returns:
            The sums with noise, of the same shape, in steps of the grid.
        """

    def chosen(self, sums: Integers, choice: Choice) -> int:
        """Choose a candidate: a mechanism's output.

        Args:
            sums: int64 ``(K,)``, the candidates' sums of scores in steps of the grid.
            choice: The spacing, the sensitivity and the law of the choice.

        Returns:
            The index of the chosen one, in [0, K).
        """

    def state(self) -> Mapping[str, Any] | None:
        """Return where a seeded source stands, for JSON; ``None`` for one that nobody repeats."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to where a seeded source stood.

        Args:
            state: What ``state`` returned.
        """
