"""Arterial trees that grow under Murray's law.

At a branching r₀³ = r₁³ + r₂³ (Murray 1926). Branches without landmarks share the cube of the
radius in proportion to the leaves that each feeds. Between branchings an artery tapers a little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmark.data.phantom import curves
from benchmark.data.phantom.arteries import Ground

Points = NDArray[np.float64]

ROOT = -1
LEAST_RADIUS_MM = 0.2
TRUNK_TAPER, BRANCH_TAPER, LEAF_TAPER = 0.97, 0.985, 0.75
JITTER_MM = 1.0
TRUNK_BENDS_MM, BRANCH_BENDS_MM = 0.9, 2.8


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A vessel between two branchings.

    Attributes:
        points: The centreline ``(n, 3)`` in an adult's mm.
        radius_mm: ``(n,)``, in the scanner's mm.
        parent: Index of the segment that it starts from, or ``ROOT``.
        flow: Signal of its blood over an artery's of the same radius.
        is_labelled: Whether an annotator of the brain's arteries would mark it.
        name: Its name; empty for a branch without one.
    """

    points: Points
    radius_mm: Points
    parent: int = ROOT
    flow: float = 1.0
    is_labelled: bool = True
    name: str = ""


@dataclass
class Forest:
    """The segments grown so far; parents come before their children.

    Guarantees:
        * Murray's law holds wherever the shares given to a segment's branches add up to one.
        * No radius is below ``LEAST_RADIUS_MM``.

    Attributes:
        rng: The random generator.
        richness: The number of leaves over that of the smallest trees.
        segments: The segments.
    """

    rng: np.random.Generator
    richness: float = 1.0
    segments: list[Segment] = field(default_factory=list)

    def root(
        self, landmarks: Points, side: int, radii_mm: Sequence[float], *, name: str = ""
    ) -> int:
        """Add a trunk through jittered landmarks.

        Args:
            landmarks: ``(n, 3)`` in an adult's mm, on the right side.
            side: 1 (right) or -1.
            radii_mm: Radii at even steps along it.
            name: Its name.

        Returns:
            The segment's index.
        """
        curve = self._through(landmarks * (side, 1, 1))
        return self._add(curve, radii_mm, ROOT, name)

    def artery(
        self, landmarks: Points, side: int, parent: int, *, share: float = 1.0, name: str = ""
    ) -> int:
        """Add an artery through jittered landmarks, from its parent's end.

        Args:
            landmarks: ``(n, 3)`` in an adult's mm, on the right side.
            side: 1 (right) or -1.
            parent: The index of its parent.
            share: Its share of the parent's cubed radius.
            name: Its name.

        Returns:
            The segment's index.
        """
        curve = self._through(landmarks * (side, 1, 1), start=self.segments[parent].points[-1])
        radius_mm = self._shared(parent, share)
        return self._add(curve, (radius_mm, TRUNK_TAPER * radius_mm), parent, name)

    def bridge(self, landmarks: Points, radius_mm: float, start: int, end: int) -> int:
        """Add an artery between the ends of two others, outside of any tree.

        Args:
            landmarks: ``(n, 3)`` in an adult's mm, on the right side.
            radius_mm: Its radius.
            start: The index of the segment at its first end.
            end: The index of the segment at its other end.

        Returns:
            The segment's index.
        """
        a, b = self.segments[start].points[-1], self.segments[end].points[-1]
        side = 1 if a[0] > 0 else -1
        curve = self._through(landmarks * (side, 1, 1), start=a, end=b)
        return self._add(curve, (radius_mm, radius_mm), ROOT)

    def feed(self, parent: int, ground: Ground, side: int, *, share: float = 1.0) -> None:
        """Grow branches from a segment's end over a region.

        Args:
            parent: The segment's index.
            ground: The region.
            side: 1 (right) or -1.
            share: The branches' share of the segment's cubed radius.
        """
        count = max(2, round(self.richness * ground.leaves))
        self._divide(parent, ground.draw(self.rng, count, side), share)

    def _through(
        self, landmarks: Points, start: Points | None = None, end: Points | None = None
    ) -> Points:
        moved = landmarks + self.rng.normal(0, JITTER_MM, landmarks.shape)
        moved[0] = moved[0] if start is None else start
        moved[-1] = moved[-1] if end is None else end
        return curves.wander(curves.through(moved), self.rng, amplitude_mm=TRUNK_BENDS_MM)

    def _add(self, points: Points, radii_mm: Sequence[float], parent: int, name: str = "") -> int:
        radius = _evenly_spread(radii_mm, len(points))
        radius = np.maximum(radius, LEAST_RADIUS_MM)
        self.segments.append(Segment(points=points, radius_mm=radius, parent=parent, name=name))
        return len(self.segments) - 1

    def _shared(self, parent: int, share: float) -> float:
        return float(self.segments[parent].radius_mm[-1] * share ** (1 / 3))

    def _divide(self, parent: int, leaves: Points, share: float = 1.0) -> None:
        for group in self._halves(leaves):
            self._reach(parent, group, self._shared(parent, share * len(group) / len(leaves)))

    def _reach(self, parent: int, leaves: Points, radius_mm: float) -> None:
        before = self.segments[parent].points
        heading = (before[-1] - before[-3]) / np.linalg.norm(before[-1] - before[-3])
        path = curves.along_surface(before[-1], heading, leaves.mean(axis=0))
        if len(leaves) > 1:
            path = path[: max(4, int(self.rng.uniform(0.3, 0.6) * len(path)))]
        path = curves.wander(path, self.rng, amplitude_mm=BRANCH_BENDS_MM)
        taper = BRANCH_TAPER if len(leaves) > 1 else LEAF_TAPER
        index = self._add(path, (radius_mm, taper * radius_mm), parent)
        if len(leaves) > 1:
            self._divide(index, leaves)

    def _halves(self, leaves: Points) -> Sequence[Points]:
        axis = int(np.argmax(leaves.var(axis=0)))
        order = np.argsort(leaves[:, axis], kind="stable")
        low = max(1, round(0.35 * len(leaves)))
        cut = int(self.rng.integers(low, max(low, len(leaves) - low), endpoint=True))
        return leaves[order[:cut]], leaves[order[cut:]]


def _evenly_spread(radii_mm: Sequence[float], count: int) -> Points:
    """So many radii, between those given at even steps."""
    if len(radii_mm) == 2:  # rounds otherwise than np.interp, and version 2's bytes stand
        return np.linspace(radii_mm[0], radii_mm[1], count)
    return np.interp(np.linspace(0, 1, count), np.linspace(0, 1, len(radii_mm)), radii_mm)
