"""Statistics of phantoms, beside published ones of people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.data.phantom.annotators import USUAL, annotated
from benchmark.data.phantom.curves import arc_length
from benchmark.data.phantom.forest import Segment
from benchmark.data.phantom.patient import Phantom, simulate
from benchmark.data.phantom.settings import Size, find_size, hospitals
from benchmark.data.phantom.streams import Purpose, stream
from benchmark.data.phantom.vessels import grow_vessels

GROWN = 40
"""How many patients' vessels are grown and measured; fewer of them are scanned."""

RAI = "Rai et al. 2013, J NeuroIntervent Surg"
ECAB = "eICAB, doi 10.1177/0271678X251338972"
WIDTHS = {
    "carotid": ("carotid, cavernous part", "5.0 ± 0.6", RAI),
    "M1": ("M1", "3.1 ± 0.4", RAI),
    "M2": ("M2", "2.4 ± 0.4", RAI),
    "A1": ("A1", "2.2 to 3.2", ECAB),
    "basilar": ("basilar artery", "3.6 ± 0.6 to 3.1 ± 0.5", f"{RAI}, posterior circulation"),
    "P1": ("P1", "about 2", ECAB),
}
"""For each named segment: words, the published width in mm, and the source."""


class Line(NamedTuple):
    """One statistic.

    Attributes:
        what: Its name, with the unit.
        here: Mean ± standard deviation over the phantoms.
        published: The same of people; empty where no figure is known.
        source: The source of the published one.
    """

    what: str
    here: str
    published: str = ""
    source: str = ""


def describe(
    size: str,
    *,
    seed: int = 0,
    annotators: str = USUAL,
    patients: int = 6,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Line]:
    """Compute statistics of some phantoms of the hospitals, beside published ones.

    Args:
        size: A name of ``settings.SIZES``.
        seed: Decides the phantoms.
        annotators: Who labelled them: a key of ``annotators.ANNOTATORS``.
        patients: How many are scanned.
        progress: Called for every one.

    Raises:
        UsageError: For an unknown size or annotator.
    """
    found = find_size(size)
    drawn, scanned = annotated(found, annotators), []
    for patient, scanner in zip(range(patients), 2 * patients * hospitals(found), strict=False):
        scanned.append(simulate(seed, patient, scanner, drawn))
        progress(patient + 1, patients)
    return [*_of_vessels(found, seed), *_of_volumes(scanned)]


def _of_vessels(size: Size, seed: int) -> Iterator[Line]:
    people = [grow_vessels(stream(seed, Purpose.VESSELS, p), size.anatomy) for p in range(GROWN)]
    for name, (what, published, source) in WIDTHS.items():
        widths = [2 * s.radius_mm[0] for person in people for s in person if s.name == name]
        yield Line(f"{what}, mm wide", _said(widths), published, source)
    least = [2 * min(s.radius_mm.min() for s in p if s.is_labelled) for p in people]
    forkert = "Forkert atlas, doi 10.3414/ME13-02-0001"
    yield Line("thinnest artery, mm wide", _said(least), "about 0.5 seen at 3 T", forkert)
    bends = [_bend(s) for person in people for s in person if s.is_labelled]
    yield Line("length over distance of a segment", _said(bends))


def _bend(segment: Segment) -> float:
    length = float(arc_length(segment.points)[-1])
    return length / max(float(np.linalg.norm(segment.points[-1] - segment.points[0])), 1e-9)


def _of_volumes(scanned: Sequence[Phantom]) -> Iterator[Line]:
    share, contrast, noise, spread = [], [], [], []
    for one in scanned:
        brain, vessels = one.brain > 0, one.vessels > 0
        tissue = one.image[brain & ~vessels].astype(np.float64)
        share.append(100 * vessels.sum() / brain.sum())
        contrast.append(np.median(one.image[vessels]) / np.median(tissue))
        noise.append(_noise(one.image, brain & ~vessels) / np.median(tissue))
        spread.append(one.image[vessels].std() / np.median(tissue))
    masks = "public whole-brain vessel masks at 0.3 to 0.5 mm"
    yield Line("vessels, % of the brain", _said(share), "1.1 (1.0 to 1.9 of a head)", masks)
    yield Line("blood's median over tissue's", _said(contrast))
    yield Line("blood's standard deviation over tissue's median", _said(spread))
    yield Line("noise over tissue's median", _said(noise))


def _noise(image: NDArray[np.int16], tissue: NDArray[np.bool_]) -> float:
    """From neighbours along z, as Immerkær 1996 does in plane: structure differs little there."""
    steps = np.diff(image.astype(np.float64), axis=2)[tissue[:, :, 1:] & tissue[:, :, :-1]]
    return float(1.4826 * np.median(np.abs(steps)) / np.sqrt(2))


def _said(values: Sequence[float]) -> str:
    mean, deviation = float(np.mean(values)), float(np.std(values))
    return f"{mean:.2f} ± {deviation:.2f} (n = {len(values)})"
