"""What privacy costs: the private critic step against the plain one and Opacus's, same batches.

A step is the gradient, noise included, and the optimiser's. Networks, batches and optimisers are
the presets' own (``paper``'s batch is 8 and 8). Memory allocation is pinned as in a cell, unless
``ANGIOBENCH_BENCH_MALLOC=default``.
"""

import itertools
import os
from pathlib import Path

import pytest
import torch

from benchmark.core.budget import Budget, Guarantee, PublicNumbers
from benchmark.privacy.calibration import calibrate
from benchmark.privacy.dpsgd import Batch, Step
from benchmark.privacy.ledger import Ledger, Spending
from benchmark.privacy.randomness import SeededNoise
from benchmark.sweep.worker import keep_memory
from generators.dp_wgan import DpWgan, DpWganParams
from generators.nets.convolutional import PatchCritic, initialise
from generators.nets.players import LOSSES, OPTIMISERS, _assign, patch_critic

SIZES = {"quick": 32, "standard": 64, "paper": 96}
PAPER_BATCH = 8
KINDS = {"plain": "book-keeping", "private": "book-keeping", "opacus": "opacus"}

pytestmark = pytest.mark.filterwarnings("ignore:Full backward hook")


@pytest.fixture(autouse=True, scope="module")
def _as_in_a_cell() -> None:
    torch.set_num_threads(1)
    if os.environ.get("ANGIOBENCH_BENCH_MALLOC") != "default":
        keep_memory()


@pytest.mark.parametrize("memory", ["contiguous", "channels-last"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("preset", SIZES)
def test_critic_step(benchmark, preset: str, kind: str, memory: str) -> None:
    if memory == "channels-last" and kind != "plain":
        pytest.skip("only the plain step is given its best format")
    params = DpWgan.presets[preset]
    assert isinstance(params, DpWganParams)
    critic, batch = _game(params, preset)
    layout = torch.channels_last if memory == "channels-last" else torch.contiguous_format
    critic = critic.to(memory_format=layout)
    batch = batch._replace(
        real=batch.real.contiguous(memory_format=layout),
        fake=batch.fake.contiguous(memory_format=layout),
    )
    optimiser = OPTIMISERS[params.optimiser](critic.parameters(), lr=1e-5)
    real, fake = LOSSES[params.loss]
    step = Step(
        real_loss=real,
        fake_loss=fake,
        expected_units=len(batch.real),
        clip_norm=float("inf") if kind == "plain" else params.clip_norm,
        noise_multiplier=0.0 if kind == "plain" else 1.0,
        engine=KINDS[kind],
    )
    noise = SeededNoise(0, "bench")

    def whole() -> None:
        _assign(critic, step.gradient(critic, batch, noise))
        optimiser.step()

    rounds = {"quick": 30, "standard": 10, "paper": 4}[preset]
    benchmark.group = f"critic step, {preset}"
    benchmark.pedantic(whole, rounds=rounds, warmup_rounds=2)
    assert all(torch.isfinite(weight).all() for weight in critic.parameters())


def _game(params: DpWganParams, preset: str) -> tuple[PatchCritic, Batch]:
    rng = torch.Generator().manual_seed(0)
    critic = patch_critic(params)
    initialise(critic, rng)
    reals, fakes = (PAPER_BATCH, PAPER_BATCH) if preset == "paper" else (params.batch, params.fakes)
    size = SIZES[preset]
    real, fake = (torch.rand(n, 2, size, size, generator=rng) * 2 - 1 for n in (reals, fakes))
    return critic, Batch(real, torch.arange(reals), fake)


def test_calibrating_noise_the_first_time(benchmark) -> None:
    rates = itertools.count(64)
    benchmark.group = "noise for ε = 5 of 2,000 steps, PRV"
    benchmark.pedantic(
        lambda: calibrate(epsilon=5.0, delta=1e-5, sampling_rate=next(rates) / 4096, steps=2000),
        rounds=3,
    )


def test_a_ledger_entry(benchmark, tmp_path: Path) -> None:
    public = PublicNumbers(patients=300, patches_per_patient=1000, patch_size=96)
    budget = Budget(epsilon=float("inf"), delta=1e-7, unit="patch")
    spending = Spending(
        kind="fit",
        run="bench",
        generator="dp-wgan",
        guarantee=Guarantee.of(public, budget, epsilon=float("inf")),
        patients=tuple(f"{i:032x}" for i in range(300)),
        private=True,
    )
    ledger = Ledger(tmp_path / "ledger.db", b"key")
    benchmark.group = "ledger entry, 300 patients"
    assert benchmark(ledger.charge, spending) >= 1
