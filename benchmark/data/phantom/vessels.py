"""Arterial trees: feeding arteries from landmarks, then branching under Murray's law.

At a branching r₀³ = r₁³ + r₂³ (Murray 1926): the cube of the radius is shared out in proportion
to the leaves that each branch feeds. Between branchings an artery tapers a little.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmark.data.phantom import arteries, curves

Points = NDArray[np.float64]
ROOT = -1
LEAST_RADIUS_MM = 0.2
TAPER = 0.90


@dataclass(frozen=True, kw_only=True)
class Segment:
    """An artery between two branchings.

    Attributes:
        points: The centreline ``(n, 3)`` in an adult's mm.
        radius_mm: ``(n,)``, in the scanner's mm.
        parent: Index of the segment that it springs from, or ``ROOT``.
        intracranial: Whether it belongs to the brain, so that an annotator would label it.
    """

    points: Points
    radius_mm: NDArray[np.float64]
    parent: int
    intracranial: bool = True


@dataclass
class Forest:
    """The segments grown so far; parents come before their children."""

    rng: np.random.Generator
    segments: list[Segment] = field(default_factory=list)

    def add(self, points: Points, radius_mm: tuple[float, float], parent: int = ROOT) -> int:
        """Adds a segment that tapers from the first radius to the second; returns its index."""
        radius = np.maximum(np.linspace(*radius_mm, len(points)), LEAST_RADIUS_MM)
        self.segments.append(Segment(points=points, radius_mm=radius, parent=parent))
        return len(self.segments) - 1

    def artery(
        self, landmarks: Points, side: int, radius_mm: tuple[float, float], parent: int = ROOT
    ) -> int:
        """Adds an artery through jittered landmarks, joined to its parent's end."""
        moved = landmarks * (side, 1, 1) + self.rng.normal(0, 1.0, landmarks.shape)
        if parent != ROOT:
            moved[0] = self.segments[parent].points[-1]
        curve = curves.wander(curves.through(moved), self.rng, amplitude_mm=0.5)
        return self.add(curve, radius_mm, parent)

    def end_radius_mm(self, index: int) -> float:
        """A segment's radius at its far end."""
        return float(self.segments[index].radius_mm[-1])

    def grow(self, parent: int, leaves: Points) -> None:
        """Branches from a segment's end until every leaf is reached."""
        self.branch(parent, self._halves(leaves))

    def branch(self, parent: int, groups: list[Points]) -> None:
        """Divides a segment's end into one branch for each group of leaves."""
        total = sum(len(g) for g in groups)
        for group in groups:
            radius = self.end_radius_mm(parent) * (len(group) / total) ** (1 / 3)
            self._reach(parent, group, radius)

    def _reach(self, parent: int, leaves: Points, radius: float) -> None:
        before = self.segments[parent].points
        heading = before[-1] - before[-3]
        heading = heading / np.linalg.norm(heading)
        whole = curves.along_surface(before[-1], heading, leaves.mean(axis=0))
        last = len(leaves) == 1
        share = 1.0 if last else self.rng.uniform(0.35, 0.6)
        path = whole[: max(4, int(share * len(whole)))]
        path = curves.wander(path, self.rng, amplitude_mm=1.6)
        index = self.add(path, (radius, LEAST_RADIUS_MM if last else TAPER * radius), parent)
        if not last:
            self.grow(index, leaves)

    def _halves(self, leaves: Points) -> list[Points]:
        spread = leaves - leaves.mean(axis=0)
        axis = np.argmax((spread**2).sum(axis=0))
        order = np.argsort(leaves[:, axis], kind="stable")
        low, high = max(1, round(0.3 * len(leaves))), max(1, round(0.7 * len(leaves)))
        cut = int(self.rng.integers(low, max(low, min(high, len(leaves) - 1)) + 1))
        return [leaves[order[:cut]], leaves[order[cut:]]]


def grow_vessels(rng: np.random.Generator, *, feeder_radius_mm: float) -> list[Segment]:
    """A patient's arteries: both carotids and the basilar artery, with all that they feed."""
    forest = Forest(rng)
    for side in (1, -1):
        _grow_carotid(forest, side, feeder_radius_mm * rng.normal(1, 0.06))
    _grow_basilar(forest, 0.85 * feeder_radius_mm * rng.normal(1, 0.08))
    return forest.segments


def _shares(radius: float, *parts: float) -> list[float]:
    return [radius * (p / sum(parts)) ** (1 / 3) for p in parts]


def _grow_carotid(forest: Forest, side: int, radius: float) -> None:
    carotid = forest.artery(arteries.CAROTID, side, (1.25 * radius, radius))
    middle, anterior = _shares(forest.end_radius_mm(carotid), 0.66, 0.34)
    m1 = forest.artery(arteries.MIDDLE_1, side, (middle, 0.95 * middle), carotid)
    upper, lower = _shares(forest.end_radius_mm(m1), 0.53, 0.47)
    for landmarks, r, ground in (
        (arteries.MIDDLE_UPPER, upper, arteries.UPPER_GROUND),
        (arteries.MIDDLE_LOWER, lower, arteries.LOWER_GROUND),
    ):
        m2 = forest.artery(landmarks, side, (r, 0.95 * r), m1)
        forest.grow(m2, _leaves(forest.rng, ground, side))
    a1 = forest.artery(arteries.ANTERIOR_1, side, (anterior, 0.97 * anterior), carotid)
    a2_start = forest.end_radius_mm(a1)
    a2 = forest.artery(arteries.ANTERIOR_2, side, (a2_start, 0.92 * a2_start), a1)
    forest.grow(a2, _leaves(forest.rng, arteries.ANTERIOR_GROUND, side))


def _grow_basilar(forest: Forest, radius: float) -> None:
    basilar = forest.artery(arteries.BASILAR, 1, (1.1 * radius, radius))
    parts = _shares(forest.end_radius_mm(basilar), 0.40, 0.40, 0.10, 0.10)
    for side, posterior, cerebellar in ((1, parts[0], parts[2]), (-1, parts[1], parts[3])):
        p1 = forest.artery(arteries.POSTERIOR_1, side, (posterior, 0.97 * posterior), basilar)
        p2_start = forest.end_radius_mm(p1)
        p2 = forest.artery(arteries.POSTERIOR_2, side, (p2_start, 0.92 * p2_start), p1)
        forest.grow(p2, _leaves(forest.rng, arteries.POSTERIOR_GROUND, side))
        s1 = forest.artery(arteries.CEREBELLAR, side, (cerebellar, 0.95 * cerebellar), basilar)
        forest.grow(s1, _leaves(forest.rng, arteries.CEREBELLAR_GROUND, side))


def _leaves(rng: np.random.Generator, ground: arteries.Territory, side: int) -> Points:
    azimuth = np.deg2rad(rng.uniform(*ground.azimuth_deg, ground.leaves))
    elevation = np.deg2rad(rng.uniform(*ground.elevation_deg, ground.leaves))
    level = np.cos(elevation)
    ball = (side * level * np.sin(azimuth), level * np.cos(azimuth), np.sin(elevation))
    depth = rng.uniform(*ground.depth, (ground.leaves, 1))
    return curves.from_ball(depth * np.stack(ball, axis=1))
