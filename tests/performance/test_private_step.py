"""What privacy costs: the private critic step against the plain one and Opacus's, same batches.

A step is the gradient, noise included, and the optimiser's. Networks, batches and optimisers are
the presets' own (``paper``'s batch is 8 and 8). The plain and the private one take turns, so that a
machine's slower moments meet both alike. Memory allocation is pinned as in a cell,
unless ``ANGIOBENCH_BENCH_MALLOC=default``.
"""

import itertools
import os
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import median

import pytest
import torch

from benchmark.core.budget import Budget, Guarantee, PublicNumbers
from benchmark.privacy.accounting.calibration import calibrate
from benchmark.privacy.dpsgd.batch import Batch
from benchmark.privacy.dpsgd.step import Step
from benchmark.privacy.dpsgd.training import assign
from benchmark.privacy.ledger.ledger import Ledger, Spending
from benchmark.privacy.randomness import SeededNoise
from benchmark.sweep.executors.task import keep_memory
from generators.dp_wgan import DpWgan, DpWganParams
from generators.nets.convolutional import PatchCritic, initialise
from generators.nets.players import LOSSES, OPTIMISERS, patch_critic

SIZES = {"quick": 32, "standard": 64, "paper": 96}
PAPER_BATCH = 8
ENGINES = {"plain": "book-keeping", "private": "book-keeping", "opacus": "opacus"}
LAYOUTS = {"contiguous": torch.contiguous_format, "channels-last": torch.channels_last}
BESIDE = [("private", "channels-last"), ("plain", "contiguous"), ("plain", "channels-last")]
"""What takes a step before the private one of each round, whose batch is contiguous."""
MOST_ON_A_CARD = 1.3
DEVICE = os.environ.get("ANGIOBENCH_TEST_DEVICE", "cuda")
"""Of the steps on a card; ``cpu`` tells that their test itself runs."""

LONG = {"paper"}
EACH_SIZE = [pytest.param(size, marks=pytest.mark.slow) if size in LONG else size for size in SIZES]
"""All; `make bench` runs the long ones too, and the gate does not."""

pytestmark = pytest.mark.filterwarnings("ignore:Full backward hook")


@pytest.fixture(autouse=True, scope="module")
def _as_in_a_cell() -> None:
    torch.set_num_threads(1)
    if os.environ.get("ANGIOBENCH_BENCH_MALLOC") != "default":
        keep_memory()


@pytest.mark.parametrize("preset", EACH_SIZE)
def test_critic_step(benchmark, preset: str) -> None:
    seconds: dict[str, list[float]] = defaultdict(list)
    beside = [_timed(_step(preset, *kind), seconds["-".join(kind)]) for kind in BESIDE]

    def others() -> None:
        for step in beside:
            step()

    rounds = {"quick": 40, "standard": 20, "paper": 10}[preset]
    private = _timed(_step(preset, "private", "contiguous"), seconds["private-contiguous"])
    benchmark.group = f"critic step, {preset}"
    benchmark.pedantic(private, setup=others, rounds=rounds, warmup_rounds=2)
    ratio = _over_plain({kind: each[-rounds:] for kind, each in seconds.items()})
    benchmark.extra_info["over plain"] = ratio


@pytest.mark.gpu
@pytest.mark.skipif(
    DEVICE == "cuda" and not torch.cuda.is_available(), reason="needs a CUDA device"
)
@pytest.mark.parametrize("preset", SIZES)
def test_critic_step_on_a_card(benchmark, preset: str) -> None:
    """A private step takes at most 1.3 times as long as a plain one; both wait for the card."""
    seconds: dict[str, list[float]] = defaultdict(list)
    each = [
        _timed(_waiting(_step(preset, kind, layout, DEVICE)), seconds[f"{kind}-{layout}"])
        for kind in ("plain", "private")
        for layout in LAYOUTS
    ]
    rounds = 40 if DEVICE == "cuda" else 2
    benchmark.group = f"critic step on a card, {preset}"
    benchmark.pedantic(lambda: [step() for step in each], rounds=rounds, warmup_rounds=3)
    ratio = _over_plain({kind: taken[-rounds:] for kind, taken in seconds.items()})
    benchmark.extra_info["over plain"] = ratio
    assert DEVICE != "cuda" or ratio <= MOST_ON_A_CARD


def _waiting(step: Callable[[], None]) -> Callable[[], None]:
    """The step until the card has done it."""

    def waited() -> None:
        step()
        if DEVICE == "cuda":
            torch.cuda.synchronize()

    return waited


def _timed(step: Callable[[], None], seconds: list[float]) -> Callable[[], None]:
    """The step, writing down how long it took: xdist switches the benchmark off."""

    def timed() -> None:
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)

    return timed


def _over_plain(seconds: dict[str, list[float]]) -> float:
    """The private step over the plain one, each in its better memory format: median of rounds."""

    def best(kind: str) -> list[float]:
        return min((s for name, s in seconds.items() if name.startswith(kind)), key=median)

    return median(one / other for one, other in zip(best("private"), best("plain"), strict=True))


@pytest.mark.parametrize("preset", EACH_SIZE)
def test_opacus_step(benchmark, preset: str) -> None:
    rounds = {"quick": 20, "standard": 8, "paper": 3}[preset]
    benchmark.group = f"critic step, {preset}"
    benchmark.pedantic(_step(preset, "opacus", "contiguous"), rounds=rounds, warmup_rounds=1)


def _step(preset: str, kind: str, layout: str, device: str = "cpu") -> Callable[[], None]:
    params = DpWgan.presets[preset]
    assert isinstance(params, DpWganParams)
    critic, batch = _game(params, preset)
    memory = LAYOUTS[layout]
    critic, batch = critic.to(device, memory_format=memory), batch.on(device)
    batch = batch._replace(
        real=batch.real.contiguous(memory_format=memory),
        fake=batch.fake.contiguous(memory_format=memory),
    )
    optimiser = OPTIMISERS[params.optimiser](critic.parameters(), lr=1e-5)
    real, fake = LOSSES[params.loss]
    step = Step(
        real_loss=real,
        fake_loss=fake,
        expected_units=len(batch.real),
        clip_norm=float("inf") if kind == "plain" else params.clip_norm,
        noise_multiplier=0.0 if kind == "plain" else 1.0,
        engine=ENGINES[kind],
    )
    noise = SeededNoise(0, "bench")

    def whole() -> None:
        assign(critic, step.gradient(critic, batch, noise))
        optimiser.step()

    return whole


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
