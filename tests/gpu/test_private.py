"""What is private on a card: the same sums within the declared rounding, the same noise."""

import copy
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import test_dpsgd
import torch
from tiny_sites import job_of, posts_in

from benchmark.core.budget import Budget, PublicNumbers
from benchmark.core.federation import Arrays
from benchmark.core.generator import FitContext
from benchmark.core.patches import Patches
from benchmark.privacy.dpsgd.batch import Batch
from benchmark.privacy.dpsgd.step import ROUNDING
from benchmark.privacy.randomness import SeededNoise, SystemNoise
from benchmark.privacy.replay import Output, Recorder
from federation.sites import Site
from generators.dp_merf import DpMerf
from generators.dp_simulator import DpSimulator
from generators.dp_wgan import DpWgan
from generators.private_evolution import PrivateEvolution
from generators.private_selection import PrivateSelection
from segmenters.dp_segmenter import DpSegmenter

PUBLIC = PublicNumbers(patients=4, patches_per_patient=8, patch_size=32)
GENERATORS = [DpWgan, DpMerf, DpSimulator, PrivateEvolution, PrivateSelection]
UNITS = 12


def patches() -> Patches:
    rng = np.random.default_rng(0)
    masks = np.zeros((32, 1, 32, 32), np.uint8)
    for mask, start in zip(masks, rng.integers(4, 24, 32), strict=True):
        mask[0, :, start : start + 4] = 1
    images = np.clip(rng.normal(-0.6, 0.1, masks.shape) + 1.2 * masks, -1, 1).astype(np.float32)
    return Patches(
        images=images,
        masks=masks,
        patient=np.repeat(np.arange(4), 8),
        patients=4,
        patches_per_patient=8,
    )


def on(device: str, batch: Batch) -> Batch:
    return batch.on(device)


@pytest.mark.parametrize("owners", test_dpsgd.OWNERS)
@pytest.mark.parametrize("kind", test_dpsgd.NETS)
def test_sums_are_the_cpus_within_the_rounding_of_every_unit(
    device: str, kind: str, owners: str
) -> None:
    net, samples = test_dpsgd.wide(test_dpsgd.NETS[kind]()), test_dpsgd.batch().real
    quiet = test_dpsgd.step(expected_units=1.0)
    owner = test_dpsgd.OWNERS[owners]
    here = quiet._clipped(net, Batch(samples, owner))
    there = quiet._clipped(copy.deepcopy(net).to(device), on(device, Batch(samples, owner)))
    assert there.device.type == torch.device(device).type
    units = len(owner.unique())
    assert float((here - there.cpu()).norm()) <= units * ROUNDING * quiet.clip_norm


@pytest.mark.parametrize("kind", ["quick", "instance", "wide enough for Gram matrices"])
def test_noise_is_drawn_by_the_same_mechanism_on_the_same_grid(device: str, kind: str) -> None:
    net, batch = test_dpsgd.wide(test_dpsgd.NETS[kind]()), test_dpsgd.batch()
    private, outputs = test_dpsgd.step(noise_multiplier=1.0), []
    for place in ("cpu", device):
        heard = Recorder(SeededNoise(0, "card"))
        found = private.gradient(copy.deepcopy(net).to(place), on(place, batch), heard)
        (output,) = heard.events
        assert isinstance(output, Output)
        outputs.append(output)
        released = output.noised * (output.grid.spacing / private.expected_units)
        assert np.array_equal(found.cpu().numpy(), released.astype(np.float32))
    here, there = outputs
    assert here.grid == there.grid
    assert np.array_equal(here.noised - here.sums, there.noised - there.sums)
    apart = np.linalg.norm((here.sums - there.sums) * here.grid.spacing)
    assert apart <= (UNITS + 5 * 2) * ROUNDING * private.clip_norm, "5 fakes count twice: B/F"


@contextmanager
def careless():
    """What a caller may have allowed a card: tf32 in products and convolutions, and autocast."""
    backends = torch.backends.cuda.matmul, torch.backends.cudnn.conv
    before = [backend.fp32_precision for backend in backends]
    deterministic = torch.backends.cudnn.deterministic
    torch.backends.cudnn.deterministic = True
    for backend in backends:
        backend.fp32_precision = "tf32"
    try:
        with torch.autocast("cuda", torch.bfloat16, enabled=torch.cuda.is_available()):
            yield
    finally:
        torch.backends.cudnn.deterministic = deterministic
        for backend, earlier in zip(backends, before, strict=True):
            backend.fp32_precision = earlier


@pytest.mark.parametrize("kind", ["quick", "instance"])
def test_neither_tf32_nor_autocast_reaches_a_private_step(device: str, kind: str) -> None:
    net, batch = test_dpsgd.wide(test_dpsgd.NETS[kind]()).to(device), test_dpsgd.batch()
    private = test_dpsgd.step()
    expected = private.gradient(net, on(device, batch), test_dpsgd.Silence())
    with careless():
        found = private.gradient(net, on(device, batch), test_dpsgd.Silence())
    assert float((found - expected).norm()) <= 1e-5 * float(expected.norm())


@pytest.mark.parametrize("unit", ["patch", "patient"])
@pytest.mark.parametrize("kind", GENERATORS)
def test_a_generator_fits_samples_and_is_kept(device: str, kind, unit, tmp_path: Path) -> None:
    generator = kind(kind.smoke)
    plan = generator.plan(PUBLIC, Budget(epsilon=5.0, delta=1e-3, unit=unit))
    charged = []
    noise = SeededNoise(0, "card")
    context = FitContext(seed=0, noise=noise, charge=charged.append, device=device)
    spent = generator.fit(patches(), plan, context)
    assert len(charged) == 1
    assert spent == replace(plan, seeded=True)
    drawn = generator.sample(5, seed=1)
    assert drawn.images.shape == (5, 1, 32, 32)
    assert np.isfinite(drawn.images).all()
    generator.save(tmp_path)
    assert len(kind.load(tmp_path).sample(5, seed=1)) == 5, "also where there is no card"


@pytest.mark.parametrize("kind", [DpMerf, DpSimulator, PrivateSelection])
def test_what_a_fit_learns_in_one_go_does_not_depend_on_the_device(device: str, kind) -> None:
    """Means and choices are computed on the CPU; what trains on them may be anywhere."""
    heard = []
    for place in ("cpu", device):
        generator, noise = kind(kind.smoke), Recorder(SeededNoise(0, "card"))
        plan = generator.plan(PUBLIC, Budget(epsilon=5.0, delta=1e-3, unit="patient"))
        context = FitContext(seed=0, noise=noise, charge=lambda guarantee: None, device=place)
        generator.fit(patches(), plan, context)
        heard.append([np.asarray(event[0]) for event in noise.events])
    assert heard[0]
    for here, there in zip(*heard, strict=True):
        assert np.array_equal(here, there)


@pytest.mark.parametrize("unit", ["patch", "patient"])
def test_a_private_segmenter_fits_and_marks(device: str, unit) -> None:
    segmenter = DpSegmenter(DpSegmenter.smoke)
    plan = segmenter.plan(PUBLIC, Budget(epsilon=5.0, delta=1e-3, unit=unit))
    noise = SeededNoise(0, "card")
    context = FitContext(seed=0, noise=noise, charge=lambda guarantee: None, device=device)
    segmenter.fit_privately(patches(), plan, context)
    volume = np.random.default_rng(1).uniform(-1, 1, (37, 50, 3)).astype(np.float32)
    assert segmenter.predict(volume, (0.5, 0.5, 0.7)).shape == volume.shape


def test_a_site_answers_every_round_from_a_card(
    device: str, tiny_cohort: Path, tmp_path: Path
) -> None:
    job, post = job_of(), posts_in(tiny_cohort, tmp_path / "site")[0]
    site = Site(replace(post, device=device), job, 2 / 3)
    context = FitContext(seed=0, noise=SystemNoise(), charge=lambda charged: None, device=device)
    side = job.made().server_side(job.patch_size, job.schedule, context)
    state: Arrays = side.sent(side.begin())
    for number in (1, 2, 3):
        reply = site.compute(number, state)
        assert all(np.isfinite(array).all() for array in reply.values())
        state = {**state, **reply}
