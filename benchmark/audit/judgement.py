"""Tests of whether guesses about who was in a fit refute its claim.

Each of m candidates enters a fit, or not, by a fair coin of its own. A test is a rule, fixed before
the fit, that makes r guesses from the fit's output; v of them are right. If the fit is (ε, δ)-DP
for a candidate, ``bound.chance`` bounds the probability of v or more right guesses (Steinke, Nasr
and Jagielski 2023, arXiv:2305.08846, theorem 5.2). It holds for any dependence within the run.
Where all guesses are "in", v / (r - v) is the ratio of true to false positives, so the test is that
of TPR ≤ e^ε FPR + δ. The probability of a mistake is divided among the tests (Bonferroni).

The intervals of both rates are those of Clopper and Pearson (1934). They assume that each candidate
is guessed independently of the others, which need not hold for candidates of one run. So they are
printed beside the verdict, and are not part of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.audit.bound import chance, lower_bound
from benchmark.core.budget import Guarantee, Unit

COUNTS = 4
"""How many numbers of nearest candidates are tried."""

SPARE = 1.25
"""The first of these numbers, over the fewest guesses that could refute the claim."""

OUTLIERS = 8
"""At most one candidate in this many is separated from the rest as a group of its own."""

HALVINGS = 6
"""How often the number of candidates is halved in the search for the best one."""

EXPONENT = 700.0
"""The largest ε of which e^ε is computed; above it, the result would be infinite."""

Guesses = NDArray[np.int8]
"""The guesses ``(m,)``: 1 for in, -1 for out, 0 for no guess."""


class Claim(NamedTuple):
    """The claim that is tested: zeroing out one ``unit`` is (ε, δ)-DP."""

    unit: Unit
    epsilon: float
    delta: float

    @classmethod
    def of(cls, planned: Guarantee) -> Claim:
        """Return the claim of a guarantee for its own unit."""
        return cls(planned.unit, planned.epsilon, planned.delta)

    @classmethod
    def of_a_patch(cls, planned: Guarantee) -> Claim:
        """Return the claim of a guarantee for one patch.

        For a guarantee for patients, it is ``epsilon_patch``. If that is missing, or much larger
        than this suite's mechanisms give, the patient's own claim bounds it. A patient can be
        zeroed out and put back without the patch, which is (2 ε, (1 + e^ε) δ)-DP.
        """
        if planned.unit == "patch":
            return cls.of(planned)
        if planned.epsilon_patch is not None and planned.epsilon_patch <= 4 * planned.epsilon:
            return cls("patch", planned.epsilon_patch, planned.delta)
        return cls.of(planned).exchanged._replace(unit="patch")

    @property
    def exchanged(self) -> Claim:
        """What follows for exchanging one unit for another: zeroing out one, putting in the other.

        Zeroing out twice is (2 ε, (1 + e^ε) δ)-DP.
        """
        twice_delta = (1 + math.exp(min(self.epsilon, EXPONENT))) * self.delta
        return self._replace(epsilon=2 * self.epsilon, delta=min(1.0, twice_delta))

    def allowed(self, false: float) -> float:
        """Return the largest true-positive rate at a false-positive rate: min(1, e^ε FPR + δ)."""
        return min(1.0, math.exp(min(self.epsilon, EXPONENT)) * false + self.delta)


class Rate(NamedTuple):
    """A rate with its exact interval (Clopper and Pearson 1934)."""

    found: float
    low: float
    high: float

    @classmethod
    def of(cls, hits: int, trials: int, confidence: float) -> Rate:
        """Compute the rate and its interval.

        Args:
            hits: How many of the trials.
            trials: How many there are; with 0 the rate is NaN and the interval [0, 1].
            confidence: The coverage of the interval, in (0, 1).
        """
        from scipy.stats import beta

        if trials == 0:
            return cls(math.nan, 0.0, 1.0)
        tail = (1 - confidence) / 2
        low = float(beta.ppf(tail, hits, trials - hits + 1)) if hits else 0.0
        high = float(beta.isf(tail, hits + 1, trials - hits)) if hits < trials else 1.0
        return cls(hits / trials, low, high)


class Attempt(NamedTuple):
    """One rule of guessing and its result.

    Attributes:
        rule: In words.
        candidates: m.
        guesses: r.
        right: v, the right guesses.
        delta: δ of the claim.
        confidence: Of this attempt alone, after the correction for several attempts.
        refutes: Whether it refutes the claim.
        true: TPR: the share of the candidates in that are guessed in.
        false: FPR: the share of the candidates out that are guessed in.
    """

    rule: str
    candidates: int
    guesses: int
    right: int
    delta: float
    confidence: float
    refutes: bool
    true: Rate
    false: Rate

    @property
    def bound(self) -> float:
        """The ε that is refuted, at least 0."""
        return self._bound(self.right)

    @property
    def largest(self) -> float:
        """The ε that would be refuted if every guess were right."""
        return self._bound(self.guesses)

    def _bound(self, right: int) -> float:
        return lower_bound(
            canaries=self.candidates,
            guesses=self.guesses,
            right=right,
            delta=self.delta,
            confidence=self.confidence,
        )


class Judgement(NamedTuple):
    """The result of all attempts to refute a claim.

    Attributes:
        claim: The claim.
        candidates: m.
        confidence: Of all attempts together.
        attempts: The result of each rule.
    """

    claim: Claim
    candidates: int
    confidence: float
    attempts: tuple[Attempt, ...]

    @property
    def bound(self) -> float:
        """The largest ε that is refuted, at least 0."""
        return max(tried.bound for tried in self.attempts)

    @property
    def largest(self) -> float:
        """The largest ε that could be refuted."""
        return max(tried.largest for tried in self.attempts)

    @property
    def contradicts(self) -> bool:
        """Whether the claim is refuted."""
        return any(tried.refutes for tried in self.attempts)


def judge(
    claim: Claim,
    guesses: Mapping[str, Guesses],
    included: NDArray[np.bool_],
    *,
    mistake: float,
) -> Judgement:
    """Test a claim by comparing guesses with who was in.

    Args:
        claim: The claim.
        guesses: By the rule that made them, at least one rule; how many guesses each makes was
            fixed before the fit.
        included: ``(m,)``, by fair coins.
        mistake: The largest probability that a true claim is refuted, over all rules.
    """
    confidence = 1 - mistake / len(guesses)
    attempts = [_attempt(claim, rule, made, included, confidence) for rule, made in guesses.items()]
    return Judgement(claim, len(included), 1 - mistake, tuple(attempts))


def _attempt(
    claim: Claim, rule: str, made: Guesses, included: NDArray[np.bool_], confidence: float
) -> Attempt:
    in_, out = made == 1, made == -1
    found, taken = int((in_ & included).sum()), int((in_ & ~included).sum())
    right, guesses = found + int((out & ~included).sum()), int((in_ | out).sum())
    at_most = chance(
        canaries=len(included),
        guesses=guesses,
        right=right,
        epsilon=claim.epsilon,
        delta=claim.delta,
    )
    return Attempt(
        rule=rule,
        candidates=len(included),
        guesses=guesses,
        right=right,
        delta=claim.delta,
        confidence=confidence,
        refutes=at_most < 1 - confidence,
        true=Rate.of(found, int(included.sum()), confidence),
        false=Rate.of(taken, int((~included).sum()), confidence),
    )


def numbers_of_guesses(candidates: int, claim: Claim, *, mistake: float) -> list[int]:
    """Choose how many of the nearest candidates are guessed in, from public numbers alone.

    The numbers rise in equal ratios from little more than the fewest that could refute the claim to
    a quarter of the candidates, which is half of those in.

    Args:
        candidates: m, at least 1.
        claim: The claim.
        mistake: The largest probability that a true claim is refuted by one such number.
    """
    most = max(1, candidates // 4)
    start = min(most, math.ceil(SPARE * fewest_guesses(candidates, claim, mistake=mistake)))
    return sorted({round(k) for k in np.geomspace(start, most, COUNTS)})


def fewest_guesses(candidates: int, claim: Claim, *, mistake: float) -> int:
    """Return the least number of guesses that refute a claim if all are right.

    Args:
        candidates: m.
        claim: The claim.
        mistake: The largest probability that a true claim is refuted.

    Returns:
        The number, searched in coarse steps; m + 1 if none refutes it.
    """
    for count in _ascending(candidates):
        at_most = chance(
            canaries=candidates,
            guesses=count,
            right=count,
            epsilon=claim.epsilon,
            delta=claim.delta,
        )
        if at_most < mistake:
            return count
    return candidates + 1


@lru_cache(maxsize=64)
def number_of_candidates(most: int, claim: Claim, *, mistake: float) -> int:
    """Choose the number of candidates at which the smallest share of right guesses refutes a claim.

    More candidates allow more guesses, but they are also more chances for δ.

    Args:
        most: The largest number.
        claim: The claim.
        mistake: The largest probability that a true claim is refuted.
    """
    choices = [m for m in (most >> i for i in range(HALVINGS)) if m] or [most]
    return min(choices, key=lambda m: fewest_guesses(m, claim, mistake=mistake) / m)


def _ascending(most: int) -> list[int]:
    """Numbers from 1 to ``most``, each larger than the one before by a fifth or so."""
    return sorted({min(most, round(1.2**i)) for i in range(math.ceil(math.log(most + 1, 1.2)) + 1)})


def nearest_in(scores: NDArray[np.float64], count: int) -> Guesses:
    """Guess that the ``count`` candidates with the lowest scores are in, and nothing on others."""
    made = np.zeros(len(scores), np.int8)
    made[np.argsort(scores, kind="stable")[:count]] = 1
    return made


def apart(scores: NDArray[np.float64]) -> Guesses:
    """Guess on all candidates: in below the widest gap between scores, out above it.

    Gaps beyond the outermost eighth of the candidates on either side do not count.
    """
    order = np.argsort(scores, kind="stable")
    edge = max(1, len(scores) // OUTLIERS)
    gaps = np.diff(scores[order])[edge - 1 : len(scores) - edge]
    below = edge + int(gaps.argmax()) if len(gaps) else len(scores) // 2
    made = np.full(len(scores), -1, np.int8)
    made[order[:below]] = 1
    return made
