"""Copies of patients are found among synthetic patches, and strangers are not taken for copies."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from benchmark.core.errors import DataError
from benchmark.core.patches import Patches
from benchmark.release.nearest_real import LARGE_PIXELS, likeness, nearness

SIZE = 24


def people(count: int, seed: int) -> Patches:
    """Smooth patches, each with one vessel somewhere: alike in kind, no two the same."""
    rng = np.random.default_rng(seed)
    at = np.arange(SIZE)
    images, masks = [], []
    for _ in range(count):
        slope, level = rng.normal(0, 0.4, 2), rng.uniform(6, SIZE - 6)
        line = level + slope[0] * (at - SIZE / 2) + 2 * np.sin(at / 4 + rng.uniform(0, 6))
        mask = np.abs(at[:, None] - line[None]) < rng.uniform(1, 3)
        ground = rng.normal(0, 1, (3, 3)).repeat(SIZE // 3, 0).repeat(SIZE // 3, 1)
        images.append(
            np.clip(0.2 * ground + 0.8 * mask - 0.3 + rng.normal(0, 0.05, mask.shape), -1, 1)
        )
        masks.append(mask)
    return Patches(
        images=np.array(images, np.float32)[:, None], masks=np.array(masks, np.uint8)[:, None]
    )


FITTED, HELD_OUT, STRANGERS = people(600, 0), people(300, 1), people(300, 2)


def some(patches: Patches, rows: object) -> Patches:
    return Patches(images=patches.images[rows], masks=patches.masks[rows])


def mixed(*parts: Patches) -> Patches:
    return Patches(
        images=np.concatenate([part.images for part in parts]),
        masks=np.concatenate([part.masks for part in parts]),
    )


def test_strangers_pass() -> None:
    found = nearness(STRANGERS, FITTED, HELD_OUT, seed=0)
    assert found.passed, found.figures
    assert found.samples == len(STRANGERS)


def test_one_copy_among_three_hundred_is_found() -> None:
    assert not nearness(mixed(STRANGERS, some(FITTED, [7])), FITTED, HELD_OUT, seed=0).passed


@pytest.mark.parametrize("turn", range(4))
def test_so_is_one_that_was_turned_and_mirrored(turn: int) -> None:
    one = some(FITTED, [11])
    copy = Patches(
        images=np.rot90(one.images, turn, (2, 3))[..., ::-1].copy(),
        masks=np.rot90(one.masks, turn, (2, 3))[..., ::-1].copy(),
    )
    assert not nearness(mixed(STRANGERS, copy), FITTED, HELD_OUT, seed=0).passed


def test_copied_vessels_under_other_textures_are_found() -> None:
    copied, other = some(FITTED, slice(40)), some(people(40, 5), slice(40))
    drawn = Patches(images=other.images, masks=copied.masks)
    found = nearness(mixed(some(STRANGERS, slice(200)), drawn), FITTED, HELD_OUT, seed=0)
    assert not found.passed
    assert found.figures["share beyond strangers by masks"] > 0.1


def test_few_copied_vessel_trees_under_other_textures_are_found() -> None:
    large = FITTED.masks.sum((1, 2, 3)) >= LARGE_PIXELS
    copied = some(FITTED, np.flatnonzero(large)[:3])
    drawn = Patches(images=people(3, 5).images, masks=copied.masks)
    found = nearness(mixed(some(STRANGERS, slice(297)), drawn), FITTED, HELD_OUT, seed=0)
    assert found.figures["copies by masks"] >= 1
    assert not found.passed


def test_who_is_smooth_is_like_everybody_and_copied_nobody() -> None:
    smooth = Patches(images=gaussian_filter(STRANGERS.images, (0, 0, 2, 2)), masks=STRANGERS.masks)
    found = nearness(smooth, FITTED, HELD_OUT, seed=0)
    assert found.passed, found.figures


def test_large_patches_are_compared_as_small_ones_are() -> None:
    def larger(patches: Patches) -> Patches:
        images, masks = (
            np.kron(a, np.ones((1, 1, 4, 4), a.dtype)) for a in (patches.images, patches.masks)
        )
        return Patches(images=images, masks=masks)

    found = likeness(larger(some(STRANGERS, slice(20))), larger(some(STRANGERS, slice(40))))
    assert found.masks[~np.isnan(found.masks)].min() == pytest.approx(1)
    copies = mixed(some(STRANGERS, slice(99)), some(FITTED, [7]))
    many = [larger(some(one, slice(300))) for one in (FITTED, HELD_OUT)]
    assert not nearness(larger(copies), *many, seed=0).passed


def test_noisy_copies_in_number_are_found() -> None:
    copied = some(FITTED, slice(60))
    noise = np.random.default_rng(3).normal(0, 0.05, copied.images.shape)
    noisy = np.clip(copied.images + noise, -1, 1).astype(np.float32)
    drawn = mixed(some(STRANGERS, slice(240)), Patches(images=noisy, masks=copied.masks))
    assert not nearness(drawn, FITTED, HELD_OUT, seed=0).passed


def test_likeness_is_that_of_a_plain_search() -> None:
    ours, theirs = some(STRANGERS, slice(5)), some(FITTED, slice(50))
    found = likeness(ours, theirs)
    for row in range(5):
        best = max(
            np.corrcoef(np.rot90(view, k).ravel(), other.ravel())[0, 1]
            for view in (ours.images[row, 0], ours.images[row, 0].T)
            for k in range(4)
            for other in theirs.images[:, 0]
        )
        assert found.images[row] == pytest.approx(best, abs=1e-5)


def test_masks_of_few_pixels_do_not_count() -> None:
    bare = Patches(images=STRANGERS.images, masks=np.zeros_like(STRANGERS.masks))
    assert np.isnan(likeness(bare, FITTED).masks).all()


def test_without_held_out_patients_nothing_is_said() -> None:
    with pytest.raises(DataError, match="no held-out patient"):
        nearness(STRANGERS, FITTED, some(HELD_OUT, slice(0)), seed=0)
