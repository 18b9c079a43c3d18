"""A patient's vessels: the circle of Willis, all that it feeds, and what lies outside."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmark.data.phantom import arteries
from benchmark.data.phantom.forest import Forest, Segment


def grow_arteries(rng: np.random.Generator, *, feeder_radius_mm: float) -> list[Segment]:
    """The brain's arteries: both carotids and the basilar artery, with all that they feed."""
    forest = Forest(rng)
    for side in (1, -1):
        _grow_carotid(forest, side, feeder_radius_mm * rng.normal(1, 0.05))
    _grow_basilar(forest, 0.82 * feeder_radius_mm * rng.normal(1, 0.06))
    forest.artery(arteries.COMMUNICATING_FRONT, 1, _thin(rng, 0.45, feeder_radius_mm))
    for side in (1, -1):
        forest.artery(arteries.COMMUNICATING_BACK, side, _thin(rng, 0.35, feeder_radius_mm))
    return forest.segments


def _thin(rng: np.random.Generator, share: float, radius: float) -> tuple[float, float]:
    r = share * radius * rng.uniform(0.5, 1.2)
    return (r, r)


def grow_others(rng: np.random.Generator, *, feeder_radius_mm: float) -> list[Segment]:
    """Scalp arteries and venous sinuses, which nobody labels."""
    forest = Forest(rng)
    venous = rng.uniform(0.25, 0.55)
    for side in (1, -1):
        r = feeder_radius_mm * rng.uniform(0.35, 0.55)
        forest.artery(arteries.SCALP_ARTERY, side, (r, 0.5 * r))
        forest.artery(arteries.SCALP_BRANCH, side, (0.7 * r, 0.4 * r))
    scalp = [replace(s, is_labelled=False) for s in forest.segments]
    forest.segments.clear()
    r = 1.3 * feeder_radius_mm
    forest.artery(arteries.SAGITTAL_SINUS, 1, (0.5 * r, 1.3 * r))
    forest.artery(arteries.STRAIGHT_SINUS, 1, (r, 0.6 * r))
    for side in (1, -1):
        forest.artery(arteries.TRANSVERSE_SINUS, side, (1.2 * r, rng.uniform(0.5, 1.2) * r))
    return scalp + [replace(s, is_labelled=False, flow=venous) for s in forest.segments]


def _shares(radius: float, *parts: float) -> list[float]:
    return [radius * float(p / sum(parts)) ** (1 / 3) for p in parts]


def _grow_carotid(forest: Forest, side: int, radius: float) -> None:
    carotid = forest.artery(arteries.CAROTID, side, (1.12 * radius, radius))
    share = forest.rng.uniform(0.22, 0.40)
    middle, anterior = _shares(forest.radius_mm(carotid), 1 - share, share)
    m1 = forest.artery(arteries.MIDDLE_1, side, (middle, 0.95 * middle), carotid)
    upper, lower = _shares(forest.radius_mm(m1), 0.53, 0.47)
    m2 = forest.artery(arteries.MIDDLE_UPPER, side, (upper, 0.95 * upper), m1)
    forest.grow(m2, arteries.UPPER_GROUND.draw(forest.rng, side))
    m2 = forest.artery(arteries.MIDDLE_LOWER, side, (lower, 0.95 * lower), m1)
    forest.grow(m2, arteries.LOWER_GROUND.draw(forest.rng, side))
    a1 = forest.artery(arteries.ANTERIOR_1, side, (anterior, 0.98 * anterior), carotid)
    r = forest.radius_mm(a1)
    a2 = forest.artery(arteries.ANTERIOR_2, side, (r, 0.95 * r), a1)
    r = _shares(forest.radius_mm(a2), 0.5, 0.5)[0]
    a3 = forest.artery(arteries.PERICALLOSAL, side, (r, 0.95 * r), a2)
    forest.grow(a3, arteries.CALLOSAL_GROUND.draw(forest.rng, side))
    forest.grow(a2, arteries.FRONTAL_GROUND.draw(forest.rng, side), share=0.5)


def _grow_basilar(forest: Forest, radius: float) -> None:
    basilar = forest.artery(arteries.BASILAR, 1, (1.1 * radius, radius))
    parts = _shares(forest.radius_mm(basilar), 0.42, 0.42, 0.08, 0.08)
    for side, posterior, cerebellar in ((1, parts[0], parts[2]), (-1, parts[1], parts[3])):
        p1 = forest.artery(arteries.POSTERIOR_1, side, (posterior, 0.98 * posterior), basilar)
        r = forest.radius_mm(p1)
        p2 = forest.artery(arteries.POSTERIOR_2, side, (r, 0.95 * r), p1)
        forest.grow(p2, arteries.OCCIPITAL_GROUND.draw(forest.rng, side))
        s1 = forest.artery(arteries.CEREBELLAR, side, (cerebellar, 0.95 * cerebellar), basilar)
        forest.grow(s1, arteries.CEREBELLAR_GROUND.draw(forest.rng, side))
