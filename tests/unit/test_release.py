"""One noised mean: what it is, how far a unit moves it, and what it costs."""

import math

import hypothesis.extra.numpy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.core.budget import Budget, PublicNumbers
from benchmark.core.mechanism import Grid
from benchmark.core.patches import Patches
from benchmark.privacy.accounting.subsampled_gaussian import account, gaussian_delta
from benchmark.privacy.mechanisms.poisson_gaussian import recomputed
from benchmark.privacy.mechanisms.release import (
    FINENESS,
    Release,
    clipped,
    finite,
    on_grid,
    plan_releases,
)
from benchmark.privacy.randomness import SeededNoise

PUBLIC = PublicNumbers(patients=5, patches_per_patient=4, patch_size=8)
SIDE = 8


def planned(unit: str = "patient", epsilon: float = 2.0, releases: int = 1):
    budget = Budget(epsilon=epsilon, delta=1e-5, unit=unit)
    return plan_releases(PUBLIC, budget, clip_norm=0.5, releases=releases)


def some_patches(seed: int = 0, *, without: int | None = None) -> Patches:
    rng = np.random.default_rng(seed)
    images = rng.uniform(-1, 1, (20, 1, SIDE, SIDE)).astype(np.float32)
    owner = np.repeat(np.arange(5), 4)
    kept = owner != without
    return Patches(
        images=images[kept],
        masks=(images[kept] > 0).astype(np.uint8),
        patient=owner[kept],
        patients=5,
        patches_per_patient=4,
    )


def pixels(patches: Patches) -> np.ndarray:
    return patches.images.reshape(len(patches), SIDE * SIDE).astype(float)


class Silence:
    def noised(self, sums: np.ndarray, grid: Grid) -> np.ndarray:
        return sums


@pytest.mark.parametrize("unit", ["patch", "patient"])
def test_the_mean_is_that_of_clipped_units_over_the_public_number(unit: str) -> None:
    patches = some_patches(without=3)
    rows = pixels(patches)
    if unit == "patient":
        rows = np.stack([rows[patches.patient == p].mean(0) for p in (0, 1, 2, 4)])
    shrunk = np.minimum(1, 0.5 / np.linalg.norm(rows, axis=1))[:, None] * rows
    expected = shrunk.sum(0) / (20 if unit == "patch" else 5)
    found = Release(planned(unit)).mean(patches, pixels, Silence())
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=2.0**-30)


@settings(max_examples=50, deadline=None)
@given(
    st.integers(0, 4),
    st.sampled_from(["patch", "patient"]),
    st.one_of(st.floats(1e-6, 1e6), st.sampled_from([1e200, 1.7e308])),
    st.sampled_from([0.0, math.nan, math.inf]),
)
def test_zeroing_out_a_unit_moves_the_sum_by_the_clip_norm_at_most(who, unit, scale, odd) -> None:
    release = Release(planned(unit))

    def features(patches: Patches) -> np.ndarray:
        rows = scale * pixels(patches)
        rows[:: 3 if odd else len(rows) + 1] = odd
        return rows

    one = release.mean(some_patches(), features, Silence())
    other = release.mean(some_patches(without=who), features, Silence())
    units = 4 if unit == "patch" else 1
    moved = np.linalg.norm(one - other) * release.units
    assert moved <= units * 0.5 * (1 + 1e-9)


def test_the_noise_is_that_which_was_accounted() -> None:
    guarantee = planned("patch")
    release = Release(guarantee)
    wide = lambda patches: np.zeros((len(patches), 5_000))  # noqa: E731
    drawn = release.mean(some_patches(), wide, SeededNoise("x"))
    expected = guarantee.noise_multiplier * guarantee.clip_norm / 20
    assert drawn.std() == pytest.approx(expected, rel=0.04)
    assert release.deviation == pytest.approx(expected)


def test_nobodys_patches_release_noise_alone() -> None:
    empty = Patches(
        images=np.empty((0, 1, SIDE, SIDE), np.float32),
        masks=np.empty((0, 1, SIDE, SIDE), np.uint8),
        patient=np.empty(0, np.int64),
        patients=5,
        patches_per_patient=4,
    )
    assert not Release(planned()).mean(empty, pixels, Silence()).any()
    assert Release(planned()).mean(empty, pixels, SeededNoise("x")).all()


@pytest.mark.parametrize("unit", ["patch", "patient"])
def test_as_much_is_computed_for_a_patient_without_patches_as_for_any_other(unit: str) -> None:
    """Or else how long a site takes tells that somebody has none."""
    asked: dict[int | None, list[int]] = {}
    for without in (None, 0, 2):
        asked[without] = []

        def counted(patches: Patches, into: list[int] = asked[without]) -> np.ndarray:
            into.append(len(patches))
            return pixels(patches)

        Release(planned(unit)).mean(some_patches(without=without), counted, SeededNoise("x"))
    assert asked[None]
    assert asked[None] == asked[0] == asked[2]


def test_without_a_budget_nothing_is_clipped_or_noised() -> None:
    found = Release(planned("patch", math.inf)).mean(some_patches(), pixels, SeededNoise("x"))
    np.testing.assert_allclose(found, pixels(some_patches()).mean(0), rtol=1e-9)


def test_a_vector_that_is_not_finite_counts_as_zero() -> None:
    odd = [[math.nan, 1.0], [math.inf, 0.0]]
    rows = np.array([[3.0, 4.0], [0.0, 0.0], [1e-320, 0.0], [1e200, -1e200]])
    kept = finite(np.concatenate([rows, odd]))
    assert kept.tolist() == rows.tolist()
    np.testing.assert_allclose(clipped(kept, 1.0)[:3], [[0.6, 0.8], [0, 0], [0, 0]], atol=1e-300)
    assert (on_grid(kept, 1.0)[:2] == [[FINENESS * 6 // 10, FINENESS * 8 // 10], [0, 0]]).all()
    assert not on_grid(np.array(odd), 1.0).any()


@settings(max_examples=200, deadline=None)
@given(
    hypothesis.extra.numpy.arrays(
        np.float64,
        st.tuples(st.integers(1, 4), st.integers(1, 40)),
        elements=st.floats(-1e300, 1e300),
    ),
    st.floats(1e-6, 1e6),
)
def test_no_vector_is_longer_than_the_clip_norm_in_whole_numbers(rows, clip_norm) -> None:
    for row in on_grid(rows, clip_norm):
        assert sum(int(number) ** 2 for number in row) <= FINENESS**2


def test_what_is_released_lies_on_the_public_grid_whoever_is_there() -> None:
    plan = planned("patch")
    for without in (None, 2):
        patches = some_patches(without=without)
        found = Release(plan).mean(patches, pixels, SeededNoise("grid"))
        steps = found * 20 / plan.grid
        assert np.array_equal(np.round(steps) * (plan.grid / 20), found)
    assert plan.grid == 0.5 / FINENESS
    assert plan.sensitivity == plan.clip_norm == 0.5
    assert plan.distance * math.exp(plan.epsilon) < 1e-9 * plan.delta


def test_blanking_one_patch_changes_no_bit_of_what_the_others_give() -> None:
    """Features that round by what stands beside a row are called with the same slots filled."""
    seen: list[dict[bytes, bytes]] = []

    def features(patches: Patches) -> np.ndarray:
        rows = pixels(patches) @ np.random.default_rng(0).standard_normal((64, 64))
        blank = np.zeros(SIDE * SIDE, np.float64).tobytes()
        keys = [row.tobytes() for row in pixels(patches)]
        seen[-1] |= {k: row.tobytes() for k, row in zip(keys, rows, strict=True) if k != blank}
        return rows

    for without in (None, 3):
        seen.append({})
        Release(planned("patch")).mean(some_patches(without=without), features, Silence())
    whole, less = seen
    assert len(less) == 16
    assert all(whole[key] == row for key, row in less.items())


@pytest.mark.parametrize("releases", [1, 7])
@pytest.mark.parametrize("epsilon", [0.05, 1.0, 2.0, 20.0])
def test_the_noise_is_the_least_that_the_closed_form_allows(epsilon, releases) -> None:
    plan = planned("patient", epsilon, releases)
    mu = math.sqrt(releases) / plan.noise_multiplier
    assert gaussian_delta(epsilon, mu) <= 1e-5
    assert gaussian_delta(epsilon, 1.003 * mu) > 1e-5
    assert (plan.accountant, plan.steps, plan.sampling_rate) == ("gaussian", releases, 1.0)
    assert recomputed(plan) == plan


def test_both_units_are_bounded_by_the_closed_form() -> None:
    """A patch of a patient run moves by 2C at most; a patient's patches together by k C."""
    for unit, other, times in (("patient", "epsilon_patch", 2), ("patch", "epsilon_patient", 4)):
        plan = planned(unit)
        bound = getattr(plan, other)
        assert plan.epsilon < bound < math.inf
        assert gaussian_delta(bound, times / plan.noise_multiplier) <= 1e-5


def test_the_closed_form_agrees_with_the_other_accountants_where_all_are_drawn() -> None:
    run = {"noise_multiplier": 3.0, "sampling_rate": 1.0, "steps": 4, "delta": 1e-5}
    exact = account(**run, accountant="gaussian")
    assert exact.accountant == "gaussian"
    for name in ("pld", "prv"):
        assert exact.epsilon <= account(**run, accountant=name).epsilon * 1.0001
        assert account(**run, accountant=name).epsilon <= 1.01 * exact.epsilon + 0.02


def test_the_closed_form_does_not_vouch_for_sampled_steps() -> None:
    spent = account(
        noise_multiplier=3.0, sampling_rate=0.5, steps=4, delta=1e-5, accountant="gaussian"
    )
    assert spent.accountant != "gaussian"
