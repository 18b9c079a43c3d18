"""The lower bound on ε that a number of right guesses proves in a one-run audit.

m canaries enter a fit, each with probability ½ on its own. Afterwards r ≤ m guesses are made about
which did; r is fixed beforehand. Let V be the number of right guesses, and v its value. If the fit
is (ε, δ)-DP, then

    P(V ≥ v) ≤ P(B ≥ v) + 2 m δ · max_{1 ≤ i ≤ v} P(v - i ≤ B < v) / i,

    B ~ Binomial(r, e^ε / (1 + e^ε)),

for any dependence within the run (Steinke, Nasr and Jagielski 2023, arXiv:2305.08846, theorem 5.2).
The least ε at which this bound is not below 5 % is a lower bound on ε with a confidence of 95 %.
"""

from __future__ import annotations

import math

import numpy as np

from benchmark.core.errors import UsageError

CONFIDENCE = 0.95
LARGEST = 50.0


def chance(*, canaries: int, guesses: int, right: int, epsilon: float, delta: float) -> float:
    """Bound the probability that ``right`` or more of ``guesses`` are right under (ε, δ)-DP.

    Args:
        canaries: m.
        guesses: r, fixed beforehand.
        right: v, the right guesses.
        epsilon: ε.
        delta: δ.

    Returns:
        The bound of the module, at most 1.

    Raises:
        UsageError: Unless 0 ≤ right ≤ guesses ≤ canaries.
    """
    if not 0 <= right <= guesses <= canaries:
        raise UsageError(
            f"Expected right <= guesses <= canaries, got {right}, {guesses} and {canaries}."
        )
    from scipy.special import bdtr, bdtrc

    correct = 1 / (1 + math.exp(-epsilon))
    below = np.append(0.0, bdtr(np.arange(right), guesses, correct))  # P(B < i), i from 0 to v
    lengths = np.arange(1, right + 1)
    steepest = float(((below[-1] - below[-1 - lengths]) / lengths).max(initial=0.0))
    beyond = float(bdtrc(right - 1, guesses, correct)) if right else 1.0
    return min(1.0, beyond + 2 * canaries * delta * steepest)


def lower_bound(
    *, canaries: int, guesses: int, right: int, delta: float, confidence: float = CONFIDENCE
) -> float:
    """Return the largest ε that the guesses refute, at least 0.

    Args:
        canaries: m.
        guesses: r, fixed beforehand.
        right: v, the right guesses.
        delta: δ.
        confidence: The confidence of the bound, in (0, 1).

    Returns:
        The bound, to 1e-4, at most ``LARGEST``.

    Raises:
        UsageError: Unless 0 ≤ right ≤ guesses ≤ canaries.
    """

    def refuted(epsilon: float) -> bool:
        found = chance(
            canaries=canaries, guesses=guesses, right=right, epsilon=epsilon, delta=delta
        )
        return found < 1 - confidence

    low, high = 0.0, LARGEST
    if not refuted(low):
        return 0.0
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (middle, high) if refuted(middle) else (low, middle)
    return low


def largest_bound(*, canaries: int, guesses: int, delta: float) -> float:
    """Return the bound if every guess were right. The audit cannot prove a larger ε.

    Args:
        canaries: m.
        guesses: r, fixed beforehand.
        delta: δ.
    """
    return lower_bound(canaries=canaries, guesses=guesses, right=guesses, delta=delta)


def best_number_of_guesses(canaries: int, *, claim: float, separation: float, delta: float) -> int:
    """Choose how many guesses promise the largest bound, from public numbers alone.

    Numbers that could refute the claim are preferred, if there are any.

    Args:
        canaries: m.
        claim: The ε to be refuted.
        separation: Expected distance between the scores of those in and those out, in their
            standard deviations.
        delta: δ.
    """
    from scipy.stats import norm

    def promised(guesses: int) -> float:
        share = guesses / canaries / 2
        low, high = -10.0, 10.0 + separation
        while high - low > 1e-6:
            cut = (low + high) / 2
            above = (norm.sf(cut) + norm.sf(cut - separation)) / 2
            low, high = (cut, high) if above > share else (low, cut)
        accuracy = norm.sf(low - separation) / (norm.sf(low) + norm.sf(low - separation))
        right = math.floor(guesses * accuracy)
        return lower_bound(canaries=canaries, guesses=guesses, right=right, delta=delta)

    shares = (1, 0.75, 0.5, 0.25, 0.125)
    choices = sorted({min(canaries, max(2, 2 * round(canaries * s / 2))) for s in shares})
    able = [n for n in choices if largest_bound(canaries=canaries, guesses=n, delta=delta) > claim]
    return max(able or choices, key=promised)
