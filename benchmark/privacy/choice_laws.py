"""Conformance laws of private choices: what one unit adds, and how often a candidate wins."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from benchmark.core.budget import Guarantee
from benchmark.core.laws import hold
from benchmark.core.mechanism import Choice, Integers, Noise
from benchmark.privacy.replay import Chosen

DRAWS = 4_000
DEVIATIONS = 5.0
ROUNDING = 1e-9


def noise_is_accounted(name: str, said: Guarantee, made: Iterable[Chosen], noise: Noise) -> None:
    """Check that a choice claims the σ of its law, and that the law draws as σ says.

    Between two candidates a full score apart, the worse one wins with probability e^(-1/σ)/2.

    Args:
        name: The subject's name, for the message.
        said: The claimed guarantee.
        made: The choices of a fit.
        noise: Draws more choices by the same law.

    Raises:
        LawBrokenError: If the law is broken.
    """
    for one in made:
        claimed = one.choice.noise_multiplier
        hold(
            math.isclose(claimed, said.noise_multiplier, rel_tol=ROUNDING)
            and one.choice.sensitivity == said.sensitivity,
            f"noise is that which was accounted; {name} has σ = {claimed:.4g} for "
            f"{said.noise_multiplier:.4g}",
        )
        gap = np.array([round(said.sensitivity / one.choice.spacing), 0], np.int64)
        worse = sum(noise.chosen(gap, one.choice) for _ in range(DRAWS))
        expected = math.exp(-1 / said.noise_multiplier) / 2
        room = DEVIATIONS * math.sqrt(DRAWS * expected * (1 - expected)) + DEVIATIONS
        hold(
            abs(worse - DRAWS * expected) <= room,
            f"a choice has the chance that was accounted; {name} took the worse of two "
            f"{worse / DRAWS:.3g} of the time for {expected:.3g}",
        )


def one_unit_adds_a_full_score_at_most(
    name: str, said: Guarantee, added: Integers, choice: Choice
) -> None:
    """Check that one unit lowers no candidate's sum, and raises none by more than the sensitivity.

    Args:
        name: The subject's name, for the message.
        said: The claimed guarantee.
        added: What the unit adds to each sum, in steps of the grid.
        choice: The grid of the choice.

    Raises:
        LawBrokenError: If the law is broken.
    """
    scores = added * choice.spacing
    hold(
        bool((scores >= 0).all() and (scores <= said.sensitivity * (1 + ROUNDING)).all()),
        f"one {said.unit} adds 0 to {said.sensitivity:.6g} to a candidate's score; one of {name} "
        f"added {scores.min():.6g} to {scores.max():.6g}",
    )


def one_other_unit_moves_a_score_by_a_full_one_at_most(
    name: str, said: Guarantee, moved: Integers, choice: Choice
) -> None:
    """Check that another unit in the place of one moves no candidate's sum beyond the sensitivity.

    Args:
        name: The subject's name, for the message.
        said: The claimed guarantee.
        moved: How far each sum moved, in steps of the grid.
        choice: The grid of the choice.

    Raises:
        LawBrokenError: If the law is broken.
    """
    most = float(np.abs(moved).max()) * choice.spacing
    hold(
        most <= said.sensitivity * (1 + ROUNDING),
        f"another {said.unit} in the place of one moves a candidate's score by "
        f"{said.sensitivity:.6g} at most; one of {name} moved by {most:.6g}",
    )
