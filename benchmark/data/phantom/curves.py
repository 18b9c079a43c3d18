"""Centrelines: smooth curves through landmarks, and free ones along the brain's surface."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from benchmark.data.phantom.head import BRAIN_CENTRE_MM, BRAIN_RADII_MM

Points = NDArray[np.float64]
STEP_MM = 1.0


def through(landmarks: Points) -> Points:
    """A smooth curve through the landmarks, sampled about every ``STEP_MM``."""
    at = _arc_length(landmarks)
    count = max(4, int(at[-1] / STEP_MM) + 1)
    return np.asarray(CubicSpline(at, landmarks)(np.linspace(0, at[-1], count)))


def along_surface(start: Points, direction: Points, end: Points) -> Points:
    """A curve from ``start`` to ``end`` that bends with the brain's surface.

    It turns and rises evenly on the brain's unit ball and leaves ``start`` in ``direction``.
    """
    a, b = to_ball(start), to_ball(end)
    count = max(4, int(np.linalg.norm(end - start) * 1.1 / STEP_MM) + 1)
    t = np.linspace(0, 1, count)[:, None]
    radius = (1 - t) * np.linalg.norm(a) + t * np.linalg.norm(b)
    curve = from_ball(radius * _turn(a / np.linalg.norm(a), b / np.linalg.norm(b), t))
    leave = 0.8 * np.linalg.norm(end - start) * direction - (curve[1] - curve[0]) * (count - 1)
    return curve + leave * t * (1 - t) ** 2


def wander(curve: Points, rng: np.random.Generator, *, amplitude_mm: float) -> Points:
    """The curve with smooth bends; its two ends and their directions stay nearly as they were."""
    t = np.linspace(0, 1, len(curve))[:, None]
    length = _arc_length(curve)[-1]
    bends = np.zeros_like(curve)
    for wavelength_mm in (40.0, 18.0, 9.0):
        turns = length / wavelength_mm
        phase = rng.uniform(0, 2 * np.pi, 3)
        size = rng.normal(0, 1, 3) * amplitude_mm * (wavelength_mm / 40) ** 0.8
        bends += size * np.sin(2 * np.pi * turns * t + phase)
    hold = np.minimum(1, 3 * t) * np.minimum(1, 3 * (1 - t))
    return np.asarray(curve + bends * hold**1.5 * min(1.0, length / 30))


def to_ball(points: Points) -> Points:
    """Adult's mm to the brain's unit ball."""
    return np.asarray((points - BRAIN_CENTRE_MM) / BRAIN_RADII_MM)


def from_ball(points: Points) -> Points:
    """The brain's unit ball to adult's mm."""
    return np.asarray(points * BRAIN_RADII_MM + BRAIN_CENTRE_MM)


def _arc_length(points: Points) -> NDArray[np.float64]:
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    return np.concatenate([[0.0], np.cumsum(steps)])


def _turn(a: Points, b: Points, t: Points) -> Points:
    angle = float(np.arccos(np.clip((a * b).sum(), -1, 1)))
    if angle < 1e-3:
        return np.asarray((1 - t) * a + t * b)
    return np.asarray((np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle))
