"""Populations of the data-free simulator: traits, planes, and what a mean makes of them."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import ks_2samp, kstest

from benchmark.core.budget import Budget
from benchmark.core.generator import FitContext, Generator
from benchmark.core.patches import Patches
from benchmark.privacy.randomness import SeededNoise
from generators.checks import LAWS, PUBLIC, patches
from generators.dp_simulator import EVIDENCE, DpSimulator
from generators.private_evolution import PrivateEvolution
from generators.private_selection import PrivateSelection
from generators.simulation import planes, statistics, tilting, traits
from generators.simulation.families import TUBES, family, trees
from generators.simulation.statistics import NAMES, measure
from generators.simulation.traits import FREE, Traits
from generators.simulator import Simulator, SimulatorParams

SIZE, PIXEL_MM = 32, 0.8
TREES = trees(PIXEL_MM)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANGIOBENCH_CACHE", str(tmp_path / "cache"))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def drawn(n: int = 600, **fixed: float) -> np.ndarray:
    """Statistics of the prior's patches, some parameters held."""
    theta = TREES.prior(n, rng())
    for name, share in fixed.items():
        theta[:, traits.NAMES.index(name)] = share
    return measure(*TREES.draw(theta, SIZE, rng(1)))


def free(n: int, pixel_mm: float = PIXEL_MM) -> Patches:
    """Patches of the data-free simulator."""
    made = Simulator(SimulatorParams(pixel_mm=pixel_mm))
    made._size = SIZE
    return made.sample(n, seed=3)


def test_a_designs_family_is_found() -> None:
    assert family("tubes", PIXEL_MM) is TUBES
    assert family("trees", PIXEL_MM).names == traits.NAMES


def test_quantiles_are_uniform_over_the_prior_and_narrow_in_a_population() -> None:
    whole = traits.within(traits.prior(4000, rng()), rng(1))
    one = traits.within(np.full((4000, len(traits.NAMES)), 0.5), rng(2))
    for name, share in traits.WITHIN.items():
        assert kstest(whole[name], "uniform").pvalue > 1e-4, name
        assert one[name].std() < whole[name].std() * (0.75 if share < 0.65 else 1.0), name


@pytest.mark.parametrize("kind", ["uniform", "happens", "gated", "between"])
def test_given_uniform_quantiles_a_trait_has_the_free_simulators_law(kind: str) -> None:
    shape = (4000, 1, 1)
    call = {
        "uniform": ("x", (0.2, 0.9), shape),
        "happens": ("x", 0.3, shape),
        "gated": ("x", 0.3, (0.2, 1.2), shape),
        "between": ("x", 0.5, (0.05, 2.5), shape),
    }[kind]
    given = Traits({"x": rng().random(4000, np.float32)})
    one, other = (getattr(which, kind)(*call, rng(1)).ravel() for which in (given, FREE))
    assert ks_2samp(one.astype(float), other.astype(float)).pvalue > 1e-4


def test_the_prior_is_nearly_the_data_free_simulator() -> None:
    seen, expected = drawn(2000), measure(free(2000).images, free(2000).masks)
    off = np.nanmean(seen, 0) - np.nanmean(expected, 0)
    assert (np.abs(off) < 0.3 * np.nanstd(expected, 0)).all()


@pytest.mark.parametrize(
    ("trait", "statistic"),
    [
        ("length", "sqrt_fraction"),
        ("crowded", "has_vessel"),
        ("calibre", "thicker_than_4"),
        ("contrast", "brightness_spread"),
        ("darkest", "low"),
        ("noise", "noise"),
        ("tissue", "median"),
    ],
)
def test_a_trait_moves_its_statistic(trait: str, statistic: str) -> None:
    low, high = (
        np.nanmean(drawn(**{trait: share})[:, NAMES.index(statistic)]) for share in (0.05, 0.95)
    )
    assert abs(high - low) > 0.01


@pytest.mark.parametrize("size", [16, 32])
def test_patches_keep_the_contract_and_repeat(size: int) -> None:
    theta = TREES.prior(40, rng(1))
    one, two = (TREES.draw(theta, size, rng(2)) for _ in range(2))
    assert Patches(images=one[0], masks=one[1]).size == size
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


def test_half_of_the_planes_are_centred_and_turning_keeps_all_pixels() -> None:
    pool = planes.pool(SIZE, PIXEL_MM)
    middle = pool.drawn.mask[:, SIZE // 2, SIZE // 2]
    assert [len(kind) for kind in pool.kinds] == [(~middle).sum(), middle.sum()]
    stacked = pool.drawn.blood[:64]
    turned = planes._turned(stacked, np.arange(64) % 8)
    np.testing.assert_array_equal(np.sort(turned.ravel()), np.sort(stacked.ravel()))
    assert np.array_equal(turned[::8], stacked[::8])
    assert len({plane.tobytes() for plane in planes._turned(stacked[[5] * 8], np.arange(8))}) == 8


def test_tilting_solves_its_dual_as_scipy_does() -> None:
    vectors = rng().standard_normal((3000, 4)) @ rng(1).standard_normal((4, 4)) + [0.5, 0, -0.3, 1]

    def dual(found: np.ndarray) -> float:
        return np.log(np.exp(vectors @ found).mean()) + tilting.TOLERANCE**2 / 2 * found @ found

    expected = minimize(dual, np.zeros(4), tol=1e-9).x
    found = tilting.tilt(vectors)
    np.testing.assert_allclose(found, expected, atol=1e-3)
    weights = tilting.weights_of(vectors @ found)
    np.testing.assert_allclose(weights @ vectors, -(tilting.TOLERANCE**2) * found, atol=1e-6)


@pytest.fixture(scope="module")
def populations() -> tilting.TiltedPopulations:
    return tilting.populations_of(PIXEL_MM, 256, 24, SIZE, "patient")


def test_an_exact_mean_is_met_in_every_statistic_thick_vessels_included(
    populations: tilting.TiltedPopulations,
) -> None:
    wanted = populations.features(free(1000, 0.5)).mean(0)
    assert wanted[NAMES.index("thicker_than_4")] > 1
    made = populations.fitted(wanted, clip_norm=math.inf, deviation=0.0, spread=1.0)
    images, masks = made.patches(2048, 1.0, TREES, SIZE, rng())
    found = populations.features(Patches(images=images, masks=masks)).mean(0)
    assert np.abs(found - wanted).max() < 0.25  # 0.2, and what 1,000 patches leave to chance


def test_much_noise_leaves_the_prior(
    populations: tilting.TiltedPopulations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tilting, "TRIED", 1024)
    made = populations.fitted(np.ones(len(NAMES)), clip_norm=4.0, deviation=1e3, spread=1.0)
    images, masks = made.patches(640, 1.0, TREES, SIZE, rng())
    found = populations.features(Patches(images=images, masks=masks)).mean(0)
    assert np.abs(found).max() < 0.5


def test_fewer_patches_are_the_first_of_more(
    populations: tilting.TiltedPopulations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tilting, "TRIED", 256)
    made = populations.fitted(np.zeros(len(NAMES)), clip_norm=4.0, deviation=0.5, spread=1.0)
    few, many = (made.patches(n, 1.0, TREES, SIZE, rng())[0] for n in (20, 150))
    assert np.array_equal(few, many[:20])


@pytest.fixture
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tilting, "TRIED", 256)


def fitted(evidence: str, design: str, data: Patches) -> DpSimulator:
    params = replace(DpSimulator.smoke, evidence=evidence, design=design, caution=0.0)
    generator = DpSimulator(params)
    planned = generator.plan(PUBLIC, Budget(epsilon=2.0, delta=1e-4, unit="patient"))
    noise = SeededNoise("simulation")
    generator.fit(data, planned, FitContext(seed=0, noise=noise, charge=lambda claim: None))
    return generator


@pytest.mark.usefixtures("_quickly")
@pytest.mark.parametrize("design", ["trees", "labels"])
@pytest.mark.parametrize("evidence", EVIDENCE)
def test_no_patient_reaches_a_control(evidence: str, design: str) -> None:
    other = replace(patches(), images=-patches().images)
    one, two = (fitted(evidence, design, d).sample(8, seed=0) for d in (patches(), other))
    alike = np.array_equal(one.images, two.images) and np.array_equal(one.masks, two.masks)
    assert alike == (evidence != "release")


@pytest.mark.usefixtures("_quickly")
@pytest.mark.parametrize("design", ["trees", "labels"])
def test_a_saved_fit_draws_the_same(design: str, tmp_path: Path) -> None:
    made = fitted("release", design, patches())
    made.save(tmp_path)
    one, two = (which.sample(6, seed=2) for which in (made, DpSimulator.load(tmp_path)))
    assert np.array_equal(one.images, two.images)
    assert np.array_equal(one.masks, two.masks)


class OfTrees(DpSimulator):
    """Fits the populations that later editions do."""

    smoke = replace(DpSimulator.smoke, design="trees", caution=0.0)

    def fit(self, patches, guarantee, context):
        """Quickly, in the fresh process of a replay too."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tilting, "TRIED", 256)
            return super().fit(patches, guarantee, context)

    def sample(self, n, *, seed):
        """As quickly."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tilting, "TRIED", 256)
            return super().sample(n, seed=seed)


class SelectsTrees(PrivateSelection):
    """Chooses among those populations."""

    smoke = replace(PrivateSelection.smoke, design="trees")


class EvolvesTrees(PrivateEvolution):
    """Lets those populations evolve."""

    smoke = replace(PrivateEvolution.smoke, design="trees")


class OfLabels(DpSimulator):
    """Learns where labels end, the default of later editions."""

    smoke = replace(DpSimulator.smoke, design="labels", caution=0.0)


class SelectsLabels(PrivateSelection):
    """Chooses where they end."""

    smoke = replace(PrivateSelection.smoke, design="labels")


class EvolvesLabels(PrivateEvolution):
    """Lets where they end evolve."""

    smoke = replace(PrivateEvolution.smoke, design="labels")


TREES_TOO: list[type[Generator]] = [OfTrees, SelectsTrees, EvolvesTrees]
LABELS_TOO: list[type[Generator]] = [OfLabels, SelectsLabels, EvolvesLabels]
NOISE, REPLAY = (
    "noise_is_that_which_was_accounted",
    "is_post_processing_but_for_its_mechanisms",
)
FITS = [
    *((kind, REPLAY) for kind in (*TREES_TOO, *LABELS_TOO)),
    *((kind, NOISE) for kind in LABELS_TOO),
    *(pytest.param(kind, NOISE, marks=pytest.mark.slow) for kind in TREES_TOO),
]
"""Of trees and of labels the mechanism is one, so its noise is measured for one of them."""


@pytest.mark.usefixtures("_quickly")
@pytest.mark.parametrize(("kind", "law"), FITS)
def test_of_these_designs_too_a_fit_keeps_the_laws(kind: type[Generator], law: str) -> None:
    LAWS[law](kind)


def test_statistics_of_a_patch_that_lacks_them_count_as_the_prior_has_them(
    populations: tilting.TiltedPopulations,
) -> None:
    blank = np.zeros((1, 1, SIZE, SIZE), np.float32)
    seen = statistics.measure(blank, blank.astype(np.uint8))
    vector = populations.features(Patches(images=blank, masks=blank.astype(np.uint8)))
    assert np.isnan(seen).any()
    assert np.isfinite(vector).all()
