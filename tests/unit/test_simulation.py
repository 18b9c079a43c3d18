"""The vessel simulator, its statistics against other libraries, and what a noised mean tells."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import binary_erosion
from skimage.measure import euler_number

from benchmark.core.budget import Budget
from benchmark.core.errors import UsageError
from benchmark.core.generator import FitContext
from benchmark.core.patches import Patches
from benchmark.privacy.randomness import SeededNoise
from generators.checks import PUBLIC, patches
from generators.dp_simulator import EVIDENCE, SAFE_SIDE, DpSimulator
from generators.simulation import statistics, tubes
from generators.simulation.populations import Populations, tubes_of
from generators.simulation.statistics import NAMES, eroded, measure

SIZE = 32


def drawn(n: int = 64, seed: int = 0, **fixed: float) -> tuple[np.ndarray, np.ndarray]:
    """Patches of the prior, some parameters held (in shares of their range)."""
    rng = np.random.default_rng(seed)
    theta = tubes.prior(n, rng)
    for name, share in fixed.items():
        theta[:, tubes.NAMES.index(name)] = share
    return tubes.draw(theta, SIZE, rng)


def column(name: str, seen: np.ndarray) -> np.ndarray:
    return seen[:, NAMES.index(name)]


@pytest.mark.parametrize("size", [16, 32, 64])
def test_simulated_patches_keep_the_contract_and_repeat(size: int) -> None:
    theta = tubes.prior(150, np.random.default_rng(1))
    one, two = (tubes.draw(theta, size, np.random.default_rng(2)) for _ in range(2))
    assert Patches(images=one[0], masks=one[1]).size == size
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    assert 0.005 < one[1].mean() < 0.2


@pytest.mark.parametrize(
    ("parameter", "statistic"),
    [
        ("tubes", "sqrt_fraction"),
        ("radius", "thicker_than_2"),
        ("contrast", "brightness"),
        ("tissue", "median"),
        ("noise", "noise"),
        ("texture", "texture"),
    ],
)
def test_a_parameter_moves_its_statistic(parameter: str, statistic: str) -> None:
    low, high = (measure(*drawn(400, **{parameter: share})) for share in (0.1, 0.9))
    means = [np.nanmean(column(statistic, seen)) for seen in (low, high)]
    assert means[0] < means[1] - 0.02


def test_a_vessel_is_brighter_than_what_surrounds_it() -> None:
    seen = measure(*drawn(300, contrast=0.7))
    assert np.nanmean(column("brightness", seen)) > np.nanmean(column("halo", seen)) + 0.2


def test_erosion_and_pieces_agree_with_other_libraries() -> None:
    masks = drawn(80)[1][:, 0] > 0
    expected = np.stack([binary_erosion(mask, border_value=1) for mask in masks])
    assert np.array_equal(eroded(masks), expected)
    euler = np.array([euler_number(mask, connectivity=2) for mask in masks])
    assert np.array_equal(statistics._euler(masks), euler)


def test_statistics_are_bounded_and_missing_where_there_is_no_vessel() -> None:
    images, masks = drawn(200)
    masks[:50] = 0
    seen = measure(images, masks)
    assert np.nanmin(seen) >= -1
    assert np.nanmax(seen) <= 1
    assert np.isnan(column("brightness", seen[:50])).all()
    assert not np.isnan(column("median", seen)).any()


def test_a_patch_is_measured_by_itself_alone() -> None:
    images, masks = drawn(40)
    together = measure(images, masks)
    alone = np.concatenate([measure(i[None], m[None]) for i, m in zip(images, masks, strict=True)])
    np.testing.assert_allclose(together, alone, atol=1e-6)


@pytest.mark.parametrize("fill", [-1.0, 0.0, 1.0])
def test_blank_and_full_patches_are_measured_too(fill: float) -> None:
    images = np.full((2, 1, SIZE, SIZE), fill, np.float32)
    masks = np.stack([np.zeros((1, SIZE, SIZE)), np.ones((1, SIZE, SIZE))]).astype(np.uint8)
    assert not np.isinf(measure(images, masks)).any()


@pytest.fixture(scope="module")
def populations() -> Populations:
    rng = np.random.default_rng(0)
    return Populations(count=300, patches=24, size=SIZE, unit="patient", rng=rng)


def released(populations: Populations, theta: np.ndarray) -> np.ndarray:
    images, masks = tubes.draw(np.tile(theta, (600, 1)), SIZE, np.random.default_rng(5))
    return populations.features(Patches(images=images, masks=masks)).mean(0)


def test_an_exact_mean_tells_the_population(populations: Populations) -> None:
    truth = tubes.prior(12, np.random.default_rng(9))
    found = np.stack(
        [
            populations.posterior(released(populations, one), clip_norm=math.inf, deviation=0).mean
            for one in truth
        ]
    )
    for name in ("tubes", "radius", "contrast", "tissue", "noise"):
        i = tubes.NAMES.index(name)
        assert np.corrcoef(found[:, i], truth[:, i])[0, 1] > 0.4, name


def test_much_noise_leaves_the_prior(populations: Populations) -> None:
    prior = populations.prior()
    noisy = populations.posterior(np.ones(len(NAMES)), clip_norm=3.0, deviation=1e4)
    np.testing.assert_allclose(noisy.mean, prior.mean, atol=1e-3)
    np.testing.assert_allclose(noisy.root @ noisy.root.T, prior.root @ prior.root.T, atol=1e-3)


def test_less_noise_leaves_less_unknown(populations: Populations) -> None:
    unknown = [
        np.square(
            populations.posterior(np.zeros(len(NAMES)), clip_norm=3.0, deviation=s).root
        ).sum()
        for s in (0.0, 0.2, 1.0, 5.0)
    ]
    assert unknown == sorted(unknown)
    assert unknown[0] < 0.85 * unknown[-1]


def fitted(evidence: str, data: Patches, epsilon: float = 2.0, **settings: float) -> DpSimulator:
    generator = DpSimulator(replace(DpSimulator.smoke, evidence=evidence, **settings))
    planned = generator.plan(PUBLIC, Budget(epsilon=epsilon, delta=1e-4, unit="patient"))
    noise = SeededNoise("simulation")
    generator.fit(data, planned, FitContext(seed=0, noise=noise, charge=lambda claim: None))
    return generator


@pytest.mark.parametrize("evidence", EVIDENCE)
def test_no_patient_reaches_a_control(evidence: str) -> None:
    other = replace(patches(), images=-patches().images)
    one, two = (fitted(evidence, data).sample(4, seed=0).images for data in (patches(), other))
    assert np.array_equal(one, two) == (evidence != "release")


def test_the_controls_differ() -> None:
    found = [fitted(evidence, patches()).sample(4, seed=0).images for evidence in EVIDENCE]
    assert len({images.tobytes() for images in found}) == len(EVIDENCE)


def test_caution_moves_the_fit_to_fewer_vessels_by_the_noise_s_deviation() -> None:
    def vessels(caution: float, epsilon: float) -> float:
        generator = fitted("noise", patches(), epsilon, caution=caution)
        return float(generator.sample(400, seed=0).masks.mean())

    assert vessels(2.0, 2.0) < 0.7 * vessels(0.0, 2.0)
    assert vessels(3.0, math.inf) == vessels(0.0, math.inf)
    means = [fitted("mean", patches(), 2.0, caution=c)._known.mean for c in (0.0, 1.0, 2.0)]
    np.testing.assert_allclose(means[2] - means[1], means[1] - means[0], atol=1e-9)


def test_the_safe_side_is_of_numbers_that_are_measured() -> None:
    assert set(SAFE_SIDE) < set(NAMES)


def test_without_a_budget_sites_together_learn_what_one_does() -> None:
    whole = fitted("release", patches(), epsilon=math.inf)
    generator = DpSimulator(DpSimulator.smoke)
    schedule = generator.schedule(design="one-mean")
    context = FitContext(seed=0, noise=SeededNoise("x"), charge=lambda claim: None)
    server = generator.server_side(SIZE, schedule, context)
    state, replies = server.begin(), []
    for site in (range(2), range(2, 6)):
        mine = np.isin(patches().patient, site)
        part = Patches(
            images=patches().images[mine],
            masks=patches().masks[mine],
            patient=patches().patient[mine] - site[0],
            patients=len(site),
            patches_per_patient=PUBLIC.patches_per_patient,
        )
        public = replace(PUBLIC, patients=len(site))
        budget = Budget(epsilon=math.inf, delta=1e-4, unit="patient")
        planned = generator.at_site(len(site) / 6).plan_at_site(public, budget, schedule)
        side = generator.site_side(part, planned, schedule)
        replies.append(side.compute(1, server.sent(state), context))
    generator.close(server.combine(1, state, replies, [2 / 6, 4 / 6]), SIZE)
    np.testing.assert_allclose(generator._known.mean, whole._known.mean, rtol=1e-6)


def test_more_than_one_release_a_round_is_refused() -> None:
    with pytest.raises(UsageError, match="one mean in a round"):
        DpSimulator(DpSimulator.smoke).schedule(design="one-mean", local_steps=2)


def test_sites_and_server_of_a_process_simulate_once_and_what_is_kept_is_what_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The public simulation is kept by its public parameters alone, and no patient moves it."""
    made: list[int] = []
    begin = Populations.__init__
    monkeypatch.setattr(
        Populations, "__init__", lambda self, **how: (made.append(1), begin(self, **how))[1]
    )
    generator = DpSimulator(DpSimulator.smoke)
    schedule = generator.schedule(design="one-mean")
    budget = Budget(epsilon=5.0, delta=1e-3, unit="patch")

    def fitted() -> bytes:
        context = FitContext(seed=0, noise=SeededNoise(0), charge=lambda charged: None)
        server = generator.server_side(SIZE, schedule, context)
        state, replies = server.begin(), []
        for k in range(3):
            site = generator.at_site(1 / 3)
            plan = site.plan_at_site(PUBLIC, budget, schedule)
            mine = replace(context, noise=SeededNoise(k))
            side = site.site_side(patches(k), plan, schedule)
            replies.append(side.compute(1, server.sent(state), mine))
        generator.close(server.combine(1, state, replies, [1 / 3] * 3), SIZE)
        return generator.sample(4, seed=0).images.tobytes()

    tubes_of.cache_clear()
    first = fitted()
    assert len(made) == 1
    assert fitted() == first
    assert len(made) == 1
    tubes_of.cache_clear()
    assert fitted() == first
    assert tubes_of(1, 60, 4, SIZE, "patch") is not tubes_of(0, 60, 4, SIZE, "patch")
    assert tubes_of(0, 60, 4, SIZE, "patient") is not tubes_of(0, 60, 4, SIZE, "patch")
