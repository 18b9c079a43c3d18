"""The private step: exact gradients, exact sensitivity, the noise that was accounted."""

import copy
import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from benchmark.core.errors import UsageError
from benchmark.privacy.dpsgd import (
    CHUNK,
    Batch,
    Step,
    clip,
    clipped_sum,
    per_sample_gradients,
    refuse_mixing,
)
from benchmark.privacy.randomness import SeededNoise
from generators.nets.adversarial import LOSSES
from generators.nets.convolutional import PatchCritic, initialise

CRITICS = {
    "quick": {"levels": 3, "width": 4, "norm": "none"},
    "instance": {"levels": 3, "width": 4, "norm": "instance"},
    "deep": {"levels": 4, "width": 4, "norm": "instance"},
}


def critic(kind: str = "quick") -> PatchCritic:
    net = PatchCritic(**CRITICS[kind])
    initialise(net, torch.Generator().manual_seed(0))
    for weight in net.parameters():
        weight.data *= 4
    return net


def batch(reals: int = 12, fakes: int = 5, seed: int = 0) -> Batch:
    rng = torch.Generator().manual_seed(seed)
    real, fake = (torch.rand(n, 2, 32, 32, generator=rng) * 2 - 1 for n in (reals, fakes))
    return Batch(real, torch.arange(reals), fake)


def step(**changes: float) -> Step:
    real, fake = LOSSES["hinge"]
    numbers = {"expected_units": 10.0, "clip_norm": 0.5, "noise_multiplier": 0.0}
    return Step(real_loss=real, fake_loss=fake, **{**numbers, **changes})


class Silence:
    """No noise, to look at the sum alone."""

    seeded = True

    def poisson(self, n: int, rate: float) -> np.ndarray:
        raise AssertionError

    def normal(self, n: int) -> np.ndarray:
        return np.zeros(n, np.float32)


def one_by_one(net: nn.Module, loss, samples: Tensor) -> Iterator[Tensor]:
    """Float64 microbatches of one."""
    double = copy.deepcopy(net).double()
    for sample in samples.double():
        double.zero_grad()
        loss(double(sample[None])).sum().backward()
        yield torch.cat([p.grad.flatten() for p in double.parameters()])


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", CRITICS)
def test_per_sample_gradients_are_those_of_microbatches_of_one(kind: str, loss: str) -> None:
    net, samples = critic(kind), batch().real
    for rule in LOSSES[loss]:
        ours = per_sample_gradients(net, rule, samples).double()
        theirs = torch.stack(list(one_by_one(net, rule, samples)))
        scale = theirs.norm(dim=1, keepdim=True).clamp(min=1e-6)
        assert ((ours - theirs).norm(dim=1, keepdim=True) / scale).max() < 1e-4


def test_per_sample_gradients_are_opacuss() -> None:
    from opacus import GradSampleModule

    net, samples = critic(), batch().real
    ours = per_sample_gradients(net, LOSSES["hinge"][0], samples)
    wrapped = GradSampleModule(net, loss_reduction="sum")
    loss = LOSSES["hinge"][0](wrapped(samples.requires_grad_())).sum()
    loss.backward()
    theirs = torch.cat([p.grad_sample.flatten(1) for p in wrapped.parameters()], dim=1)
    assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("n", [0, 1, CHUNK, CHUNK + 3])
def test_the_clipped_sum_does_not_depend_on_chunks(n: int) -> None:
    net, samples = critic(), batch(reals=n).real
    loss = LOSSES["wasserstein"][0]
    parts = [clip(per_sample_gradients(net, loss, s[None]), 0.5)[0] for s in samples]
    expected = torch.stack(parts).sum(0) if parts else torch.zeros(())
    assert torch.allclose(clipped_sum(net, loss, samples, 0.5), expected, rtol=1e-4, atol=1e-5)


def test_removing_a_unit_moves_the_sum_by_the_clip_norm_at_most_and_replacing_it_by_twice() -> None:
    net, whole = critic(), batch()
    real, fake = LOSSES["wasserstein"]
    quiet = replace(step(expected_units=1.0), real_loss=real, fake_loss=fake)
    patients = torch.arange(12) // 4
    for owner in (torch.arange(12), patients):
        unit = owner == 0
        full = quiet.gradient(net, Batch(whole.real, owner, whole.fake), Silence())
        less = quiet.gradient(net, Batch(whole.real[~unit], owner[~unit], whole.fake), Silence())
        wild = whole.real.clone()
        wild[unit] = 1000 * torch.randn(int(unit.sum()), 2, 32, 32)
        other = quiet.gradient(net, Batch(wild, owner, whole.fake), Silence())
        assert 1e-3 < (full - less).norm() <= 0.5 * (1 + 1e-5)
        assert (full - other).norm() <= 1.0 * (1 + 1e-5)


def test_a_patients_patches_are_averaged_before_they_are_clipped() -> None:
    net, whole = critic(), batch(reals=6)
    owner = torch.tensor([0, 0, 0, 1, 1, 1])
    loss = LOSSES["hinge"][0]
    grads = per_sample_gradients(net, loss, whole.real)
    means = torch.stack([grads[:3].mean(0), grads[3:].mean(0)])
    fake = clipped_sum(net, LOSSES["hinge"][1], whole.fake, 0.5) / 5
    expected = clip(means, 0.5).sum(0) / 10 + fake
    ours = step().gradient(net, Batch(whole.real, owner, whole.fake), Silence())
    assert torch.allclose(ours, expected, rtol=1e-4, atol=1e-6)


def test_the_noise_is_sigma_times_the_clip_norm_over_the_public_batch() -> None:
    net = PatchCritic(levels=3, width=16, norm="none")
    nothing = batch(reals=0)
    private = step(noise_multiplier=1.7, clip_norm=0.4, expected_units=25.0)
    quiet = step(noise_multiplier=0.0, clip_norm=0.4, expected_units=25.0)
    noise = SeededNoise(0, "test")
    drawn = private.gradient(net, nothing, noise) - quiet.gradient(net, nothing, Silence())
    sigma = 1.7 * 0.4 / 25
    assert float(drawn.std()) == pytest.approx(sigma, rel=5 / math.sqrt(2 * len(drawn)))
    assert abs(float(drawn.mean())) < 5 * sigma / math.sqrt(len(drawn))
    again = private.gradient(net, nothing, noise) - quiet.gradient(net, nothing, Silence())
    assert abs(float(torch.corrcoef(torch.stack([drawn, again]))[0, 1])) < 0.05


def test_fakes_are_clipped_and_not_noised() -> None:
    net, whole = critic(), batch()
    loud = Batch(whole.real[:0], whole.owner[:0], 1000 * whole.fake)
    ours = step().gradient(net, loud, Silence())
    assert ours.norm() <= 0.5 * (1 + 1e-5)


def test_the_divisor_is_the_public_batch_and_not_the_realised_one() -> None:
    net, whole = critic(), batch()
    fake = clipped_sum(net, LOSSES["hinge"][1], whole.fake, 0.5) / 5
    some, more = (
        step(expected_units=units).gradient(net, whole, Silence()) - fake for units in (10.0, 20.0)
    )
    assert torch.allclose(some, 2 * more, rtol=1e-4, atol=1e-6)


def test_without_noise_and_with_a_clip_norm_that_never_binds_it_is_the_plain_gradient() -> None:
    net, whole = critic(), batch()
    for owner in (torch.arange(12), torch.arange(12) // 5):
        one = Batch(whole.real, owner, whole.fake)
        plain = step(clip_norm=math.inf).gradient(net, one, Silence())
        loose = step(clip_norm=1e6).gradient(net, one, Silence())
        assert torch.allclose(plain, loose, rtol=1e-4, atol=1e-6)


@settings(deadline=None, max_examples=50)
@given(
    rows=st.lists(st.lists(st.floats(width=32), min_size=3, max_size=3), min_size=1, max_size=5),
    norm=st.floats(0.01, 100),
)
def test_no_row_is_longer_than_the_clip_norm_whatever_it_holds(
    rows: list[list[float]], norm: float
) -> None:
    gradients = torch.tensor(rows, dtype=torch.float32)
    clipped = clip(gradients, norm)
    assert torch.isfinite(clipped).all()
    assert (clipped.norm(dim=1) <= norm * (1 + 1e-5)).all()
    bad = ~torch.isfinite(gradients).all(dim=1)
    assert (clipped[bad] == 0).all()


def test_a_patch_that_is_not_a_number_contributes_nothing() -> None:
    net, whole = critic(), batch()
    broken = whole.real.clone()
    broken[3] = math.nan
    kept = [i for i in range(12) if i != 3]
    ours = step().gradient(net, Batch(broken, whole.owner, whole.fake), Silence())
    less = Batch(whole.real[kept], whole.owner[kept], whole.fake)
    assert torch.allclose(ours, step().gradient(net, less, Silence()), rtol=1e-4, atol=1e-6)


def test_a_critic_that_mixes_patients_is_refused_by_its_layer() -> None:
    with pytest.raises(UsageError, match="BatchNorm2d mixes patients"):
        refuse_mixing(nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4)))
    with pytest.raises(UsageError, match="InstanceNorm2d mixes patients"):
        refuse_mixing(nn.Sequential(nn.InstanceNorm2d(4, track_running_stats=True)))
    refuse_mixing(critic("instance"))
