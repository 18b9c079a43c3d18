"""The private step: exact gradients, exact sensitivity, the noise that was accounted."""

import copy
import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from benchmark.core.errors import UsageError
from benchmark.core.mechanism import Grid
from benchmark.privacy.dpsgd.batch import Batch
from benchmark.privacy.dpsgd.engines import DEFAULT_ENGINE, ENGINES, Loss, refuse_unruled, trainable
from benchmark.privacy.dpsgd.gram import Gram, block_units
from benchmark.privacy.dpsgd.mixing import refuse_mixing
from benchmark.privacy.dpsgd.shares import Seen
from benchmark.privacy.dpsgd.step import Step, grid_of
from benchmark.privacy.dpsgd.windows import Windows
from benchmark.privacy.randomness import SeededNoise
from benchmark.privacy.replay import Output, Recorder
from generators.nets.convolutional import PatchCritic, initialise
from generators.nets.players import LOSSES
from segmenters.nets.private import PatchScore, SmallUnet

pytestmark = pytest.mark.filterwarnings("ignore:Full backward hook")  # Opacus's, of its last layer

CRITICS = {
    "quick": {"levels": 3, "width": 4, "norm": "none"},
    "padded": {"levels": 3, "width": 4, "norm": "none", "padding": 2},
    "instance": {"levels": 3, "width": 4, "norm": "instance", "padding": 2},
    "deep": {"levels": 4, "width": 4, "norm": "instance", "padding": 2},
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

    def noised(self, sums: np.ndarray, grid: Grid) -> np.ndarray:
        return sums


def one_by_one(net: nn.Module, loss, samples: Tensor) -> Iterator[Tensor]:
    """Float64 microbatches of one."""
    double = copy.deepcopy(net).double()
    for sample in samples.double():
        double.zero_grad()
        loss(double(sample[None])).sum().backward()
        yield torch.cat([p.grad.flatten() for p in trainable(double)])


def clipped(
    net: nn.Module, loss: Loss, samples: Tensor, norm: float, owner=None, engine=DEFAULT_ENGINE
) -> Tensor:
    """The clipped sum, every sample a unit unless owners are given."""
    owner = torch.arange(len(samples)) if owner is None else owner
    quiet = Step(
        real_loss=loss, expected_units=1.0, clip_norm=norm, noise_multiplier=0.0, engine=engine
    )
    return quiet._clipped(net, Batch(samples, owner))


def reference(net: nn.Module, loss: Loss, samples: Tensor, norm: float, owner=None) -> Tensor:
    """The same, from float64 microbatches of one."""
    owner = torch.arange(len(samples)) if owner is None else owner
    rows = torch.stack(list(one_by_one(net, loss, samples)))
    means = torch.stack([rows[owner == unit].mean(0) for unit in owner.unique()])
    return sum(row * min(1.0, norm / max(float(row.norm()), 1e-30)) for row in means)


def wide(net: nn.Module) -> nn.Module:
    """Weights of a size at which some gradients are clipped and some are not."""
    rng = torch.Generator().manual_seed(0)
    for weight in net.parameters():
        weight.data = 0.3 * torch.randn(weight.shape, generator=rng)
    return net


def frozen(last: int, norm: str) -> PatchCritic:
    """Only the last convolutions are trained."""
    net = PatchCritic(levels=3, width=16, norm=norm)
    net.freeze_but(last)
    return net


class Flat(nn.Sequential):
    def forward(self, samples: Tensor) -> Tensor:
        return super().forward(samples).flatten(1).mean(1)


NETS = {
    **{kind: lambda kind=kind: PatchCritic(**CRITICS[kind]) for kind in CRITICS},
    "wide enough for Gram matrices": lambda: PatchCritic(levels=4, width=16, norm="none"),
    "wide, with instance norm": lambda: PatchCritic(levels=4, width=16, norm="instance", padding=2),
    "all but two layers frozen": lambda: frozen(2, "none"),
    "all but one layer frozen": lambda: frozen(1, "instance"),
    "a kernel that is no multiple of its stride": lambda: Flat(
        nn.Conv2d(2, 16, 8, 8), nn.Tanh(), nn.Conv2d(16, 16, 3, 2, 1)
    ),
    "a kernel smaller than its stride": lambda: Flat(
        nn.Conv2d(2, 16, 8, 8), nn.Tanh(), nn.Conv2d(16, 16, 1, 2)
    ),
    "no padding, odd stride": lambda: Flat(
        nn.Conv2d(2, 16, 5, (3, 2)), nn.ReLU(), nn.Conv2d(16, 24, (2, 3), (2, 3), (1, 2))
    ),
    "stride one": lambda: Flat(nn.Conv2d(2, 4, 3), nn.Tanh(), nn.Conv2d(4, 1, 1, bias=False)),
    "dilated": lambda: Flat(nn.Conv2d(2, 16, 3, 2, 1, 2), nn.ReLU(), nn.Conv2d(16, 16, 3, 4, 0, 3)),
    "grouped": lambda: Flat(nn.Conv2d(2, 16, 3, 2, groups=2), nn.ReLU(), nn.Conv2d(16, 8, 3, 3)),
    "reflecting": lambda: Flat(nn.Conv2d(2, 16, 4, 2, 1, padding_mode="reflect")),
    "same": lambda: Flat(nn.Conv2d(2, 16, 3, padding="same"), nn.ReLU(), nn.Conv2d(16, 16, 8, 8)),
    "linear": lambda: Flat(nn.Flatten(), nn.Linear(2048, 8), nn.Tanh(), nn.Linear(8, 1)),
    "linear on positions": lambda: Flat(nn.Linear(32, 6, bias=False), nn.Tanh(), nn.Linear(6, 2)),
    "group norm": lambda: Flat(
        nn.Conv2d(2, 16, 4, 2, bias=False), nn.GroupNorm(4, 16), nn.ReLU(), nn.Conv2d(16, 1, 4, 2)
    ),
    "a U-Net's loss": lambda: PatchScore(SmallUnet(width=4, levels=3, vessel_fraction=0.1)),
    "instance norm with parameters": lambda: Flat(
        nn.Conv2d(2, 8, 4, 2), nn.InstanceNorm2d(8, affine=True), nn.ReLU(), nn.Conv2d(8, 1, 4, 2)
    ),
}
CLOSE = 2e-3
"""Norms have their rounding added, so what is clipped is a little shorter."""

OWNERS = {
    "patches": torch.arange(12),
    "patients": torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 3, 4]),
    "shuffled patients": torch.tensor([3, 0, 1, 0, 2, 2, 1, 3, 3, 0, 4, 1]),
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("owners", OWNERS)
@pytest.mark.parametrize("kind", NETS)
def test_the_clipped_sum_is_that_of_float64_microbatches_of_one(
    kind: str, owners: str, loss: str
) -> None:
    net, samples = wide(NETS[kind]()), batch().real
    rule, owner = LOSSES[loss][0], OWNERS[owners]
    norms = [float(row.norm()) for row in one_by_one(net, rule, samples)]
    norm = float(np.median(norms)) or 1.0
    expected = reference(net, rule, samples, norm, owner)
    ours = clipped(net, rule, samples, norm, owner)
    assert (ours - expected).norm() <= CLOSE * max(float(expected.norm()), 1e-3 * norm)
    free = 100 * (max(norms) or 1.0)  # a hinge may be flat everywhere
    expected, ours = (way(net, rule, samples, free, owner) for way in (reference, clipped))
    assert (ours - expected).norm() <= 1e-5 * max(float(expected.norm()), 1e-3 * max(norms))


@pytest.mark.parametrize("owners", OWNERS)
@pytest.mark.parametrize(
    "kind", ["quick", "instance", "linear", "group norm", "all but two layers frozen"]
)
def test_every_engine_gives_the_same_sum(kind: str, owners: str) -> None:
    net, samples = wide(NETS[kind]()), batch().real
    for memory in (torch.contiguous_format, torch.channels_last):
        net.to(memory_format=memory)
        for norm, close in ((0.5, CLOSE), (1e6, 1e-5)):
            one, two = (
                clipped(net, LOSSES["hinge"][0], samples, norm, OWNERS[owners], engine)
                for engine in ENGINES
            )
            assert (one - two).norm() <= close * two.norm()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("owners", OWNERS)
@pytest.mark.parametrize("kind", NETS)
def test_on_a_gpu_the_gradient_is_the_cpus(kind: str, owners: str) -> None:
    net, whole = wide(NETS[kind]()), batch()
    one = Batch(whole.real, OWNERS[owners], whole.fake)
    private = step(noise_multiplier=1.0)
    here = private.gradient(net, one, SeededNoise(0, "gpu"))
    there = private.gradient(
        copy.deepcopy(net).cuda(), Batch(*(t.cuda() for t in one)), SeededNoise(0, "gpu")
    )
    assert (here - there.cpu()).norm() <= 1e-3 * here.norm()


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


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("value", [0.0, math.nan])
def test_blank_samples_hold_their_place_and_add_nothing(value: float, engine: str) -> None:
    net, whole = wide(critic()), batch()
    owner = torch.arange(12) // 3
    present = torch.tensor([1, 1, 1, 1, 0, 1, 0, 0, 0, 1, 1, 1], dtype=torch.bool)
    blank = whole.real.clone()
    blank[~present] = value
    some = step(engine=engine)._clipped(net, Batch(blank, owner, whole.fake, present))
    less = Batch(whole.real[present], owner[present], whole.fake)
    expected = step(engine=engine)._clipped(net, less)
    assert (some - expected).norm() <= 1e-5 * expected.norm()


HOSTILE = {
    "as drawn": lambda net: None,
    "huge": lambda net: scaled(net, 1e15),
    "enormous": lambda net: scaled(net, 1e30),
    "denormal": lambda net: scaled(net, 1e-41),
    "not a number": lambda net: scaled(net, math.nan),
    "huge biases": lambda net: biased(net, 3e4),
}


def scaled(net: nn.Module, factor: float) -> None:
    for weight in net.parameters():
        weight.data *= factor


def biased(net: nn.Module, bias: float) -> None:
    for name, weight in net.named_parameters():
        if name.endswith("bias"):
            weight.data.fill_(bias)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("each", [1, 3])
@pytest.mark.parametrize("weights", HOSTILE)
@pytest.mark.parametrize(
    "kind",
    [
        "quick",
        "wide enough for Gram matrices",
        "wide, with instance norm",
        "all but one layer frozen",
        "linear on positions",
        "group norm",
        "grouped",
        "a U-Net's loss",
        "instance norm with parameters",
    ],
)
def test_whatever_weights_a_server_sends_one_unit_moves_the_sum_by_the_sensitivity_at_most(
    kind: str, weights: str, each: int, engine: str
) -> None:
    net = wide(NETS[kind]())
    HOSTILE[weights](net)
    (whole, _, fake, _), owner = batch(), torch.arange(12) // each
    private = step(engine=engine, noise_multiplier=1.0, expected_units=1.0)
    for unit in (0, int(owner.max())):
        present = owner != unit
        blank = whole * present[:, None, None, None]
        full, less = (
            on_grid(private, net, Batch(*rest))
            for rest in ((whole, owner, fake), (blank, owner, fake, present))
        )
        moved = float(np.linalg.norm((full.sums - less.sums).astype(float))) * full.grid.spacing
        assert moved <= full.grid.sensitivity
        assert full.grid.sensitivity <= 0.5 * 1.005


def on_grid(private: Step, net: nn.Module, one: Batch) -> Output:
    """What the step hands to its noise."""
    recorder = Recorder(Silence())
    private.gradient(net, one, recorder)
    return recorder.outputs[0]


class Operations(TorchDispatchMode):
    """Notes every operation of PyTorch with the shapes that it works on."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, list[tuple[int, ...]]]] = []

    def __torch_dispatch__(self, operation, kinds, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        shapes = [tuple(arg.shape) for arg in args if isinstance(arg, Tensor)]
        self.seen.append((str(operation), shapes))
        return operation(*args, **(kwargs or {}))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("weights", HOSTILE)
@pytest.mark.parametrize("kind", ["quick", "wide enough for Gram matrices"])
def test_a_step_does_the_same_whatever_the_drawn_units_hold(
    kind: str, weights: str, engine: str
) -> None:
    """Or else a server's weights make the time of a step tell who was drawn."""
    net = wide(NETS[kind]())
    HOSTILE[weights](net)
    whole, done = batch(), []
    for share in (0.0, 1.0, 1e19, math.nan):
        present = torch.full((12,), share != 0)
        with Operations() as operations:
            step(engine=engine)._clipped(
                net, Batch(whole.real * share, whole.owner, whole.fake, present)
            )
        done.append(operations.seen)
    assert done[0]
    assert all(seen == done[0] for seen in done)


@pytest.mark.parametrize("amplified", [4.0, 4e6])
@pytest.mark.parametrize("bias", [1e2, 1e3, 3e4, 1e6])
def test_outputs_that_cancel_hide_no_norm(bias: float, amplified: float) -> None:
    """A server's critic whose third layer's Gram norms vanish by cancellation."""
    net = cancelling(bias, amplified)
    samples, unclipped = batch(32).real, 1e30
    rows = [row.norm() for row in one_by_one(net, torch.neg, samples[:4])]
    assert min(rows) > 0.5 * amplified, "or else there is nothing to hide"
    for sample in samples:
        through = clipped(net, torch.neg, sample[None], 0.25)
        assert float(through.norm()) <= 0.25
    assert clipped(net, torch.neg, samples[:1], unclipped).norm() > 0


def cancelling(bias: float, amplified: float) -> PatchCritic:
    """Channels copy pixels; a tiny constant goes on, and is taken from itself, much amplified."""
    net = PatchCritic(levels=3, width=16, norm="none", padding=1)
    first, second, third, last = (m for m in net.body if isinstance(m, nn.Conv2d))
    with torch.no_grad():
        for weight in net.parameters():
            weight.zero_()
        for out in range(16):
            first.weight[out, 0, out // 4, out % 4] = 1.0
        first.bias.fill_(2.0)
        for out in range(32):
            second.weight[out, out // 2, 1 + out % 2, 1] = 1.0
        second.bias.fill_(bias)
        third.bias[0] = 1e-6
        last.weight[0, 0, 0, 0], last.weight[0, 0, 0, 3] = amplified, -amplified
    return net


def test_a_blank_unit_leaves_every_bit_of_the_other_units_gradients() -> None:
    """So rounding by what stands beside it moves nobody: the sum changes by that unit alone."""
    net, whole = wide(NETS["wide enough for Gram matrices"]()), batch(24).real
    present = torch.arange(24) != 5
    blank = whole * present[:, None, None, None]
    rows = []
    for samples in (whole, blank):
        samples.requires_grad_()
        losses = torch.neg(net(samples))
        outputs = torch.autograd.grad(losses.sum(), samples)[0]
        rows.append(outputs[present])
    assert torch.equal(*rows)


def test_a_layer_that_no_sample_reaches_has_no_gradient() -> None:
    class Idle(Flat):
        def forward(self, samples: Tensor) -> Tensor:
            return self[0](samples).mean((1, 2, 3))

    net, samples = Idle(nn.Conv2d(2, 16, 4, 2), nn.Conv2d(16, 3, 1)), batch().real
    ours, used = clipped(net, torch.neg, samples, 0.5), net[0].weight.numel() + 16
    assert ours[:used].any()
    assert ours.shape == (used + 16 * 3 + 3,)
    assert not ours[used:].any()


def test_a_patients_patches_are_averaged_before_they_are_clipped() -> None:
    net, whole = critic(), batch(reals=6)
    owner = torch.tensor([0, 0, 0, 1, 1, 1])
    real, fake = LOSSES["hinge"]
    expected = reference(net, real, whole.real, 0.5, owner) / 10
    expected += reference(net, fake, whole.fake, 0.5) / 5
    ours = step().gradient(net, Batch(whole.real, owner, whole.fake), Silence())
    assert torch.allclose(ours.double(), expected, rtol=1e-4, atol=1e-6)
    apart = step().gradient(net, Batch(whole.real, torch.arange(6), whole.fake), Silence())
    assert not torch.allclose(ours, apart, rtol=1e-2)


@pytest.mark.parametrize("norm", [0.0, 1e-38, -1.0, float("nan")])
def test_a_clip_norm_that_floats_cannot_bound_is_refused(norm: float) -> None:
    with pytest.raises(ValueError, match="clip_norm of at least"):
        step(clip_norm=norm)


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


def test_fakes_are_in_no_block_with_real_units() -> None:
    """Their share may be above 1, and the rounding of a block is bounded for shares up to 1."""
    layer = nn.Conv2d(32, 64, 4, 2, 1)
    rng = torch.Generator().manual_seed(0)
    inputs = torch.randn(12, 1, 32, 8, 8, generator=rng)
    output_gradients = torch.randn(12, 1, 64, 4, 4, generator=rng)
    weights = torch.rand(12, generator=rng, dtype=torch.float64)
    weights[9:] *= 4

    def total(some: slice, fakes: int) -> Tensor:
        seen = Seen(layer, inputs[some], output_gradients[some], fakes)
        return Gram(Windows.of(seen), fakes).weighted_sum(weights[some])["weight"]

    assert block_units(16) == 8, "the ninth real unit begins a block"
    apart = total(slice(0, 9), 0) + total(slice(9, None), 3)
    assert torch.equal(total(slice(None), 3), apart)
    assert not torch.equal(total(slice(None), 0), apart), "so a shared block would show"


def test_fakes_are_clipped_and_not_noised() -> None:
    net, whole = critic(), batch()
    loud = Batch(whole.real[:0], whole.owner[:0], 1000 * whole.fake)
    ours = step().gradient(net, loud, Silence())
    assert ours.norm() <= 0.5 * (1 + 1e-5)


def noise_of(source: SeededNoise, numbers: int) -> Tensor:
    """What the source adds to a sum of nothing, at σ = 1, C = ½ and B = 10."""
    grid = grid_of(1.0, 0.5, numbers)
    return torch.from_numpy(source.noised(np.zeros(numbers, np.int64), grid)) * grid.spacing / 10


def test_without_fakes_the_gradient_is_the_noised_real_half_alone() -> None:
    net, whole = critic(), batch()
    alone = Batch(whole.real, whole.owner)
    ours = step(noise_multiplier=1.0).gradient(net, alone, SeededNoise(0, "alone"))
    real = clipped(net, LOSSES["hinge"][0], whole.real, 0.5) / 10
    noise = noise_of(SeededNoise(0, "alone"), len(real))
    assert torch.allclose(ours.double(), real + noise, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("last", [2, 4])
@pytest.mark.parametrize("norm", [0.5, math.inf])
def test_an_empty_batch_without_fakes_steps_by_its_noise_alone(norm: float, last: int) -> None:
    net, nothing = frozen(last, "none"), batch(reals=0)
    private = step(noise_multiplier=0.0 if math.isinf(norm) else 1.0, clip_norm=norm)
    ours = private.gradient(net, Batch(nothing.real, nothing.owner), SeededNoise(0, "empty"))
    expected = noise_of(SeededNoise(0, "empty"), len(ours))
    expected = torch.zeros_like(ours) if math.isinf(norm) else expected
    assert torch.allclose(ours, expected, rtol=1e-6)
    assert len(ours) == sum(weight.numel() for weight in net.parameters() if weight.requires_grad)


def test_the_divisor_is_the_public_batch_and_not_the_realised_one() -> None:
    net, whole = critic(), batch()
    fake = clipped(net, LOSSES["hinge"][1], whole.fake, 0.5) / 5
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


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("value", [math.nan, math.inf, 1e30])
def test_a_patch_whose_gradient_is_not_finite_contributes_nothing(
    value: float, engine: str
) -> None:
    net, whole = critic("instance" if math.isfinite(value) else "quick"), batch()
    broken = whole.real.clone()
    broken[3, 0, 5, 5] = value
    kept = [i for i in range(12) if i != 3]
    quiet = step(engine=engine)
    ours = quiet.gradient(net, Batch(broken, whole.owner, whole.fake), Silence())
    assert torch.isfinite(ours).all()
    if not math.isfinite(value):
        less = Batch(whole.real[kept], whole.owner[kept], whole.fake)
        assert torch.allclose(ours, quiet.gradient(net, less, Silence()), rtol=1e-4, atol=1e-6)


def test_a_patient_with_one_broken_patch_contributes_nothing() -> None:
    net, whole = critic(), batch()
    owner = torch.arange(12) // 4
    broken = whole.real.clone()
    broken[3] = math.nan
    ours = step().gradient(net, Batch(broken, owner, whole.fake), Silence())
    less = Batch(whole.real[4:], owner[4:], whole.fake)
    assert torch.allclose(ours, step().gradient(net, less, Silence()), rtol=1e-4, atol=1e-6)


class Mixing(nn.Module):
    """A critic whose scores share the batch's mean, without any layer that says so."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 1, 4)

    def forward(self, samples: Tensor) -> Tensor:
        return self.first(samples - samples.mean(0)).mean((1, 2, 3))


class Running(nn.Module):
    """Scores that are means of all samples so far: the first one shows nothing of the others."""

    def forward(self, samples: Tensor) -> Tensor:
        scores = samples.mean((1, 2, 3))
        return scores.cumsum(0) / torch.arange(1, len(scores) + 1)


class Detached(nn.Module):
    """Scores that are standardised by the batch's statistics, which no derivative shows."""

    def forward(self, samples: Tensor) -> Tensor:
        return samples.mean((1, 2, 3)) / samples.detach().std()


@pytest.mark.parametrize("mixing", [Mixing, Running, Detached])
def test_a_critic_that_mixes_patients_unseen_is_refused(mixing: type[nn.Module]) -> None:
    with pytest.raises(UsageError, match="lets samples of a batch reach each other"):
        refuse_mixing(mixing(), batch().fake)


def test_a_critic_that_mixes_patients_is_refused_by_its_layer() -> None:
    example = batch().fake
    with pytest.raises(UsageError, match="BatchNorm2d mixes patients"):
        refuse_mixing(nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4)), example)
    with pytest.raises(UsageError, match="InstanceNorm2d mixes patients"):
        refuse_mixing(nn.Sequential(nn.InstanceNorm2d(2, track_running_stats=True)), example)
    for kind in CRITICS:
        refuse_mixing(critic(kind), example)


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(2, 2, 3, padding=1)

    def forward(self, samples: Tensor) -> Tensor:
        return self.layer(self.layer(samples)).mean((1, 2, 3))


class Tied(nn.Module):
    """Two layers with one weight between them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 2, 3, bias=False), nn.Conv2d(2, 2, 3, bias=False)
        self.second.weight = self.first.weight

    def forward(self, samples: Tensor) -> Tensor:
        return self.second(self.first(samples)).mean((1, 2, 3))


@pytest.mark.parametrize(
    ("net", "sentence"),
    [
        (Twice(), "uses one Conv2d twice"),
        (Tied(), "share a weight"),
        (Flat(nn.Conv2d(2, 4, 3), nn.LeakyReLU(inplace=True)), "in place"),
    ],
)
def test_what_book_keeping_would_get_wrong_is_refused(net: nn.Module, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        clipped(net, LOSSES["hinge"][0], batch().real, 0.5)


def test_a_critic_with_a_layer_that_has_no_rule_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="PReLU has no rule"):
        refuse_unruled(Flat(nn.Conv2d(2, 4, 3), nn.PReLU()))
    with pytest.raises(UsageError, match="ParametrizedConv2d has no rule"):
        refuse_unruled(nn.utils.parametrizations.spectral_norm(nn.Conv2d(2, 4, 3)))
    for make in NETS.values():
        refuse_unruled(make())


def test_scores_in_a_second_axis_are_refused_and_never_broadcast() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(2048, 1))
    with pytest.raises(ValueError, match=r"shape \(12,\), got \(12, 1\)"):
        clipped(net, LOSSES["hinge"][0], batch().real, 0.5)
