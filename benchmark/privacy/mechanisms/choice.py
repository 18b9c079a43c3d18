"""One private choice among public candidates by the units' scores: ε-DP with δ = 0.

Every unit u scores every candidate r in [0, 1]; the score is cut off to a whole number s_u(r) of
steps of the public grid γ = 2^-20, at most Δ = 2^20 of them. Sums q(r) = Σ_u s_u(r) are exact, and
with q* the largest, **permute-and-flip** (McKenna and Sheldon 2020, arXiv:2010.12603, algorithm 1)
takes candidates in random order and keeps the first whose coin shows heads, which it does with

    p_r = exp(-(q* - q(r)) / (σ Δ)),

drawn exactly (``discrete.happens``): σ is a float, so a fraction. No float is between the scores
and the choice. The public number of units N is a divisor of scores and of Δ alike, and cancels.

*Law.* Let candidates come at uniform times t in [0, 1]. Then r is chosen with the probability

    p_r ∫₀¹ Π_{j≠r} (1 - t p_j) dt,

and so it is as the argmax of q(r) + Z_r with Z of the exponential law of scale σ Δ: r wins at
y = q(r) + Z_r - q* ≥ 0 if all others stay below, and t = e^(-y/σΔ) (Ding et al. 2021,
arXiv:2105.07260).

*Proof of ε = 1/σ.* Neighbours zero out one unit: no sum rises and none falls by more than Δ. Fix
all noise but Z_r. Then r wins if Z_r > max_{j≠r} (q(j) + Z_j) - q(r). Both terms fall by 0 to Δ, so
the threshold moves by at most Δ, up or down, and the probability that an exponential variable
exceeds it changes by a factor of at most e^(Δ/σΔ) = e^(1/σ).  ∎

Were scores free to rise for one candidate and to fall for another, the threshold could move by 2Δ,
and the cost would be 2/σ: McKenna and Sheldon's general case. At σ = 0, for ε = ∞, the first of the
largest in a random order is chosen: the same code.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from benchmark.core.budget import Budget, Guarantee, PublicNumbers
from benchmark.core.mechanism import Choice, Integers, Noise, Words
from benchmark.core.patches import Patches
from benchmark.privacy.accounting.choices import FINENESS, FULL_SCORE, with_noise
from benchmark.privacy.arithmetic import exact_arithmetic
from benchmark.privacy.mechanisms.discrete import Bits, happens
from benchmark.privacy.mechanisms.release import Features, Vectors, vectors_of_units


@dataclass(frozen=True)
class PermuteAndFlip:
    """The law of permute-and-flip (see the module).

    Attributes:
        scale: σ Δ, in steps of the grid; with 0 one of the largest sums is taken.
    """

    scale: Fraction

    @property
    def deviation(self) -> float:
        """The standard deviation of the equivalent exponential noise on each sum."""
        return float(self.scale)

    def draw(self, sums: Integers, words: Words) -> int:
        """Draw the index of a sum.

        All coins are flipped, whichever decides, so their number reveals nothing about the sums.

        Args:
            sums: int64 ``(K,)``, in steps of the grid.
            words: Returns random 64-bit words.

        Returns:
            The index, in [0, K).
        """
        bits, numbers = Bits(words), [int(number) for number in sums]
        heads = [self._heads(max(numbers) - number, bits) for number in numbers]
        order = [*range(len(numbers))]
        drawn: int = order.pop(bits.below(len(order)))
        while not heads[drawn]:
            drawn = order.pop(bits.below(len(order)))
        return drawn

    def _heads(self, gap: int, bits: Bits) -> bool:
        """True with a probability of exp(-gap / scale)."""
        if self.scale == 0:
            return gap == 0
        return happens(gap * self.scale.denominator, self.scale.numerator, bits)


def choice_of(noise_multiplier: float) -> Choice:
    """Return the grid and the law of a choice with noise σ.

    Args:
        noise_multiplier: σ, at least 0.
    """
    return Choice(
        spacing=FULL_SCORE / FINENESS,
        sensitivity=FULL_SCORE,
        law=PermuteAndFlip(Fraction(noise_multiplier) * FINENESS),
    )


def plan_choices(public: PublicNumbers, budget: Budget, *, choices: int = 1) -> Guarantee:
    """Calibrate private choices for a budget; at ε = ∞ they are without noise.

    The δ that is asked for stays in the guarantee and is not spent.

    Args:
        public: The declared numbers of the data.
        budget: The ε, δ and unit that are asked for.
        choices: T, how many the fit makes; at least 1. They are composed.

    Returns:
        The guarantee that ``Election`` runs under.

    Raises:
        UsageError: For ε = 0.
    """
    plain = Guarantee.of(public, replace(budget, epsilon=math.inf), epsilon=math.inf)
    plain = replace(plain, steps=choices)
    return plain if math.isinf(budget.epsilon) else with_noise(plain, budget.epsilon)


Score = Callable[[Vectors], Vectors]
"""A function from units' mean features ``(m, d)`` to scores of K candidates ``(m, K)``, row by
row."""


class Election:
    """Makes the private choices of one fit, by permute-and-flip.

    Reference: McKenna and Sheldon (2020), arXiv:2010.12603, algorithm 1.

    Args:
        guarantee: What ``plan_choices`` returned: unit and σ.
    """

    def __init__(self, guarantee: Guarantee) -> None:
        self.guarantee = guarantee

    @exact_arithmetic()
    def winner(self, patches: Patches, features: Features, score: Score, noise: Noise) -> int:
        """Choose one of K public candidates by the units' scores.

        Args:
            patches: The patients' own; a patient's features are the mean of the patches'.
            features: Maps patches to vectors ``(n, d)``, each from its own patch alone.
            score: Maps units' features ``(m, d)`` to scores ``(m, K)``, row by row. Scores are cut
                off to [0, 1], and one that is not finite counts as 0.
            noise: ``context.noise``.

        Returns:
            The index of the chosen candidate, in [0, K).
        """
        units = vectors_of_units(patches, features, self.guarantee)
        sums = sum(in_steps(score(rows)).sum(0) for rows in units)
        choice = choice_of(self.guarantee.noise_multiplier)
        return noise.chosen(np.asarray(sums, np.int64), choice)


def in_steps(scores: Vectors) -> Integers:
    """Convert scores to whole steps of the grid, cut off to [0, 1] first.

    Args:
        scores: Of any shape; one that is not finite becomes 0.

    Returns:
        int64 of the same shape, in [0, 2^20].

    Examples:
        >>> in_steps(np.array([0.5, 2.0, -1.0, np.nan])).tolist()
        [524288, 1048576, 0, 0]
    """
    sound = np.clip(np.where(np.isfinite(scores), scores, 0.0), 0.0, FULL_SCORE)
    return np.asarray(np.trunc(sound * FINENESS).astype(np.int64))
