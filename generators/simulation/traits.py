"""Traits of simulated patches, by which populations differ.

A trait's value is its quantile q in [0, 1] among all that the data-free simulator draws. Within a
population of parameter θ, with z = Φ⁻¹(θ) and N standard normal,

    q = Φ(√(1 - w²) z + w N),

so q is uniform where θ is: the prior is the data-free simulator itself. w, the share of a trait's
deviation that is within a population, is a guess. It is small for traits that a scanner decides,
and large for those that depend on where the patch was cut.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from generators.simulation.trees import Array, uniform

OF_VESSELS: Mapping[str, float] = {
    "length": 0.7,  # of vessels in a patch around one
    "crowded": 0.7,  # the same of other patches, of which many have none
    "calibre": 0.6,
    "unmarked": 0.7,  # blood that nobody marks: veins, and what is too faint
    "slow": 0.4,  # how much darker thin vessels are
    "labelled": 0.4,  # how much of a pixel must be vessel to be marked
}
"""w of the traits that a plane through vessels has before an image is made of it."""

OF_IMAGES: Mapping[str, float] = {
    "contrast": 0.5,
    "noise": 0.4,
    "correlated": 0.5,
    "blur": 0.4,
    "sharpened": 0.4,
    "darkest": 0.4,
    "brightest": 0.4,
    "fluid": 0.5,
    "tissue": 0.5,
    "edge": 0.6,  # the less, the more fluid there is
    "texture": 0.5,
    "sulci": 0.6,
    "shade": 0.6,
    "border": 0.9,
    "rim": 0.6,
}
"""w of the traits that ``appearance`` adds."""

WITHIN: Mapping[str, float] = {**OF_VESSELS, **OF_IMAGES}
NAMES = tuple(WITHIN)

END = 1e-4
"""How far quantiles stay from 0 and 1."""


class Traits:
    """The quantiles of some patches' traits. Those that are not given are drawn when needed.

    Args:
        given: By name, ``(n,)`` in [0, 1].
    """

    def __init__(self, given: Mapping[str, Array] | None = None) -> None:
        self._given = given or {}

    def uniform(
        self, name: str, ends: tuple[float, float], shape: tuple[int, ...], rng: np.random.Generator
    ) -> Array:
        """Return float32 values between two ends, one for each patch.

        Args:
            name: The trait.
            ends: The values at quantiles 0 and 1.
            shape: The shape of the result, with one entry for each patch.
            rng: Draws a trait that is not given.
        """
        if name not in self._given:
            return uniform(ends, shape, rng)
        low, high = ends
        return np.asarray(low + (high - low) * self._given[name].reshape(shape), np.float32)

    def replaced(self, name: str, ends: tuple[float, float], drawn: Array) -> Array:
        """Return the drawn values, or values between two ends if the trait is given."""
        if name not in self._given:
            return drawn
        low, high = ends
        return np.asarray(low + (high - low) * self._given[name].reshape(drawn.shape), np.float32)

    def happens(
        self, name: str, share: float, shape: tuple[int, ...], rng: np.random.Generator
    ) -> NDArray[np.bool_]:
        """Tell in which patches something occurs that a share of all patches have.

        For given traits, these are the highest quantiles.

        Args:
            name: The trait.
            share: The share, in (0, 1].
            shape: The shape of the result, with one entry for each patch.
            rng: Draws a trait that is not given.
        """
        if name not in self._given:
            return np.asarray(rng.random(shape) < share)
        return np.asarray(self._given[name].reshape(shape) > 1 - share)

    def gated(
        self,
        name: str,
        share: float,
        ends: tuple[float, float],
        shape: tuple[int, ...],
        rng: np.random.Generator,
    ) -> Array:
        """Return 0, or in a share of all patches a value between two ends.

        Args:
            name: The trait.
            share: The share, in (0, 1].
            ends: The least and the largest value.
            shape: The shape of the result, with one entry for each patch.
            rng: Draws a trait that is not given.
        """
        if name not in self._given:
            value = uniform(ends, shape, rng)
            return np.asarray(value * (rng.random(shape) < share), np.float32)
        above = (self._given[name].reshape(shape) - (1 - share)) / share
        low, high = ends
        return np.where(above > 0, low + (high - low) * above, 0).astype(np.float32)

    def between(
        self,
        name: str,
        share: float,
        ends: tuple[float, float],
        shape: tuple[int, ...],
        rng: np.random.Generator,
    ) -> Array:
        """Return 1, or in a share of all patches a log-uniform value between two ends.

        For given traits, the lowest quantiles have the values below 1.

        Args:
            name: The trait.
            share: The share, in (0, 1].
            ends: The least value, below 1, and the largest, above 1.
            shape: The shape of the result, with one entry for each patch.
            rng: Draws a trait that is not given.
        """
        low, high = np.log(ends)
        if name not in self._given:
            there = rng.random(shape) < share
            return np.where(there, np.exp(uniform((low, high), shape, rng)), 1)
        below = -low / (high - low)
        q = self._given[name].reshape(shape)
        at = np.where(q < share * below, q / share, 1 - (1 - q) / share)
        there = (q < share * below) | (q > 1 - share * (1 - below))
        return np.where(there, np.exp(low + (high - low) * at), 1).astype(np.float32)


FREE = Traits()
"""No trait is given."""


def prior(n: int, rng: np.random.Generator) -> Array:
    """Draw parameters θ ``(n, len(NAMES))`` of populations, uniform in [0, 1]."""
    return rng.random((n, len(NAMES)), np.float32)


def within(theta: NDArray[Any], rng: np.random.Generator) -> dict[str, Array]:
    """Draw the quantiles of a patch of each population, by name.

    Args:
        theta: The populations' parameters ``(n, len(NAMES))``.
        rng: The random generator.
    """
    share = np.array([*WITHIN.values()])
    centre = ndtri(np.clip(theta.astype(np.float64), END, 1 - END))
    noise = rng.standard_normal(theta.shape)
    q = np.clip(ndtr(np.sqrt(1 - share**2) * centre + share * noise), END, 1 - END)
    return dict(zip(NAMES, q.T.astype(np.float32), strict=True))
