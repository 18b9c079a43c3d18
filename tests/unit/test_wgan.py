"""The WGANs: equal at ε = inf, a fresh batch a step, the paper's shapes."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

import generators.checks as checks
from benchmark.core.budget import Budget, Guarantee, PublicNumbers
from benchmark.core.errors import UsageError
from benchmark.core.generator import FitContext
from benchmark.privacy.randomness import SeededNoise
from generators.dp_wgan import DpWgan, DpWganParams
from generators.nets.adversarial import Game
from generators.nets.convolutional import (
    NearestDoubling,
    PatchCritic,
    _is_surely_below,
    bound_weights,
    project_spectrally,
)
from generators.nets.players import networks
from generators.nets.wgan_settings import WganParams
from generators.wgan import Wgan

SMALL = {"latent": 4, "generator_width": 4, "critic_width": 4, "batch": 12, "fakes": 6}


def context(key: str = "wgan", **changes: object) -> FitContext:
    return FitContext(
        **{"seed": 0, "noise": SeededNoise(0, key), "charge": lambda _: None, **changes}
    )


@pytest.mark.parametrize("unit", ["patch", "patient"])
def test_dp_wgan_at_infinity_is_wgan_number_by_number(unit: str) -> None:
    budget = Budget(epsilon=math.inf, delta=1e-3, unit=unit)
    drawn = []
    for kind, params in ((Wgan, WganParams), (DpWgan, DpWganParams)):
        made = kind(params(**SMALL, generator_steps=3, critic_steps=2, patients_per_step=3))
        made.fit(checks.patches(), made.plan(checks.PUBLIC, budget), context())
        drawn.append(made.sample(8, seed=0))
    assert np.array_equal(drawn[0].images, drawn[1].images)
    assert np.array_equal(drawn[0].masks, drawn[1].masks)


@pytest.mark.parametrize("unit", ["patch", "patient"])
def test_noise_moves_the_result(unit: str) -> None:
    images = {}
    for epsilon in (1.0, 50.0, math.inf):
        made = DpWgan(DpWganParams(**SMALL, generator_steps=4, clip_norm=100.0))
        budget = Budget(epsilon=epsilon, delta=1e-3, unit=unit)
        made.fit(checks.patches(), made.plan(checks.PUBLIC, budget), context())
        images[epsilon] = made.sample(8, seed=0).images
    far, near = (np.abs(images[e] - images[math.inf]).mean() for e in (1.0, 50.0))
    assert min(far, near) > 0
    assert not np.array_equal(images[1.0], images[50.0])


@pytest.mark.parametrize("unit", ["patch", "patient"])
def test_every_critic_step_draws_a_batch_of_its_own_and_no_more_are_taken(
    unit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []
    from benchmark.privacy.dpsgd import sampling

    draw = sampling.PoissonSampler.draw

    def spied(self: sampling.PoissonSampler):
        drawn = draw(self)
        seen.append(drawn[0].tobytes())
        return drawn

    monkeypatch.setattr(sampling.PoissonSampler, "draw", spied)
    made = DpWgan(DpWganParams(**SMALL, generator_steps=5, critic_steps=4))
    budget = Budget(epsilon=5.0, delta=1e-3, unit=unit)
    planned = made.plan(checks.PUBLIC, budget)
    made.fit(checks.patches(), planned, context())
    assert len(seen) == planned.steps == 20
    assert len(set(seen)) > 15


def test_nothing_but_the_private_step_reads_a_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """With every batch withheld, other patients change nothing."""
    from benchmark.privacy.dpsgd import sampling

    nothing = np.empty(0, np.int64)
    monkeypatch.setattr(sampling.PoissonSampler, "draw", lambda self: (nothing, nothing))
    drawn = []
    for seed in (0, 1):
        made = DpWgan(DpWganParams(**SMALL, generator_steps=3))
        planned = made.plan(checks.PUBLIC, Budget(epsilon=5.0, delta=1e-3, unit="patch"))
        made.fit(checks.patches(seed), planned, context())
        drawn.append(made.sample(4, seed=0).images)
    assert np.array_equal(*drawn)


def test_a_critic_that_mixes_patients_never_reaches_one(monkeypatch: pytest.MonkeyPatch) -> None:
    made = DpWgan(DpWganParams(**SMALL, generator_steps=1))
    mixing = torch.nn.Sequential(torch.nn.Conv2d(2, 4, 4), torch.nn.BatchNorm2d(4))
    monkeypatch.setattr("generators.nets.players.patch_critic", lambda _: mixing)
    plan = made.plan(checks.PUBLIC, Budget(epsilon=5.0, delta=1e-3, unit="patch"))
    with pytest.raises(UsageError, match="BatchNorm2d mixes patients"):
        made.fit(checks.patches(), plan, context())


def test_the_plan_counts_every_critic_step_at_the_public_rate() -> None:
    made = DpWgan(DpWganParams(batch=12, generator_steps=30, critic_steps=5, patients_per_step=2))
    patch = made.plan(checks.PUBLIC, Budget(epsilon=5.0, delta=1e-3, unit="patch"))
    assert (patch.steps, patch.sampling_rate) == (150, 12 / 48)
    patient = made.plan(checks.PUBLIC, Budget(epsilon=5.0, delta=1e-3, unit="patient"))
    assert (patient.steps, patient.sampling_rate) == (150, 2 / 6)
    assert patient.epsilon == patient.epsilon_patient
    assert patient.epsilon_patch is None or patient.epsilon_patch > patient.epsilon


def test_the_step_gets_what_was_planned() -> None:
    made = DpWgan(DpWganParams(**SMALL, generator_steps=3, clip_norm=0.7))
    for unit, expected in (("patch", 12.0), ("patient", 6.0)):
        planned = made.plan(checks.PUBLIC, Budget(epsilon=5.0, delta=1e-3, unit=unit))
        game = Game(made.params, checks.patches(), planned, context(), engine="opacus")
        assert game.step.noise_multiplier == planned.noise_multiplier > 0
        assert game.step.engine == "opacus"
        assert game.step.clip_norm == planned.clip_norm == 0.7
        assert game.step.expected_units == pytest.approx(expected)


def test_a_patch_that_cannot_be_doubled_up_to_is_refused() -> None:
    public = PublicNumbers(patients=4, patches_per_patient=10, patch_size=36)
    with pytest.raises(UsageError, match="multiple of 8"):
        Wgan(WganParams(levels=3)).plan(public, Budget(epsilon=math.inf, delta=1e-3, unit="patch"))


def test_the_paper_preset_has_the_papers_shapes_and_takes_a_step() -> None:
    params = DpWgan.presets["paper"]
    public = PublicNumbers(patients=41, patches_per_patient=1000, patch_size=96)
    generator, critic = networks(params, 96, context())
    shapes = [tuple(p.shape) for p in critic.parameters() if p.ndim == 4]
    widths = [2, 96, 192, 384, 768, 1536, 1]
    assert shapes == [(b, a, 4, 4) for a, b in pairwise(widths)]
    ups = [tuple(p.shape[:2]) for p in generator.parameters() if p.ndim == 4]
    widths = [128, 1536, 768, 384, 192, 96, 2]
    assert ups == list(pairwise(widths))
    with torch.no_grad():
        drawn = generator(*generator.latents(2, torch.Generator().manual_seed(0)))
        assert drawn.shape == (2, 2, 96, 96)
        assert critic(drawn).shape == (2,)
    plain = Wgan.presets["paper"]
    planned = Wgan(plain).plan(public, Budget(epsilon=math.inf, delta=1e-6, unit="patch"))
    assert planned.sampling_rate == pytest.approx(32 / 41_000)
    assert planned.steps == pytest.approx(50 * 41_000 / 32, rel=0.01)
    assert (plain.critic_steps, plain.bound, plain.generator_rate) == (5, 0.01, 5e-5)


@pytest.mark.parametrize("shape", [(2, 4, 4), (3, 6, 4), (1, 3, 8)])
def test_doubling_at_the_smaller_side_is_upsampling_reflecting_and_convolving(shape) -> None:
    doubling = NearestDoubling(shape[0], 5)
    plain = nn.Sequential(
        nn.Upsample(scale_factor=2),
        nn.Conv2d(shape[0], 5, 3, 1, 1, bias=False, padding_mode="reflect"),
    )
    plain[1].weight.data = doubling.weight.data
    maps = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0), requires_grad=True)
    one, other = doubling(maps), plain(maps)
    torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
    slopes = (torch.autograd.grad(o.square().sum(), maps)[0] for o in (one, other))
    torch.testing.assert_close(*slopes, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("bound", [0.5, 2.0])
def test_the_constraints_hold_the_critic(bound: float) -> None:
    for constrain, measure in (
        (bound_weights, lambda w: w.abs().max()),
        (project_spectrally, lambda w: torch.linalg.matrix_norm(w.flatten(1), 2)),
    ):
        net = PatchCritic(levels=3, width=4, norm="instance")
        for weight in net.parameters():
            weight.data *= 100
        constrain(net, bound)
        assert all(measure(w) <= bound * (1 + 1e-5) for w in net.parameters())


@pytest.mark.parametrize("scale", [0.0, 0.5, 0.9, 0.998, 1.0, 1.0 + 1e-6, 1.5, 1e4, 1e30])
def test_the_bound_on_singular_values_spares_work_and_changes_no_bit(scale: float) -> None:
    for shape in ((32, 16, 4, 4), (64, 32, 4, 4), (40, 2, 4, 4), (4, 2, 4, 4)):
        net = nn.Conv2d(shape[1], shape[0], shape[2], bias=False)
        rng = torch.Generator().manual_seed(shape[0])
        weight = torch.randn(shape, generator=rng)
        weight *= scale * 2.0 / torch.linalg.matrix_norm(weight.flatten(1), 2)
        net.weight.data = weight.clone()
        norm = torch.linalg.matrix_norm(weight.flatten(1), 2)
        project_spectrally(net, 2.0)
        assert torch.equal(net.weight.data, weight * (2.0 / norm.clamp(min=2.0)))


def test_the_bound_on_singular_values_holds_for_the_largest_alone() -> None:
    alone = torch.zeros(64, 512)
    alone[0, 0] = 2.0
    assert not _is_surely_below(alone, 2.0)
    assert _is_surely_below(alone, 2.01)
    assert _is_surely_below(alone.mT, 2.01)
    assert not _is_surely_below(torch.full((64, 512), torch.nan), 2.0)
    assert not _is_surely_below(torch.full((64, 512), 1e38), 2.0)


def test_a_plan_of_other_settings_is_refused_before_any_patch_is_read() -> None:
    short = DpWgan(replace(DpWgan.smoke, generator_steps=1))
    long = DpWgan(replace(DpWgan.smoke, generator_steps=20))
    planned = short.plan(checks.PUBLIC, Budget(epsilon=5.0, delta=1e-3, unit="patch"))
    charged: list[Guarantee] = []
    context = FitContext(seed=0, noise=SeededNoise("x"), charge=charged.append)
    with pytest.raises(ValueError, match="Expected a plan of 40 steps"):
        long.fit(checks.patches(), planned, context)
    assert charged == []
