"""What an attacker can gain from a release: beliefs before and after it, and their curves.

An attacker holds it for likely with probability p that one unit was fitted. Bayes' rule and ε bound
the belief afterwards by e^ε p / (e^ε p + 1 − p), but for a probability of δ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

REFERENCES = (1.0, 3.0, 10.0)
"""The ε of the curves beside a release's own."""

CROWDED = 0.08
"""Curves that are nearer than this where they are named would have names on each other."""

POINTS = 240
STEEPEST = 16.0
"""The curves' points have log-odds between these, so that steep starts are smooth."""


@dataclass(frozen=True)
class Curve:
    """A curve of the picture.

    Attributes:
        name: Its label.
        at: Where the label points to.
        points: Beliefs before and after, from 0 to 1.
        look: ``diagonal``, ``reference`` or ``release``.
    """

    name: str
    at: tuple[float, float]
    points: tuple[tuple[float, float], ...]
    look: str


def belief_after(before: float, epsilon: float) -> float:
    """Bound an attacker's belief after seeing a release.

    Args:
        before: The belief before, in [0, 1].
        epsilon: At least 0; ``inf`` for no bound.

    Returns:
        The largest belief afterwards, e^ε p / (e^ε p + 1 − p).

    Examples:
        >>> belief_after(0.5, 0.0), belief_after(0.25, math.log(3)), belief_after(0.5, 1e5)
        (0.5, 0.5, 1.0)
    """
    if before in (0.0, 1.0):
        return before
    return 1 / (1 + math.exp(-epsilon) * (1 - before) / before)


def curve(name: str, epsilon: float, look: str) -> Curve:
    """Make the curve of an ε.

    Args:
        name: Its label.
        epsilon: At least 0.
        look: How it is drawn.
    """
    steps = (STEEPEST * (2 * i / POINTS - 1) for i in range(POINTS + 1))
    inner = [1 / (1 + math.exp(-step)) for step in steps]
    before = middle(epsilon)
    return Curve(
        name=name,
        at=(before, 1 - before),
        points=tuple((p, belief_after(p, epsilon)) for p in (0.0, *inner, 1.0)),
        look=look,
    )


def references(epsilon: float) -> tuple[float, ...]:
    """Return the ε whose curves are drawn beside that of a release, without crowding it."""
    return tuple(one for one in REFERENCES if abs(middle(one) - middle(epsilon)) > CROWDED)


def middle(epsilon: float) -> float:
    """Return the belief p that can rise to 1 − p: there the curves are furthest apart."""
    return 1 / (1 + math.exp(epsilon / 2)) if epsilon < 1000 else 0.0


def percent(share: float) -> str:
    """Write a belief in percent, rounded up, as readers rely on it as a bound.

    Returns:
        Tenths, or hundredths and thousandths where tenths would say that it is certain.

    Examples:
        >>> percent(0.01), percent(0.88079), percent(0.99939), percent(1.0)
        ('1 %', '88.1 %', '99.94 %', '100 %')
    """
    exact = Decimal(repr(100 * share))
    fine = (exact.quantize(Decimal(step), ROUND_CEILING) for step in ("0.1", "0.01", "0.001"))
    return f"{float(next((one for one in fine if one < 100), 100)):.5g} %"


def odds(delta: float) -> str:
    """Write a probability as one in a number, which is rounded down.

    Examples:
        >>> odds(1e-5), odds(6.25e-06)
        ('100,000', '160,000')
    """
    return f"{int(1 / Decimal(repr(delta))):,}"
