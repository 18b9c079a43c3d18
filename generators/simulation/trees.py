"""Arterial trees in a box, grown step by step in millimetres, all trees of many boxes at once.

At a branching r₀³ = r₁³ + r₂³ and cos θ₁ = (r₀⁴ + r₁⁴ - r₂⁴) / (2 r₀² r₁²) (Murray 1926, J Gen
Physiol 9, p. 835). Between branchings an artery bends at random and tapers a little. Calibres are
published ones. Where no figure was found, a comment says that the value is a guess, wide on
purpose.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Index = NDArray[np.int64]

CALIBRES_MM = np.array(
    [
        (2.5, 0.3, 0.05),  # cavernous carotid: diameter 5.0 ± 0.6 (Rai et al. 2013)
        (1.8, 0.2, 0.05),  # carotid terminus: 3.6 ± 0.4 (Rai et al. 2013)
        (1.55, 0.2, 0.09),  # M1: 3.1 ± 0.4 (Rai et al. 2013)
        (1.2, 0.2, 0.13),  # M2: 2.4 ± 0.4 (Rai et al. 2013)
        (1.65, 0.4, 0.06),  # vertebral and basilar: 2.8 ± 0.6 to 3.9 ± 0.8 (the same journal)
        (1.35, 0.25, 0.07),  # A1: about 2.2 to 3.2 (10.1111/j.1754-9485.2009.02056.x; eICAB)
        (1.0, 0.25, 0.10),  # P1: about 2 (the same two)
        (0.6, 0.25, 0.45),  # distal branches: a guess, wide on purpose
    ],
    np.float32,
)
"""Radius, its standard deviation, and the share of trees that begin with it (a guess)."""

LEAST_RADIUS_MM = 0.25
"""The thinnest vessel that is seen at 3 T has a diameter of about 0.5 mm (10.3414/ME13-02-0001, an
atlas)."""

THINNEST_MM = (LEAST_RADIUS_MM, 0.5)  # where a tree ends: a guess, wide on purpose
SHARE = (0.1, 0.5)  # of the cubed radius, to the thinner branch: a guess, wide on purpose
LENGTH_MM = 12.0  # of a branch whose radius is 1 mm, the median: a guess
LENGTH_SPREAD = 0.5  # of its logarithm: a guess, wide on purpose
LENGTH_POWER = 0.6  # M1 (radius 1.5) is some 15 mm long, a branch of 0.4 some 7: a guess
TERMINAL_LENGTH, TERMINAL_BENDS = 2.0, 1.5  # terminal branches are longer and less straight (BraVa)
BENDS_PER_MM = (0.01, 0.12)  # curvature: radii from 8 to 100 mm, a guess, wide on purpose
BEND_MM = 5.0  # how far a bend reaches: a guess
TAPER_PER_MM = (0.0, 0.012)  # share of the radius: a guess, wide on purpose
RISE = 1.7  # arteries rise from the base of the skull more than they run along it: a guess
PAIRED = 0.15  # share of trees beside another, as A2 are, or M2 in the fissure: a guess
PAIR_MM = (2.0, 6.0)  # a guess
MARGIN_MM = 2.0  # how far beyond its box a branch may come back from
MOST_STEPS = 250


class Trees(NamedTuple):
    """The beginning of each tree; all ``(t,)`` but the first three ``(t, 3)``.

    Attributes:
        box: The sides of the box that it grows in, mm.
        place: Where it enters its box, mm.
        heading: A unit vector.
        radius: mm.
        thinnest: The radius in mm at which it ends.
        bends: Curvature per mm.
        taper: Share of the radius that is lost per mm.
    """

    box: Array
    place: Array
    heading: Array
    radius: Array
    thinnest: Array
    bends: Array
    taper: Array


class Pieces(NamedTuple):
    """Short straight pieces of vessels ``(k,)``.

    Attributes:
        tree: The tree of each.
        branch: Its branch, between two branchings; unique over all trees.
        parent: The branch from which its branch starts; -1 for none.
        start: ``(k, 3)``, mm.
        along: ``(k, 3)``, from its start to its end.
        radius: mm, at its start.
    """

    tree: Index
    branch: Index
    parent: Index
    start: Array
    along: Array
    radius: Array

    def at(self, chosen: Index) -> Pieces:
        """Return the pieces with some indices."""
        parts: list[Any] = [values[chosen] for values in self]
        return Pieces(*parts)


class _Tips(NamedTuple):
    """The ends that still grow ``(m,)``; ``left`` is how far, in mm, ``curl`` how it bends."""

    tree: Index
    branch: Index
    parent: Index
    place: Array
    heading: Array
    curl: Array
    radius: Array
    left: Array


def enter(box_mm: Array, rng: np.random.Generator) -> Trees:
    """Begin a tree in each box ``(t, 3)``, through a face and towards a point inside."""
    count = len(box_mm)
    kind = rng.choice(len(CALIBRES_MM), count, p=CALIBRES_MM[:, 2] / CALIBRES_MM[:, 2].sum())
    radius = CALIBRES_MM[kind, 0] + CALIBRES_MM[kind, 1] * rng.standard_normal(count, np.float32)
    heading = unit(_normal((count, 3), rng) * np.array([1, 1, RISE], np.float32))
    place = _entry(box_mm * rng.random((count, 3), np.float32), heading, box_mm)
    paired = np.flatnonzero(rng.random(count) < PAIRED)
    paired = paired[paired > 0]
    aside = unit(np.cross(heading[paired - 1], _normal((len(paired), 3), rng)))
    beside = place[paired - 1] + uniform(PAIR_MM, (len(paired), 1), rng) * aside
    place[paired] = np.clip(beside, 0, box_mm[paired])
    heading[paired] = heading[paired - 1]
    return Trees(
        box=box_mm,
        place=place,
        heading=heading,
        radius=np.maximum(radius, 1.2 * LEAST_RADIUS_MM),
        thinnest=uniform(THINNEST_MM, count, rng),
        bends=uniform(BENDS_PER_MM, count, rng),
        taper=uniform(TAPER_PER_MM, count, rng),
    )


def grow(trees: Trees, step_mm: float, rng: np.random.Generator) -> Pieces:
    """Grow every tree until its branches are thinner than it allows or have left the box.

    Guarantees:
        * Murray's law holds at each branching; a branch too thin to be seen is left out.

    Args:
        trees: The beginnings.
        step_mm: The length of a piece.
        rng: The random generator.
    """
    count = len(trees.radius)
    names = np.arange(count)
    none = np.full(count, -1)
    straight = np.zeros_like(trees.place)
    left = _lengths(trees.radius, trees.thinnest, rng)
    tips = _Tips(names, names, none, trees.place, trees.heading, straight, trees.radius, left)
    grown = []
    for _ in range(MOST_STEPS):
        along = step_mm * tips.heading
        state = (tips.tree, tips.branch, tips.parent, tips.place)
        grown.append(Pieces(*state, along, tips.radius))
        tips = _stepped(tips, trees, step_mm, rng)
        ended = tips.left <= 0
        young = _branched(_taken(tips, ended), trees, count, rng)
        count += len(young.tree)
        tips = _joined(_taken(tips, ~ended), young)
        tips = _taken(tips, _goes_on(tips, trees))
        if not len(tips.tree):
            break
    columns: list[Any] = [*zip(*grown, strict=True)]
    return Pieces(*(np.concatenate(column) for column in columns))


def divided(radius: Array, share: Array) -> tuple[Array, Array, Array, Array]:
    """Divide a stem into two branches by Murray's law.

    Args:
        radius: The radius of the stem, ``(n,)``.
        share: The share of the cubed radius for the second branch; in (0, 1).

    Returns:
        The radii of both branches, and the cosines of their angles to the stem.
    """
    first, second = radius * np.cbrt(1 - share), radius * np.cbrt(share)
    fourth, a, b = radius**4, first**4, second**4
    to_first = (fourth + a - b) / (2 * (radius * first) ** 2)
    to_second = (fourth + b - a) / (2 * (radius * second) ** 2)
    return first, second, to_first, to_second


def _stepped(tips: _Tips, trees: Trees, step_mm: float, rng: np.random.Generator) -> _Tips:
    keeps = np.float32(np.exp(-step_mm / BEND_MM))
    bends = trees.bends[tips.tree] * np.where(_is_terminal(tips, trees), TERMINAL_BENDS, 1)
    draws = bends[:, None] * _normal(tips.curl.shape, rng)
    curl = np.asarray(keeps * tips.curl + np.sqrt(1 - keeps**2) * draws, np.float32)
    return tips._replace(
        place=tips.place + step_mm * tips.heading,
        heading=unit(tips.heading + step_mm * curl),
        curl=curl,
        radius=tips.radius * (1 - step_mm * trees.taper[tips.tree]),
        left=tips.left - step_mm,
    )


def _goes_on(tips: _Tips, trees: Trees) -> NDArray[np.bool_]:
    inside = (tips.place >= -MARGIN_MM) & (tips.place <= trees.box[tips.tree] + MARGIN_MM)
    return np.asarray(inside.all(1) & (tips.radius >= trees.thinnest[tips.tree]))


def _branched(tips: _Tips, trees: Trees, first: int, rng: np.random.Generator) -> _Tips:
    """Two branches for every tip, named from ``first`` on."""
    thick, thin, *cosines = divided(tips.radius, uniform(SHARE, len(tips.radius), rng))
    aside = unit(np.cross(tips.heading, _normal(tips.heading.shape, rng)))
    both = _joined(tips, tips)
    cosine = np.clip(np.concatenate(cosines), -1, 1)[:, None]
    sine = np.sqrt(1 - cosine**2)
    radius = np.concatenate([thick, thin])
    return both._replace(
        branch=first + np.arange(len(radius)),
        parent=both.branch,
        heading=unit(cosine * both.heading + sine * np.concatenate([aside, -aside])),
        radius=radius,
        left=_lengths(radius, trees.thinnest[both.tree], rng),
    )


def _lengths(radius: Array, thinnest: Array, rng: np.random.Generator) -> Array:
    spread = np.exp(LENGTH_SPREAD * _normal(radius.shape, rng))
    last = np.where(_ends(radius, thinnest), TERMINAL_LENGTH, 1)
    return np.asarray(LENGTH_MM * radius**LENGTH_POWER * spread * last, np.float32)


def _is_terminal(tips: _Tips, trees: Trees) -> NDArray[np.bool_]:
    return _ends(tips.radius, trees.thinnest[tips.tree])


def _ends(radius: Array, thinnest: Array) -> NDArray[np.bool_]:
    """Whether two equal branches would be too thin."""
    return np.asarray(radius < np.cbrt(2) * thinnest)


def _entry(target: Array, heading: Array, box_mm: Array) -> Array:
    """Where the straight line to a point in a box comes in."""
    steep = np.where(np.abs(heading) < 1e-3, np.float32(1e-3), heading)
    back = np.where(steep > 0, target, target - box_mm) / steep
    return np.asarray(target - back.min(1, keepdims=True) * steep, np.float32)


def _taken(tips: _Tips, chosen: NDArray[np.bool_]) -> _Tips:
    parts: list[Any] = [values[chosen] for values in tips]
    return _Tips(*parts)


def _joined(one: _Tips, other: _Tips) -> _Tips:
    parts: list[Any] = [*zip(one, other, strict=True)]
    return _Tips(*(np.concatenate(pair) for pair in parts))


def _normal(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    return rng.standard_normal(shape, np.float32)


def uniform(ends: tuple[float, float], shape: Any, rng: np.random.Generator) -> Array:
    """Draw float32 values between two ends."""
    low, high = ends
    return np.asarray(low + (high - low) * rng.random(shape, np.float32), np.float32)


def unit(vectors: Array) -> Array:
    """Scale vectors ``(n, 3)`` to length 1."""
    length = np.sqrt((vectors**2).sum(1, keepdims=True))
    return np.asarray(vectors / np.maximum(length, 1e-6), np.float32)
