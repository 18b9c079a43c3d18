"""The mask distance: what it is blind to, what it sees, and what its numbers mean."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from benchmark.metrics.mask_shapes import NAMES, mask_distance, shapes
from generators.simulation import tubes

SIZE = 32


def drawn(seed: int, n: int = 300) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return tubes.draw(tubes.prior(n, rng), SIZE, rng)[1]


def dots(n: int = 300) -> np.ndarray:
    rng, masks = np.random.default_rng(0), np.zeros((n, 1, SIZE, SIZE), np.uint8)
    for mask in masks:
        for y, x in rng.integers(2, SIZE - 2, (3, 2)):
            mask[0, y : y + 2, x : x + 2] = 1
    return masks


def bar() -> np.ndarray:
    mask = np.zeros((1, 1, SIZE, SIZE), np.uint8)
    mask[0, 0, 10:13, 4:28] = 1
    return mask


def test_masks_of_one_kind_are_near_and_dots_are_far() -> None:
    real = drawn(0)
    near, far = mask_distance(real, drawn(1)), mask_distance(real, dots())
    assert near < 0.02
    assert far > 0.2
    assert mask_distance(real, np.zeros_like(real)) > far
    assert mask_distance(real, real) == pytest.approx(0, abs=1e-12)


def test_nothing_and_nothing_are_alike() -> None:
    empty = np.zeros((4, 1, SIZE, SIZE), np.uint8)
    assert mask_distance(empty, empty) == 0
    assert not shapes(empty).any()
    assert 0 < mask_distance(empty, bar().repeat(4, 0)) <= 1


def test_the_numbers_of_a_bar_and_of_a_cross() -> None:
    one = dict(zip(NAMES, shapes(bar())[0], strict=True))
    assert one["share"] == pytest.approx(3 * 24 / SIZE**2)
    assert one["pieces"] == pytest.approx(np.log(2))
    assert 3 <= one["calibre"] <= 4
    assert one["branchings"] == 0
    assert 0.8 < one["straightness"] < 1
    cross = bar()
    cross[0, 0, 2:30, 14:17] = 1
    two = dict(zip(NAMES, shapes(cross)[0], strict=True))
    assert two["branchings"] > 0
    assert two["length"] > one["length"]
    assert two["pieces"] == one["pieces"]


def test_it_is_the_energy_coefficient_of_its_numbers() -> None:
    real, other = drawn(0, 40), dots(30)
    x, y = shapes(real), shapes(other)
    scale = np.maximum(x.std(0), 1e-6)
    x, y = x / scale, y / scale
    energy = 2 * cdist(x, y).mean() - cdist(x, x).mean() - cdist(y, y).mean()
    assert mask_distance(real, other) == pytest.approx(energy / (2 * cdist(x, y).mean()))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(0, 2**32 - 1), st.integers(3, 20))
def test_a_masks_numbers_are_its_own(n: int, seed: int, size: int) -> None:
    masks = (np.random.default_rng(seed).random((n, 1, size, size)) < 0.3).astype(np.uint8)
    alone = np.concatenate([shapes(mask[None]) for mask in masks])
    assert np.allclose(shapes(masks), alone)
    assert np.isfinite(alone).all()
