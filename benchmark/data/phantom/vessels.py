"""A patient's vessels: the circle of Willis, all that it feeds, and what lies outside."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmark.data.phantom import arteries
from benchmark.data.phantom.forest import Forest, Segment
from benchmark.data.phantom.settings import Size


def grow_vessels(rng: np.random.Generator, size: Size) -> list[Segment]:
    """All of a patient's vessels; those of the brain are labelled."""
    return [*_brain(rng, size), *_scalp(rng, size), *_sinuses(rng, size)]


def _brain(rng: np.random.Generator, size: Size) -> list[Segment]:
    """Both carotids and the basilar artery, with all that they feed, closed to a circle."""
    forest = Forest(rng, richness=size.richness)
    feeder = size.feeder_radius_mm
    right, left = (_carotid(forest, side, feeder * rng.normal(1, 0.05)) for side in (1, -1))
    behind = _basilar(forest, 0.82 * feeder * rng.normal(1, 0.06))
    forest.bridge(arteries.COMMUNICATING_FRONT, _thin(rng, feeder), right[1], left[1])
    for front, back in zip((right[0], left[0]), behind, strict=True):
        forest.bridge(arteries.COMMUNICATING_BACK, _thin(rng, feeder), front, back)
    return forest.segments


def _carotid(forest: Forest, side: int, radius_mm: float) -> tuple[int, int]:
    """Grows one carotid; returns it and its A1."""
    carotid = forest.root(arteries.CAROTID, side, radius_mm)
    front = forest.rng.uniform(0.22, 0.40)
    m1 = forest.artery(arteries.MIDDLE_1, side, carotid, share=1 - front)
    for landmarks, ground, share in (
        (arteries.MIDDLE_UPPER, arteries.UPPER_GROUND, 0.53),
        (arteries.MIDDLE_LOWER, arteries.LOWER_GROUND, 0.47),
    ):
        m2 = forest.artery(landmarks, side, m1, share=share)
        forest.feed(m2, ground, side)
    a1 = forest.artery(arteries.ANTERIOR_1, side, carotid, share=front)
    a2 = forest.artery(arteries.ANTERIOR_2, side, a1)
    a3 = forest.artery(arteries.PERICALLOSAL, side, a2, share=0.5)
    forest.feed(a3, arteries.CALLOSAL_GROUND, side)
    forest.feed(a2, arteries.FRONTAL_GROUND, side, share=0.5)
    return carotid, a1


def _basilar(forest: Forest, radius_mm: float) -> tuple[int, int]:
    """Grows the arteries behind; returns the right and the left P1."""
    basilar = forest.root(arteries.BASILAR, 1, radius_mm)
    right = forest.rng.uniform(0.38, 0.46)
    first = []
    for side, share in ((1, right), (-1, 0.84 - right)):
        p1 = forest.artery(arteries.POSTERIOR_1, side, basilar, share=share)
        p2 = forest.artery(arteries.POSTERIOR_2, side, p1)
        forest.feed(p2, arteries.OCCIPITAL_GROUND, side)
        s1 = forest.artery(arteries.CEREBELLAR, side, basilar, share=0.08)
        forest.feed(s1, arteries.CEREBELLAR_GROUND, side)
        first.append(p1)
    return first[0], first[1]


def _thin(rng: np.random.Generator, radius_mm: float) -> float:
    """A communicating artery's radius, which differs widely between people."""
    return float(radius_mm * rng.uniform(0.18, 0.42))


def _scalp(rng: np.random.Generator, size: Size) -> list[Segment]:
    forest = Forest(rng)
    for side in (1, -1):
        trunk = forest.root(
            arteries.SCALP_TRUNK, side, size.feeder_radius_mm * rng.uniform(0.35, 0.55)
        )
        forest.artery(arteries.SCALP_BACK, side, trunk, share=0.5)
        forest.artery(arteries.SCALP_FRONT, side, trunk, share=0.5)
    return [replace(s, is_labelled=False) for s in forest.segments]


def _sinuses(rng: np.random.Generator, size: Size) -> list[Segment]:
    """The large veins, in which little of the inflow effect is left."""
    forest = Forest(rng)
    radius_mm = size.feeder_radius_mm * rng.uniform(1.1, 1.5)
    forest.root(arteries.SAGITTAL_SINUS, 1, radius_mm)
    forest.root(arteries.STRAIGHT_SINUS, 1, 0.8 * radius_mm)
    for side in (1, -1):
        forest.root(arteries.TRANSVERSE_SINUS, side, radius_mm * rng.uniform(0.6, 1.3))
    flow = rng.uniform(0.15, 0.38)
    return [replace(s, is_labelled=False, flow=flow) for s in forest.segments]
