"""What sites cost: rounds in this process against the same steps on pooled patients, and bytes.

All WGANs have `quick`'s networks and batches, ε = 5, and the same critic and generator steps. The
sites are open already, as in all rounds but the first. A fit of `dp-simulator` is one round.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.core.federation import FederatedGenerator
from benchmark.core.generator import FitContext
from benchmark.core.patches import Patches
from benchmark.data.cohort import Patient
from benchmark.privacy.checkpoint import Checkpoint
from benchmark.privacy.randomness import SeededNoise
from benchmark.sweep.executors.task import keep_memory
from federation import messages, sites
from federation.backend import simulate
from federation.job import Job
from federation.post import Post
from federation.strategy import Rules
from generators.dp_simulator import DpSimulator, DpSimulatorParams
from generators.dp_wgan import DpWgan, DpWganParams
from generators.simulation.populations import tubes_of

PATIENTS, PATCHES, SIZE = 60, 100, 32
ROUNDS, LOCAL_STEPS = 5, 4
MEASURED = 5
PARAMS = DpWganParams(generator_steps=ROUNDS)
MANY = [3, pytest.param(20, marks=pytest.mark.slow)]
GROUP = f"{ROUNDS * LOCAL_STEPS} critic steps"


@pytest.fixture(autouse=True, scope="module")
def _as_in_a_cell() -> None:
    torch.set_num_threads(1)
    keep_memory()


def patches_of(patients: int) -> Patches:
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (patients * PATCHES, 1, SIZE, SIZE)).astype(np.float32)
    return Patches(
        images=images,
        masks=(images > 0.8).astype(np.uint8),
        patient=np.repeat(np.arange(patients), PATCHES),
        patients=patients,
        patches_per_patient=PATCHES,
    )


def job_of(design: str, generator: FederatedGenerator | None = None) -> Job:
    generator = generator or DpWgan(PARAMS)
    return Job.of(
        generator=generator.name,
        version=generator.version,
        settings=generator.params.as_dict(),
        patch_size=SIZE,
        patches_per_patient=PATCHES,
        epsilon=5.0,
        delta=1e-5,
        unit="patch",
        seed=0,
        noise="seeded",
        schedule=generator.schedule(design=design),
    )


def posts_in(folder: Path, number: int) -> list[Post]:
    nowhere = Path("nowhere")
    somebody = Patient(id="sub-01", image=nowhere, vessels=nowhere)
    each = PATIENTS // number
    return [
        Post(
            index=index,
            name=f"site-{index}",
            patients=(somebody,) * each,
            voxels=tuple(f"{index:016x}{k:016x}" for k in range(each)),
            data=f"{index}",
            private=False,
            folder=folder / f"site-{index}",
            cache=folder,
            state=folder / "state",
            seeded_allowed=True,
        )
        for index in range(number)
    ]


def pooled_of(generator: FederatedGenerator, design: str) -> Callable[[], None]:
    """A fit of all patients at one place."""
    patches, job = patches_of(PATIENTS), job_of(design, generator)
    planned = generator.plan(job.public(PATIENTS), job.budget())

    def fit() -> None:
        noise = SeededNoise(0, "bench")
        generator.fit(
            patches, planned, FitContext(seed=0, noise=noise, charge=lambda charged: None)
        )

    return fit


def sites_of(job: Job, number: int, folder: Path, moved: list[int]) -> Callable[[], None]:
    """The same by sites; it notes the bytes of every round."""
    posts, kept = posts_in(folder, number), folder / "rounds.safetensors"
    rules = Rules(
        sites=number,
        timeout_s=600,
        checkpoint=lambda members: Checkpoint(kept, members[0].guarantee),
        done=lambda turn: moved.append(turn.sent + turn.received),
    )

    def fit() -> None:
        kept.unlink(missing_ok=True)
        state, _ = simulate("in-process", job, posts, rules)
        job.made().close(state, SIZE)

    return fit


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sites cut no patches of volumes."""
    monkeypatch.setattr(sites, "patches_of", lambda post, job: patches_of(len(post.patients)))


def test_pooled(benchmark) -> None:
    benchmark.group = GROUP
    fit = pooled_of(DpWgan(PARAMS), "gradient-sums")
    benchmark.pedantic(fit, rounds=MEASURED, warmup_rounds=1)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("number", MANY)
@pytest.mark.parametrize("design", ["gradient-sums", "averaged-critics"])
def test_sites(benchmark, design: str, number: int, tmp_path: Path) -> None:
    moved: list[int] = []
    benchmark.group = GROUP
    fit = sites_of(job_of(design), number, tmp_path, moved)
    benchmark.pedantic(fit, rounds=MEASURED, warmup_rounds=1)
    benchmark.extra_info["bytes a site and round"] = moved[-1] // number
    assert len(set(moved)) == 1


def test_simulator_pooled(benchmark) -> None:
    benchmark.group = "dp-simulator"
    fit = pooled_of(DpSimulator(DpSimulatorParams()), "one-mean")
    benchmark.pedantic(fit, setup=tubes_of.cache_clear, rounds=2)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("number", MANY)
def test_simulator_sites(benchmark, number: int, tmp_path: Path) -> None:
    benchmark.group = "dp-simulator"
    job = job_of("one-mean", DpSimulator(DpSimulatorParams()))
    fit = sites_of(job, number, tmp_path, [])
    benchmark.pedantic(fit, setup=tubes_of.cache_clear, rounds=2)


def test_a_message_to_a_site_and_back(benchmark) -> None:
    job = job_of("averaged-critics")
    nobody = FitContext(seed=0, noise=SeededNoise(0), charge=lambda charged: None)
    side = job.made().server_side(SIZE, job.schedule, nobody)
    state = side.begin()

    def there_and_back() -> int:
        content = messages.order(job, 1.0, 1, side.sent(state))
        arrays = messages.unpacked(content.array_records[messages.STATE])
        reply = messages.order_reply(1, {name: arrays[name] for name in side.returned(state, 1.0)})
        return len(messages.unpacked(reply.array_records[messages.STATE]))

    assert benchmark(there_and_back) == len(side.returned(state, 1.0))
    benchmark.extra_info["bytes sent"] = sum(a.nbytes for a in side.sent(state).values())
