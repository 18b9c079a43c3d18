"""The data-free simulator: trees against Murray's laws, patches against published figures."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from benchmark.core.budget import Budget
from benchmark.core.errors import UsageError
from benchmark.core.generator import FitContext
from benchmark.core.patches import Patches
from benchmark.privacy.randomness import SeededNoise
from generators.checks import PUBLIC
from generators.simulation import blocks, raster, trees
from generators.simulation.statistics import eroded
from generators.simulator import Simulator, SimulatorParams

SIZE, PIXEL_MM = 32, 0.8


def fitted(params: SimulatorParams, size: int = SIZE) -> Simulator:
    generator = Simulator(params)
    public = replace(PUBLIC, patch_size=size)
    guarantee = generator.plan(public, Budget(epsilon=1.0, delta=1e-5, unit="patch"))
    blank = np.zeros((1, 1, size, size))
    nobody = Patches(images=blank.astype(np.float32), masks=blank.astype(np.uint8))
    noise = SeededNoise(0, "unused")
    generator.fit(nobody, guarantee, FitContext(seed=0, noise=noise, charge=lambda _: None))
    return generator


@pytest.fixture(scope="module")
def drawn() -> Patches:
    return fitted(SimulatorParams()).sample(1200, seed=0)


@pytest.fixture(scope="module")
def grown() -> tuple[trees.Trees, trees.Pieces]:
    rng = np.random.default_rng(0)
    box = np.full((120, 3), 50, np.float32)
    planted = trees.enter(box, rng)
    return planted, trees.grow(planted, 1.0, rng)


def test_cubed_radii_add_up_at_every_branching(grown: tuple[trees.Trees, trees.Pieces]) -> None:
    planted, pieces = grown
    last = {branch: i for i, branch in enumerate(pieces.branch)}
    first = {branch: i for i, branch in reversed([*enumerate(pieces.branch)])}
    young: dict[int, list[float]] = {}
    for i in first.values():
        if pieces.parent[i] >= 0:
            young.setdefault(pieces.parent[i], []).append(pieces.radius[i])
    stems = [stem for stem, radii in young.items() if len(radii) == 2]
    assert len(stems) > 100
    for stem in stems:
        end = last[stem]
        radius = pieces.radius[end] * (1 - planted.taper[pieces.tree[end]])
        assert sum(r**3 for r in young[stem]) == pytest.approx(radius**3, rel=1e-4)


def test_branches_leave_their_stem_at_the_angles_of_least_work() -> None:
    radius, share = np.float32([2.0, 1.0, 0.5]), np.float32([0.5, 0.2, 0.01])
    first, second, to_first, to_second = trees.divided(radius, share)
    sines = [np.sqrt(1 - cosine**2) for cosine in (to_first, to_second)]
    assert first**2 * to_first + second**2 * to_second == pytest.approx(radius**2, rel=1e-4)
    assert first**2 * sines[0] == pytest.approx(second**2 * sines[1], rel=1e-3)


def test_arteries_have_published_calibres_and_taper(
    grown: tuple[trees.Trees, trees.Pieces],
) -> None:
    planted, pieces = grown
    assert pieces.radius.min() >= trees.LEAST_RADIUS_MM
    assert pieces.radius.max() <= (5.0 + 4 * 0.6) / 2  # of a cavernous carotid, four deviations
    assert (pieces.radius <= planted.radius[pieces.tree]).all()


def test_pieces_of_a_branch_are_joined(grown: tuple[trees.Trees, trees.Pieces]) -> None:
    _, pieces = grown
    order = np.argsort(pieces.branch, kind="stable")
    same = np.diff(pieces.branch[order]) == 0
    ends = (pieces.start + pieces.along)[order][:-1][same]
    assert np.allclose(ends, pieces.start[order][1:][same], atol=1e-3)


@pytest.mark.parametrize("radius", [1.1, 2.1])
@pytest.mark.parametrize("along", [(0, 0, 20), (24, 8, 0)])
def test_a_tube_covers_what_geometry_says(radius: float, along: tuple[float, ...]) -> None:
    """A disc of its cross-section, or a strip as wide as it is, from side to side."""
    size, pixel = 48, 0.25
    drawn = _one_piece(np.float32([along]), radius, pixel, size)
    strip = 2 * radius * size * pixel * np.hypot(1, 8 / 24)
    expected = np.pi * radius**2 if along[2] else strip
    assert drawn.mask.sum() * pixel**2 == pytest.approx(expected, rel=0.05)
    assert drawn.blood.max() == pytest.approx(1, abs=0.05)


def test_a_tube_beside_the_slice_is_not_seen() -> None:
    drawn = _one_piece(np.float32([[20, 0, 0]]), 0.5, 0.25, 48, above=1.2)
    assert not drawn.mask.any()
    assert not drawn.blood.any()


def test_blood_in_thin_vessels_is_darker() -> None:
    pieces = trees.Pieces(*3 * [np.zeros(3, np.int64)], *2 * [np.zeros((3, 3), np.float32)],
                          np.float32([0.3, 0.6, 2.0]))  # fmt: skip
    signal = blocks._seen(pieces, _scanner(0.8), np.ones(1, np.float32), np.zeros(1, bool)).signal
    assert (np.diff(signal) > 0.1).all()


def test_vessels_fill_a_published_share_of_patches_cut_anywhere(drawn: Patches) -> None:
    """Public masks: 1.0 to 1.9 % of a head, about 1.1 % of a brain; and half are on a vessel."""
    shares = drawn.masks.mean((1, 2, 3))[~drawn.centred]
    assert 0.006 < shares.mean() < 0.019
    assert shares.std() > shares.mean()
    assert 0.45 < drawn.centred.mean() < 0.55


def test_vessels_are_brighter_than_what_surrounds_them(drawn: Patches) -> None:
    contrasts = []
    for image, mask in zip(drawn.images[:, 0], drawn.masks[:, 0] > 0, strict=True):
        around = binary_dilation(mask, iterations=3) & ~binary_dilation(mask) & (image > -1)
        if mask.any() and around.any():
            contrasts.append(image[mask].mean() - image[around].mean())
    assert np.mean(contrasts) > 0.3
    assert np.mean(np.array(contrasts) > 0) > 0.85


def test_brightness_alone_does_not_tell_vessels_apart(drawn: Patches) -> None:
    """Contrasts reach from barely visible to saturating, and windows differ."""
    inside = drawn.images[drawn.masks > 0]
    outside = drawn.images[(drawn.masks == 0) & (drawn.images > -1)]
    assert np.quantile(inside, 0.1) < np.quantile(outside, 0.9)
    assert (outside == 1).mean() < 0.05


@pytest.mark.parametrize(
    ("design", "size"), [("trees", 16), ("trees", 64), ("trees", 96), ("arcs", 32)]
)
def test_patches_of_any_side_keep_the_contract_and_repeat(design: str, size: int) -> None:
    generator = fitted(SimulatorParams(design=design, pixel_mm=0.6), size)
    one, two, other = (generator.sample(12, seed=seed) for seed in (3, 3, 4))
    assert one.images.shape == (12, 1, size, size)
    assert one.masks.any()
    assert np.array_equal(one.images, two.images)
    assert np.array_equal(one.masks, two.masks)
    assert not np.array_equal(one.images, other.images)


def test_fewer_patches_are_the_first_of_more(drawn: Patches) -> None:
    few = fitted(SimulatorParams()).sample(130, seed=0)
    assert np.array_equal(few.images, drawn.images[:130])


def test_the_smaller_a_pixel_the_more_of_a_vessel_is_away_from_its_wall() -> None:
    fine, coarse = (
        fitted(SimulatorParams(pixel_mm=mm)).sample(240, seed=1).masks[:, 0] > 0
        for mm in (0.3, 1.2)
    )
    assert eroded(fine).sum() / fine.sum() > 2 * eroded(coarse).sum() / coarse.sum()


def test_presets_have_the_pixels_of_their_protocols() -> None:
    sides = {name: params.as_dict()["pixel_mm"] for name, params in Simulator.presets.items()}
    assert sides == {"quick": 0.8, "standard": 0.6, "paper": 0.4}
    with pytest.raises(UsageError, match="Expected pixel_mm in"):
        SimulatorParams(pixel_mm=0.0)


def _one_piece(
    along: np.ndarray, radius: float, pixel: float, size: int, above: float = 0.0
) -> raster.Drawn:
    """What one vessel through a patch's middle looks like."""
    one = np.ones(1, np.float32)
    start = -along / 2 + np.float32([0, 0, above])
    vessels = raster.Vessels(
        np.zeros(1, np.int64), start, along, radius * one, one, np.ones(1, bool)
    )
    views = raster.Views(np.zeros(1, np.int64), np.zeros((1, 3), np.float32))
    return raster.rasterised(vessels, _scanner(pixel), views, size)


def _scanner(pixel: float) -> raster.Blocks:
    one = np.ones(1, np.float32)
    return raster.Blocks(pixel * one, 0.1 * one, 0.3 * one, 0 * one, 0.5 * one, 0.1 * one)
