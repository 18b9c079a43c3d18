"""Populations that differ in where labels end: what they draw, and what a release tells of them."""

import math
from pathlib import Path

import numpy as np
import pytest

from benchmark.core.patches import Patches
from benchmark.privacy.mechanisms.release import clipped
from generators.simulation.labels import family, measure
from generators.simulation.populations import Populations, populations_of
from generators.simulation.statistics import measure as looks
from generators.simulator import Simulator, SimulatorParams

SIZE, PIXEL_MM = 32, 0.8
LABELS = family(PIXEL_MM)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANGIOBENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def populations() -> Populations:
    return populations_of("labels", PIXEL_MM, 128, 24, SIZE, "patient")


def annotated(share: float, n: int = 1200, seed: int = 5) -> Patches:
    """Patches of one annotator."""
    rng = np.random.default_rng(seed)
    images, masks = LABELS.draw(np.full((n, 1), share, np.float32), SIZE, rng)
    return Patches(images=images, masks=masks)


def told(populations: Populations, mean: np.ndarray, *, c: float, s: float) -> float:
    """The parameter that a released mean tells."""
    logit = populations.posterior(mean, clip_norm=c, deviation=s).mean
    return float(1 / (1 + np.exp(-logit[0])))


def test_of_the_same_vessels_a_broader_brush_marks_more_and_looks_the_same() -> None:
    broad, usual, narrow = (annotated(share, n=120) for share in (0.02, 0.5, 0.98))
    assert np.array_equal(broad.images, narrow.images)
    assert (broad.masks >= usual.masks).all()
    assert (usual.masks >= narrow.masks).all()
    assert broad.masks.sum() > 1.6 * usual.masks.sum() > 2 * narrow.masks.sum() > 0


def test_in_the_middle_it_is_the_data_free_simulator() -> None:
    free = Simulator.of_size(SimulatorParams(pixel_mm=PIXEL_MM), SIZE).sample(1200, seed=3)
    mine, theirs = (looks(one.images, one.masks) for one in (annotated(0.5), free))
    off = np.nanmean(mine, 0) - np.nanmean(theirs, 0)
    assert (np.abs(off) < 0.2 * np.nanstd(theirs, 0)).all()


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_an_exact_mean_tells_where_labels_end(populations: Populations, share: float) -> None:
    mean = populations.features(annotated(share)).mean(0)
    assert told(populations, mean, c=math.inf, s=0.0) == pytest.approx(share, abs=0.08)


@pytest.mark.parametrize("share", [0.1, 0.9])
def test_what_is_released_for_patients_at_a_small_budget_tells_it_nearly(
    populations: Populations, share: float
) -> None:
    patients, c = 17, 2.0
    units = [populations.features(annotated(share, 60, seed)).mean(0) for seed in range(patients)]
    s = 2.0 * c / patients  # about ε = 2 at δ = 1e-5
    noise = np.random.default_rng(0).standard_normal((40, 2)) * s
    exact = clipped(np.stack(units), c).mean(0)
    found = [told(populations, exact + draw, c=c, s=s) for draw in noise]
    assert np.mean(np.abs(np.array(found) - share) < 0.2) > 0.9


def test_much_noise_leaves_the_prior(populations: Populations) -> None:
    known = populations.posterior(np.ones(2), clip_norm=2.0, deviation=1e4)
    assert known.mean == pytest.approx(populations.prior().mean, abs=1e-3)
    assert known.root == pytest.approx(populations.prior().root, rel=1e-3)


def test_its_statistics_are_bounded_and_have_no_unit() -> None:
    one = annotated(0.4, 240)
    seen = measure(one.images, one.masks)
    faint = measure(np.where(one.images > -1, one.images / 2, -1), one.masks)
    assert np.nanmin(seen) >= 0
    assert np.nanmax(seen) <= 1
    assert np.nanmean(faint, 0) == pytest.approx(np.nanmean(seen, 0), abs=0.02)
    assert np.isnan(measure(one.images, np.zeros_like(one.masks))).all()
