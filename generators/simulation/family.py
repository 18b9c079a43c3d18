"""What a family of simulated populations is."""

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
    """Draws parameters of populations ``(n, p)`` in [0, 1], uniform."""

    def __call__(self, n: int, rng: np.random.Generator) -> Array:
        """Parameters of ``n`` populations."""


class Family(NamedTuple):
    """Populations that differ by parameters.

    Attributes:
        names: Of the p parameters.
        prior: Draws them.
        draw: A labelled patch for each row of parameters, from its side and random draws: images
            float32 ``(n, 1, H, W)`` in [-1, 1] and masks uint8.
        statistics: Names of the d numbers by which populations are told apart.
        measure: Those of labelled patches ``(n, d)``, bounded; nan is missing.
    """

    names: tuple[str, ...]
    prior: Prior
    draw: Draw
    statistics: tuple[str, ...] = NAMES
    measure: Callable[[Array, NDArray[np.uint8]], Array] = measured


def in_parts(draw: Draw, at_once: int) -> Draw:
    """The same patches, drawn some at a time, so that memory does not grow with them."""

    def drawn(theta: Array, size: int, rng: np.random.Generator) -> tuple[Array, NDArray[np.uint8]]:
        images = np.empty((len(theta), 1, size, size), np.float32)
        masks = np.empty(images.shape, np.uint8)
        for start in range(0, len(theta), at_once):
            now = slice(start, start + at_once)
            images[now], masks[now] = draw(theta[now], size, rng)
        return images, masks

    return drawn
