"""Growing arterial trees under Murray's law.

At a branching r₀³ = r₁³ + r₂³ (Murray 1926): the cube of the radius is shared out in proportion
to the leaves that each branch feeds. Between branchings an artery tapers a little.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmark.data.phantom import curves

Points = NDArray[np.float64]
ROOT = -1
LEAST_RADIUS_MM = 0.2
TAPER = 0.95


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A vessel between two branchings.

    Attributes:
        points: The centreline ``(n, 3)`` in an adult's mm.
        radius_mm: ``(n,)``, in the scanner's mm.
        parent: Index of the segment that it springs from, or ``ROOT``.
        flow: Signal of its blood over an artery's of the same radius.
        is_labelled: Whether an annotator of the brain's arteries would mark it.
    """

    points: Points
    radius_mm: Points
    parent: int = ROOT
    flow: float = 1.0
    is_labelled: bool = True


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
        curve = curves.wander(curves.through(moved), self.rng, amplitude_mm=0.7)
        return self.add(curve, radius_mm, parent)

    def radius_mm(self, index: int) -> float:
        """A segment's radius at its far end."""
        return float(self.segments[index].radius_mm[-1])

    def grow(self, parent: int, leaves: Points, *, share: float = 1.0) -> None:
        """Branches from a segment's end, with a share of its cubed radius, to every leaf."""
        groups = self._halves(leaves) if len(leaves) > 1 else [leaves]
        for group in groups:
            radius = self.radius_mm(parent) * (share * len(group) / len(leaves)) ** (1 / 3)
            self._reach(parent, group, radius)

    def _reach(self, parent: int, leaves: Points, radius: float) -> None:
        before = self.segments[parent].points
        heading = (before[-1] - before[-3]) / np.linalg.norm(before[-1] - before[-3])
        path = curves.along_surface(before[-1], heading, leaves.mean(axis=0))
        if len(leaves) == 1:
            path = curves.wander(path, self.rng, amplitude_mm=2.2)
            self.add(path, (radius, 0.7 * radius), parent)
            return
        path = path[: max(4, int(self.rng.uniform(0.3, 0.6) * len(path)))]
        path = curves.wander(path, self.rng, amplitude_mm=2.2)
        self.grow(self.add(path, (radius, TAPER * radius), parent), leaves)

    def _halves(self, leaves: Points) -> list[Points]:
        axis = np.argmax(leaves.var(axis=0))
        order = np.argsort(leaves[:, axis], kind="stable")
        low = max(1, round(0.3 * len(leaves)))
        cut = int(self.rng.integers(low, len(leaves) - low, endpoint=True))
        return [leaves[order[:cut]], leaves[order[cut:]]]
