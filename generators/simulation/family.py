"""The type of a family of simulated populations."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from generators.simulation.statistics import NAMES
from generators.simulation.statistics import measure as measured
from generators.simulation.trees import Array

Draw = Callable[[Array, int, np.random.Generator], tuple[Array, NDArray[np.uint8]]]


class Prior(Protocol):
    """A function that draws parameters of populations ``(n, p)``, uniform in [0, 1]."""

    def __call__(self, n: int, rng: np.random.Generator) -> Array:
        """Draw the parameters of ``n`` populations."""


class Family(NamedTuple):
    """Populations that differ in their parameters.

    Attributes:
        names: The names of the p parameters.
        prior: Draws them.
        draw: Draws a labelled patch for each row of parameters, given its side and a random
            generator: images float32 ``(n, 1, H, W)`` in [-1, 1] and masks uint8.
        statistics: Names of the d numbers by which populations are distinguished.
        measure: Computes these for labelled patches ``(n, d)``, bounded; nan is missing.
    """

    names: tuple[str, ...]
    prior: Prior
    draw: Draw
    statistics: tuple[str, ...] = NAMES
    measure: Callable[[Array, NDArray[np.uint8]], Array] = measured


def in_parts(draw: Draw, at_once: int) -> Draw:
    """Return a function that draws like ``draw``, some patches at a time, to bound the memory."""

    def drawn(theta: Array, size: int, rng: np.random.Generator) -> tuple[Array, NDArray[np.uint8]]:
        images = np.empty((len(theta), 1, size, size), np.float32)
        masks = np.empty(images.shape, np.uint8)
        for start in range(0, len(theta), at_once):
            now = slice(start, start + at_once)
            images[now], masks[now] = draw(theta[now], size, rng)
        return images, masks

    return drawn
