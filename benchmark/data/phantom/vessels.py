"""A patient's vessels: the circle of Willis, all that it feeds, and vessels outside the brain."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from benchmark.data.phantom import arteries
from benchmark.data.phantom.forest import TRUNK_TAPER, Forest, Segment
from benchmark.data.phantom.settings import Anatomy


def grow_vessels(rng: np.random.Generator, anatomy: Anatomy) -> list[Segment]:
    """Grow all of a patient's vessels; the brain's arteries are labelled."""
    grown = [*_brain(rng, anatomy), *_scalp(rng, anatomy), *_sinuses(rng, anatomy)]
    if anatomy.veins:
        grown += _veins(rng, anatomy)
    if not anatomy.flow_spread:
        return grown
    draws = rng.standard_normal(len(grown))
    return [
        replace(s, flow=s.flow * math.exp(anatomy.flow_spread * d))  # NumPy's has other last bits
        for s, d in zip(grown, draws, strict=True)
    ]


def _brain(rng: np.random.Generator, anatomy: Anatomy) -> list[Segment]:
    """Both carotids and the basilar artery, with all that they feed, closed to a circle."""
    richness = anatomy.richness
    if anatomy.richness_spread:
        richness *= math.exp(anatomy.richness_spread * rng.standard_normal())
    forest = Forest(rng, richness=richness)
    feeder = anatomy.feeder_radius_mm
    right, left = (_carotid(forest, side, anatomy) for side in (1, -1))
    behind = _basilar(forest, anatomy)
    in_front, at_back = anatomy.bridges
    if _there(rng, in_front):
        forest.bridge(arteries.COMMUNICATING_FRONT, _thin(rng, feeder), right[1], left[1])
    for front, back in zip((right[0], left[0]), behind, strict=True):
        if _there(rng, at_back):
            forest.bridge(arteries.COMMUNICATING_BACK, _thin(rng, feeder), front, back)
    return forest.segments


def _there(rng: np.random.Generator, share: float) -> bool:
    """Whether a patient is among a share of them; where it is everybody nothing is drawn."""
    return share == 1 or (share > 0 and rng.random() < share)


def _carotid(forest: Forest, side: int, anatomy: Anatomy) -> tuple[int, int]:
    """Grows one carotid; returns it and its A1."""
    radius_mm = anatomy.feeder_radius_mm * forest.rng.normal(1, anatomy.feeder_spread)
    radii_mm = [share * radius_mm for share in anatomy.carotid]
    carotid = forest.root(arteries.CAROTID, side, radii_mm, name="carotid")
    front = forest.rng.uniform(0.22, 0.40)
    if _there(forest.rng, anatomy.hypoplastic):
        front = forest.rng.uniform(0.04, 0.12)
    m1 = forest.artery(arteries.MIDDLE_1, side, carotid, share=1 - front, name="M1")
    for landmarks, ground, share in (
        (arteries.MIDDLE_UPPER, arteries.UPPER_GROUND, 0.53),
        (arteries.MIDDLE_LOWER, arteries.LOWER_GROUND, 0.47),
    ):
        m2 = forest.artery(landmarks, side, m1, share=share, name="M2")
        forest.feed(m2, ground, side)
    a1 = forest.artery(arteries.ANTERIOR_1, side, carotid, share=front, name="A1")
    a2 = forest.artery(arteries.ANTERIOR_2, side, a1)
    a3 = forest.artery(arteries.PERICALLOSAL, side, a2, share=0.5)
    forest.feed(a3, arteries.CALLOSAL_GROUND, side)
    forest.feed(a2, arteries.FRONTAL_GROUND, side, share=0.5)
    return carotid, a1


def _basilar(forest: Forest, anatomy: Anatomy) -> tuple[int, int]:
    """Grows the arteries behind; returns the right and the left P1."""
    radius_mm = anatomy.basilar * anatomy.feeder_radius_mm
    radius_mm *= forest.rng.normal(1, anatomy.basilar_spread)
    radii_mm = (radius_mm, anatomy.basilar_taper * radius_mm)
    basilar = forest.root(arteries.BASILAR, 1, radii_mm, name="basilar")
    right = forest.rng.uniform(0.38, 0.46)
    first = []
    for side, share in ((1, right), (-1, 0.84 - right)):
        p1 = forest.artery(arteries.POSTERIOR_1, side, basilar, share=share, name="P1")
        p2 = forest.artery(arteries.POSTERIOR_2, side, p1)
        forest.feed(p2, arteries.OCCIPITAL_GROUND, side)
        s1 = forest.artery(arteries.CEREBELLAR, side, basilar, share=0.08)
        forest.feed(s1, arteries.CEREBELLAR_GROUND, side)
        first.append(p1)
    return first[0], first[1]


def _thin(rng: np.random.Generator, radius_mm: float) -> float:
    """A communicating artery's radius, which differs widely between people."""
    return float(radius_mm * rng.uniform(0.18, 0.42))


def _scalp(rng: np.random.Generator, anatomy: Anatomy) -> list[Segment]:
    forest = Forest(rng)
    for side in (1, -1):
        radius_mm = anatomy.feeder_radius_mm * rng.uniform(0.35, 0.55)
        trunk = forest.root(arteries.SCALP_TRUNK, side, _along(radius_mm))
        forest.artery(arteries.SCALP_BACK, side, trunk, share=0.5)
        forest.artery(arteries.SCALP_FRONT, side, trunk, share=0.5)
    return [replace(s, is_labelled=False) for s in forest.segments]


def _sinuses(rng: np.random.Generator, anatomy: Anatomy) -> list[Segment]:
    """The large veins, in which little of the inflow effect is left."""
    forest = Forest(rng)
    radius_mm = anatomy.feeder_radius_mm * rng.uniform(1.1, 1.5)
    forest.root(arteries.SAGITTAL_SINUS, 1, _along(radius_mm))
    forest.root(arteries.STRAIGHT_SINUS, 1, _along(0.8 * radius_mm))
    for side in (1, -1):
        forest.root(arteries.TRANSVERSE_SINUS, side, _along(radius_mm * rng.uniform(0.6, 1.3)))
    flow = rng.uniform(*anatomy.sinus_flow)
    return [replace(s, is_labelled=False, flow=flow) for s in forest.segments]


def _veins(rng: np.random.Generator, anatomy: Anatomy) -> list[Segment]:
    """Deep and cortical veins: brighter than tissue, and no artery."""
    forest = Forest(rng)
    forest.root(arteries.GALEN, 1, (1.6, 1.8))
    for side in (1, -1):
        forest.root(arteries.INTERNAL_VEIN, side, (0.6, 1.1))
        forest.root(arteries.BASAL_VEIN, side, (0.6, 1.0))
        for end in arteries.CORTICAL_VEINS:
            vein = forest.root(end, side, (rng.uniform(0.8, 1.3), 1.0))
            forest.feed(vein, arteries.VEIN_GROUND, side)
    flow = rng.uniform(*anatomy.vein_flow)
    return [replace(s, is_labelled=False, flow=flow) for s in forest.segments]


def _along(radius_mm: float) -> tuple[float, float]:
    """The radii of a trunk that tapers a little."""
    return radius_mm, TRUNK_TAPER * radius_mm
