"""The WGANs that begin from the simulator: it is what they are until patients say otherwise."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import generators.nets.refining as refining
from benchmark.core.budget import Budget, Guarantee, PublicNumbers, Unit
from benchmark.core.editions import preset_in
from benchmark.core.generator import FitContext
from benchmark.core.patches import Patches
from benchmark.core.protocol import PROTOCOLS
from benchmark.privacy.checkpoint import Checkpoint
from benchmark.privacy.randomness import SeededNoise
from generators import checks
from generators.dp_wgan import DpWgan, DpWganParams
from generators.nets.refining import Refiner, simulated, trust
from generators.nets.wgan_settings import WganParams
from generators.simulator import Simulator, SimulatorParams
from generators.wgan import Wgan

SMALL = {"latent": 4, "generator_width": 4, "critic_width": 4, "batch": 12, "fakes": 8}
SMALL |= {"begin": "simulator", "generator_steps": 3, "critic_steps": 2}


@pytest.fixture(autouse=True)
def _small_pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(refining, "POOL", 64)
    refining._pool.cache_clear()
    yield
    refining._pool.cache_clear()


@pytest.fixture
def net() -> Refiner:
    made = Refiner(latent=4, size=32, width=4, pixel_mm=0.8)
    made.initialise(torch.Generator().manual_seed(0))
    return made


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def fitted(data: Patches, *, epsilon: float = 5.0, kind=DpWgan, **changes: object):
    params = DpWganParams if kind is DpWgan else WganParams
    made = kind(params(**{**SMALL, **changes}))
    context = FitContext(seed=0, noise=SeededNoise("x"), charge=lambda claim: None)
    budget = Budget(epsilon=epsilon, delta=1e-3, unit="patch")
    made.fit(data, made.plan(checks.PUBLIC, budget), context)
    return made


def test_before_any_step_it_is_the_simulator(net: Refiner) -> None:
    begun, *noise = next(net.inputs(40, 3, rng()))
    with torch.no_grad():
        assert torch.equal(net(begun, *noise), begun)
    drawn = Simulator.of_size(SimulatorParams(pixel_mm=0.8), 32).sample(40, seed=3)
    assert np.array_equal(begun[:, :1].numpy(), drawn.images)
    assert np.array_equal(begun[:, 1:].numpy() > 0, drawn.masks > 0)


def test_what_is_drawn_has_the_simulators_masks_and_other_images() -> None:
    drawn = fitted(checks.patches(), epsilon=math.inf).sample(30, seed=5)
    begun = Simulator.of_size(SimulatorParams(), 32).sample(30, seed=5)
    assert np.array_equal(drawn.masks, begun.masks)
    assert not np.array_equal(drawn.images, begun.images)


def with_moved_edges() -> Refiner:
    made = Refiner(latent=4, size=32, width=4, pixel_mm=0.8, moves_edges=True)
    made.initialise(torch.Generator().manual_seed(0))
    return made


def test_before_any_step_movable_edges_are_the_simulators() -> None:
    net = with_moved_edges()
    begun, *noise = next(net.inputs(60, 3, rng()))
    with torch.no_grad():
        drawn = net(begun, *noise)
    simulator = Simulator.of_size(SimulatorParams(pixel_mm=0.8), 32).sample(60, seed=3)
    assert np.array_equal(drawn[:, :1].numpy(), simulator.images)
    assert np.array_equal(drawn[:, 1:].numpy(), 2.0 * simulator.masks - 1)


def test_edges_move_outwards_and_inwards_and_nothing_is_marked_beyond_the_brain() -> None:
    net = with_moved_edges()
    begun, *noise = next(net.inputs(200, 3, rng()))
    outside = refining._outside(begun[:, :1])[:, 0] > 0
    shares = []
    for shift in (-0.1, -0.03, 0.0, 0.03, 0.1, 9.0):
        with torch.no_grad():
            net.knobs.bias[-1] = shift
            marked = net(begun, *noise)[:, 1] > 0
        assert not (marked & outside).any()
        shares.append(float(marked.float().mean()))
    assert shares == sorted(set(shares)), "the further out, the more is marked"


def test_the_critic_tells_an_edge_which_way_to_go() -> None:
    net = with_moved_edges()
    begun, *noise = next(net.inputs(60, 3, rng()))
    net(begun, *noise)[:, 1].mean().backward()
    assert net.knobs.bias.grad is not None
    assert net.knobs.bias.grad[-1] > 0.01


def test_moved_edges_are_learnt_saved_and_drawn_again(tmp_path: Path) -> None:
    made = fitted(checks.patches(), epsilon=math.inf, edges="moved", generator_rate=0.1)
    drawn, begun = (
        made.sample(30, seed=5),
        Simulator.of_size(SimulatorParams(), 32).sample(30, seed=5),
    )
    assert not np.array_equal(drawn.masks, begun.masks)
    made.save(tmp_path)
    again = DpWgan.load(tmp_path).sample(30, seed=5)
    assert np.array_equal(again.masks, drawn.masks)
    assert np.array_equal(again.images, drawn.images)


def test_whatever_the_weights_an_image_is_in_range_and_the_outside_stays_outside(
    net: Refiner,
) -> None:
    begun = simulated(200, 32, 0.8, seed=2)
    with torch.no_grad():
        for weight in net.parameters():
            weight.copy_(torch.randn(weight.shape, generator=rng()))
        drawn = net(begun, *net._noise(200, rng()))
    outside = refining._outside(begun[:, :1]) > 0
    assert outside.any()
    assert (drawn[:, :1][outside] == -1).all()
    assert drawn.abs().max() <= 1
    assert (drawn[:, :1] != begun[:, :1])[~outside].float().mean() > 0.9


def test_a_clipped_pixel_still_tells_the_network_which_way_to_go(net: Refiner) -> None:
    begun = simulated(40, 32, 0.8, seed=2)
    with torch.no_grad():
        net.knobs.bias[1] = 9.0  # every pixel is far above 1
    net(begun, *net._noise(40, rng()))[:, 0].mean().backward()
    assert net.knobs.bias.grad is not None
    assert net.knobs.bias.grad[1] > 0.1


def test_patches_of_the_pool_are_turned_as_a_whole(net: Refiner) -> None:
    net.fill(64)
    begun, _, _ = net.latents(300, rng())
    alone = {(float(p[0].double().sum()), float(p[1].sum())) for p in net.pool.sort(-1).values}
    assert len(alone) > 1
    for patch in begun:
        turns = [patch, patch.flip(-1), patch.flip(-2), patch.flip(-1).flip(-2)]
        turns += [turn.mT for turn in turns]
        assert any((net.pool == turn).flatten(1).all(1).any() for turn in turns)


def test_at_infinity_dp_wgan_is_wgan_number_by_number() -> None:
    one, other = (
        fitted(checks.patches(), epsilon=math.inf, kind=kind).sample(8, seed=0)
        for kind in (Wgan, DpWgan)
    )
    assert np.array_equal(one.images, other.images)


def test_images_move_to_the_patients() -> None:
    dark, bright = (
        replace(checks.patches(), images=np.full_like(checks.patches().images, level))
        for level in (-0.9, 0.9)
    )
    means = [
        fitted(data, epsilon=math.inf, generator_steps=30).sample(50, seed=0).images.mean()
        for data in (dark, bright)
    ]
    assert means[1] > means[0] + 0.1


@pytest.mark.parametrize(("unit", "units"), [("patch", 16_000), ("patient", 16)])
def test_the_less_a_critic_tells_the_less_it_is_followed(unit: Unit, units: int) -> None:
    """By hand: B = 8 expected units, and noise of length σ √d in each step."""
    public = PublicNumbers(patients=16, patches_per_patient=1000, patch_size=32)
    plain = Guarantee.of(public, Budget(epsilon=5.0, delta=1e-6, unit=unit), epsilon=5.0)
    plain = replace(plain, sampling_rate=8 / units)
    trusts = [trust(replace(plain, noise_multiplier=noise), 400) for noise in (0.0, 0.3, 1.0, 4.0)]
    assert trusts == pytest.approx([1.0, 1.0, 8 / 20, 8 / 80])


def test_where_a_critic_is_noise_the_simulator_is_what_remains() -> None:
    begun = Simulator.of_size(SimulatorParams(), 32).sample(40, seed=0).images
    moved = [
        np.abs(fitted(checks.patches(), epsilon=e).sample(40, seed=0).images - begun)
        for e in (0.05, math.inf)
    ]
    assert moved[0].mean() < 0.1 * moved[1].mean()


def test_a_killed_fit_goes_on_exactly(tmp_path: Path) -> None:
    made = DpWgan(DpWganParams(**SMALL | {"generator_steps": 25, "accountant": "rdp"}))
    planned = made.plan(checks.PUBLIC, Budget(epsilon=5.0, delta=1e-3, unit="patch"))

    class KilledError(BaseException):
        pass

    def killed(done: int, total: int, values: object) -> None:
        if done == 15:
            raise KilledError

    whole = fitted(checks.patches(), generator_steps=25, accountant="rdp")
    for progress in (killed, lambda *heard: None):
        context = FitContext(
            seed=0,
            noise=SeededNoise("x"),
            charge=lambda claim: None,
            progress=progress,
            checkpoint=Checkpoint(tmp_path / "checkpoint.safetensors", planned),
        )
        try:
            made.fit(checks.patches(), planned, context)
        except KilledError:
            continue
    assert np.array_equal(made.sample(6, seed=1).images, whole.sample(6, seed=1).images)


def test_the_next_edition_begins_from_the_simulator_at_its_pixels() -> None:
    for kind in (Wgan, DpWgan):
        for preset in ("quick", "standard"):
            settings = preset_in("2026-2", kind.presets, kind.name, preset)
            protocol = preset_in("2026-2", PROTOCOLS, "protocol", preset)
            assert settings.begin == "simulator"
            assert settings.pixel_mm == protocol.spacing_mm
        assert preset_in("2026-2", kind.presets, kind.name, "paper") == kind.presets["paper"]
        assert "begin" not in kind.presets["quick"].as_dict(), "else earlier keys would be lost"
