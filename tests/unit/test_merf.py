"""The random-feature embedding, the network trained against its noised mean, and its audit."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.audit.canaries import audit, trial
from benchmark.core.budget import UNITS, Budget
from benchmark.core.errors import UsageError
from benchmark.core.generator import FitContext
from benchmark.core.laws import LawBrokenError
from benchmark.core.patches import Patches
from benchmark.privacy.mechanisms.release import Release, clipped
from benchmark.privacy.randomness import SeededNoise
from generators.checks import PUBLIC, patches
from generators.dp_merf import DpMerf
from generators.nets.embedding import Embedding, scales
from generators.nets.matching import Target, contributions, distance, train
from generators.nets.merf_settings import EVIDENCE

SIZE = PUBLIC.patch_size
EACH_UNIT = pytest.mark.parametrize("unit", UNITS)


def embedding(unit: str = "patch", size: int = SIZE, seed: int = 0) -> Embedding:
    rng = np.random.default_rng(seed)
    return Embedding(frequencies=8, populations=24, size=size, unit=unit, rng=rng)  # type: ignore[arg-type]


def taken(some: Patches, indices: Any) -> Patches:
    return Patches(images=some.images[indices], masks=some.masks[indices])


def context(**more: Any) -> FitContext:
    return FitContext(seed=0, noise=SeededNoise("merf"), charge=lambda claim: None, **more)


def fitted(
    unit: str, epsilon: float, data: Patches | None = None, **more: Any
) -> tuple[DpMerf, Release, list[float]]:
    """A fit, its release, and the distances over its training."""
    generator = DpMerf(replace(DpMerf.smoke, **more))
    planned = generator.plan(PUBLIC, Budget(epsilon=epsilon, delta=1e-4, unit=unit))
    shown: list[Release] = []
    curve: list[float] = []
    mine = context(
        inspect=shown.append, progress=lambda step, total, found: curve.append(found["distance"])
    )
    generator.fit(data or patches(), planned, mine)
    return generator, shown[0], curve


@EACH_UNIT
def test_a_feature_is_of_one_patch_alone(unit: str) -> None:
    made, some = embedding(unit), patches()
    alone = [made.features(taken(some, [i])) for i in range(len(some))]
    np.testing.assert_allclose(made.features(some), np.concatenate(alone), atol=1e-5)
    assert made.features(some).dtype == np.float64
    assert made.features(taken(some, [])).shape == (0, made.length)


@pytest.mark.parametrize("size", [16, 32, 64])
def test_blank_and_full_patches_have_features_and_derivatives(size: int) -> None:
    made = embedding(size=size)
    blank = np.full((1, 1, size, size), -1.0, np.float32)
    images = np.concatenate([blank, 0 * blank, -blank])
    for fill in (0, 1):
        both = Patches(images=images, masks=np.full(images.shape, fill, np.uint8))
        assert np.isfinite(made.features(both)).all()
    shown = torch.from_numpy(np.concatenate([images, -images], 1)).requires_grad_()
    made.vectors(shown).square().sum().backward()
    assert torch.isfinite(shown.grad).all()  # type: ignore[arg-type]


def test_features_are_made_of_no_patient_and_repeat() -> None:
    one, two, other = (embedding(seed=seed).features(patches()) for seed in (0, 0, 1))
    assert np.array_equal(one, two)
    assert not np.allclose(one, other)


def test_a_feature_sees_which_pixels_the_mask_has() -> None:
    made, some = embedding(), patches()
    elsewhere = replace(some, masks=np.roll(some.masks, 9, axis=-1))
    assert np.abs(made.features(some) - made.features(elsewhere)).max() > 1e-2


@EACH_UNIT
def test_simulated_units_have_vectors_of_about_norm_one(unit: str) -> None:
    made = embedding(unit)
    spread = made._covariance.diagonal().sum()
    assert 0.1 < spread < 2
    assert scales(SIZE) == (1, 2, 4)


@EACH_UNIT
@pytest.mark.parametrize("clip_norm", [0.3, math.inf])
def test_without_noise_the_released_mean_is_that_of_clipped_units(
    unit: str, clip_norm: float
) -> None:
    made, some = embedding(unit), patches()
    vectors = made.features(some)
    if unit == "patient":
        vectors = vectors.reshape(PUBLIC.patients, PUBLIC.patches_per_patient, -1).mean(1)
    planned = DpMerf(DpMerf.smoke).plan(PUBLIC, Budget(epsilon=math.inf, delta=1e-4, unit=unit))
    release = Release(replace(planned, clip_norm=clip_norm))
    found = release.mean(some, made.features, SeededNoise("none"))
    np.testing.assert_allclose(found, clipped(vectors, clip_norm).mean(0), atol=1e-6)


def test_some_features_are_the_same_numbers_at_the_whole_vectors_scale() -> None:
    made = embedding()
    shown = torch.randn(3, 2, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    part, where = made.some(torch.tensor([6, 1]))
    expected = made.vectors(shown)[:, where] * math.sqrt(8 / 2)
    torch.testing.assert_close(part.vectors(shown), expected, atol=1e-4, rtol=1e-4)
    assert made.features(patches()).shape[1] == made.length


def test_fakes_are_clipped_as_units_are() -> None:
    vectors = torch.from_numpy(np.random.default_rng(0).normal(size=(12, 5)))
    expected = clipped(vectors.numpy(), 1.2)
    np.testing.assert_allclose(contributions(vectors, "patch", 1.2), expected)
    whole = contributions(vectors, "patient", 0.1).mean(0, keepdim=True)
    np.testing.assert_allclose(whole, clipped(vectors.mean(0, keepdim=True).numpy(), 0.1))
    assert contributions(vectors, "patch", math.inf) is vectors


def test_the_distance_is_estimated_without_bias() -> None:
    rng = torch.Generator().manual_seed(0)
    draws = torch.randn(20_000, 4, 3, generator=rng) + 0.5
    found = torch.stack([distance(batch, torch.zeros(3)) for batch in draws]).mean()
    assert float(found) == pytest.approx(3 * 0.25, abs=0.02)


def test_much_noise_is_not_believed_and_none_is_taken_as_it_is() -> None:
    made = embedding()
    mean = np.random.default_rng(0).normal(size=made.length)
    np.testing.assert_allclose(made.believed(mean, 0.0), mean, atol=1e-5)
    assert float(made.believed(mean, 1e4).norm()) < 1e-5
    norms = [float(made.believed(mean, s).norm()) for s in (0.0, 0.1, 1.0, 10.0)]
    assert norms == sorted(norms, reverse=True)


@EACH_UNIT
def test_training_comes_closer_to_the_released_mean(unit: str) -> None:
    params = replace(DpMerf.smoke, steps=40, fakes=32, rate=1e-2)
    made = embedding(unit)
    target = Target(
        mean=made.features(patches()).mean(0),
        deviation=0.0,
        clip_norm=math.inf,
        unit=unit,  # type: ignore[arg-type]
        size=SIZE,
        seed=0,
    )
    curve: list[float] = []
    net = DpMerf(params)._network(SIZE)
    train(net, made, target, params, lambda step, total, found: curve.append(found["distance"]))
    assert np.mean(curve[-5:]) < 0.5 * np.mean(curve[:5])


@EACH_UNIT
def test_no_patch_is_read_after_the_release(unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[bool] = []

    class Guarded(Patches):
        def __getattribute__(self, name: str) -> Any:
            if name in {"images", "masks", "patient"} and closed:
                raise LawBrokenError("Patches were read after the release.")
            return super().__getattribute__(name)

    plain, mean = patches(), Release.mean

    def once(*args: Any) -> Any:
        found = mean(*args)
        assert not closed
        closed.append(True)
        return found

    monkeypatch.setattr(Release, "mean", once)
    guarded = Guarded(**{name: getattr(plain, name) for name in plain.__dataclass_fields__})
    fitted(unit, 2.0, guarded)
    assert closed


@pytest.mark.parametrize("evidence", EVIDENCE)
def test_no_patient_reaches_a_control(evidence: str) -> None:
    other = replace(patches(), images=-patches().images)
    one, two = (
        fitted("patient", 2.0, data, evidence=evidence)[0].sample(4, seed=0).images
        for data in (patches(), other)
    )
    assert np.array_equal(one, two) == (evidence != "release")


def test_what_is_clipped_can_shorten() -> None:
    vectors = torch.full((3, 4), 5.0, requires_grad=True)
    for unit in UNITS:
        loss = contributions(vectors, unit, 1.0).mean(0).square().sum()
        (slope,) = torch.autograd.grad(loss, vectors)
        assert (slope > 0).all()


def test_without_a_budget_sites_together_release_what_one_does() -> None:
    whole, _, _ = fitted("patient", math.inf)
    generator = DpMerf(DpMerf.smoke)
    schedule = generator.schedule(design="one-mean")
    server = generator.server_side(SIZE, schedule, context())
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
        replies.append(side.compute(1, server.sent(state), context()))
    generator.close(server.combine(1, state, replies, [2 / 6, 4 / 6]), SIZE)
    one, two = (made.sample(4, seed=0).images for made in (whole, generator))
    np.testing.assert_allclose(one, two, atol=1e-2)


def test_a_side_that_cannot_be_doubled_up_to_and_a_second_release_are_refused() -> None:
    generator = DpMerf(DpMerf.smoke)
    budget = Budget(epsilon=2.0, delta=1e-4, unit="patch")
    with pytest.raises(UsageError, match="multiple of 8"):
        generator.plan(replace(PUBLIC, patch_size=36), budget)
    with pytest.raises(UsageError, match="one mean in a round"):
        generator.schedule(design="one-mean", local_steps=2)


def _audited(unit: str, plant: Callable[[Release], None] = lambda release: None) -> Any:
    among = trial(patches(), unit, canaries=64, seed=0)  # type: ignore[arg-type]
    budget = Budget(epsilon=1.0, delta=1e-4, unit=unit)  # type: ignore[arg-type]
    return audit(DpMerf(DpMerf.smoke), budget, among, context(), plant=plant)


@EACH_UNIT
def test_the_audit_refutes_no_honest_fit_and_one_without_enough_noise(unit: str) -> None:
    honest = _audited(unit)
    assert not honest.contradicts
    assert honest.bound <= honest.claim.epsilon

    def quiet(release: Release) -> None:
        release.guarantee = replace(release.guarantee, noise_multiplier=1e-3)

    assert _audited(unit, quiet).contradicts
