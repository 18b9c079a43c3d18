"""Centrelines of vessels: curves through landmarks, and free ones along the brain's surface."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from benchmark.data.phantom.head import BRAIN

Points = NDArray[np.float64]
STEP_MM = 1.0
WAVELENGTHS_MM = (40.0, 18.0, 8.0)


def through(landmarks: Points) -> Points:
    """Return a smooth curve through landmarks ``(n, 3)``, sampled about every ``STEP_MM``."""
    at = arc_length(landmarks)
    count = max(4, int(at[-1] / STEP_MM) + 1)
    return np.asarray(CubicSpline(at, landmarks)(np.linspace(0, at[-1], count)))


def along_surface(start: Points, heading: Points, end: Points) -> Points:
    """Return a curve from ``start`` to ``end`` that bends with the brain's surface.

    It turns and rises evenly on the brain's unit ball.

    Args:
        start: The first point ``(3,)``, in an adult's mm.
        heading: The unit vector along which it leaves ``start``.
        end: The last point.
    """
    a, b = BRAIN.to_ball(start), BRAIN.to_ball(end)
    chord = float(np.linalg.norm(end - start))
    count = max(4, int(1.1 * chord / STEP_MM) + 1)
    t = np.linspace(0, 1, count)[:, None]
    radius = (1 - t) * np.linalg.norm(a) + t * np.linalg.norm(b)
    curve = BRAIN.from_ball(radius * _turn(a / np.linalg.norm(a), b / np.linalg.norm(b), t))
    leave = 0.8 * chord * heading - (curve[1] - curve[0]) * (count - 1)
    return np.asarray(curve + leave * t * (1 - t) ** 2)


def wander(curve: Points, rng: np.random.Generator, *, amplitude_mm: float) -> Points:
    """Add smooth bends to a curve. Its two ends stay where they are.

    Args:
        curve: ``(n, 3)``.
        rng: The random generator.
        amplitude_mm: The standard deviation of the longest bends.
    """
    length = arc_length(curve)[-1]
    t = np.linspace(0, 1, len(curve))[:, None]
    bends = np.zeros_like(curve)
    for wavelength_mm in WAVELENGTHS_MM:
        size = rng.normal(0, 1, 3) * amplitude_mm * (wavelength_mm / WAVELENGTHS_MM[0]) ** 0.7
        phase = rng.uniform(0, 2 * np.pi, 3)
        bends += size * np.sin(2 * np.pi * length / wavelength_mm * t + phase)
    hold = np.minimum(1, 3 * t) * np.minimum(1, 3 * (1 - t))
    return np.asarray(curve + bends * hold**1.5 * min(1.0, length / 25))


def arc_length(points: Points) -> Points:
    """Return the length along the curve up to each of its points."""
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    return np.concatenate([[0.0], np.cumsum(steps)])


def _turn(a: Points, b: Points, t: Points) -> Points:
    angle = float(np.arccos(np.clip((a * b).sum(), -1, 1)))
    if angle < 1e-3:
        return np.asarray((1 - t) * a + t * b)
    return np.asarray((np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle))
