"""The laws that private noise and private choices are drawn by: the suite's own, and no others.

A guarantee is accounted for the law of a grid. A class from elsewhere could say one law and draw
another, where nobody measures it. So noise sources draw by these classes alone.
"""

from __future__ import annotations

from benchmark.core.errors import PlugInError
from benchmark.core.mechanism import Choice, ChoiceLaw, Grid, NoiseLaw
from benchmark.privacy.mechanisms.choice import PermuteAndFlip
from benchmark.privacy.mechanisms.discrete import Exact, Layered
from benchmark.privacy.mechanisms.shared_noise import InShares

NOISE_LAWS: tuple[type[NoiseLaw], ...] = (Exact, Layered, InShares)
"""The last one refuses to draw: what is drawn in its place is a share of it."""

CHOICE_LAWS: tuple[type[ChoiceLaw], ...] = (PermuteAndFlip,)


def noise_law(grid: Grid) -> NoiseLaw:
    """Return the law of a grid's noise.

    Args:
        grid: The grid of a mechanism.

    Raises:
        PlugInError: If the grid or its law is of another class than the suite's own.
    """
    law = grid.law
    if type(grid) is Grid and type(law) in NOISE_LAWS:
        return law
    raise PlugInError(
        f"Private noise is drawn by a law of the suite's own, got {type(law).__name__} on a "
        f"{type(grid).__name__}; take the grid of Release or of Step."
    )


def choice_law(choice: Choice) -> ChoiceLaw:
    """Return the law of a private choice.

    Args:
        choice: The grid of a choice.

    Raises:
        PlugInError: If the grid or its law is of another class than the suite's own.
    """
    law = choice.law
    if type(choice) is Choice and type(law) in CHOICE_LAWS:
        return law
    raise PlugInError(
        f"A private choice is made by a law of the suite's own, got {type(law).__name__} on a "
        f"{type(choice).__name__}; take the one of Election."
    )
