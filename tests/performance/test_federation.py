"""What sites cost: rounds in this process against the same steps on pooled patients, and bytes.

All have `quick`'s networks and batches, ε = 5, and the same critic and generator steps. The sites
are open already, as in all rounds but the first.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.core.generator import FitContext
from benchmark.core.patches import Patches
from benchmark.data.cohort import Patient
from benchmark.privacy.checkpoint import Checkpoint
from benchmark.privacy.randomness import SeededNoise
from benchmark.sweep.executors.task import keep_memory
from federation import messages, sites
from federation.backend import simulate
from federation.job import Job
from federation.sites import Post
from federation.strategy import Rules
from generators.dp_wgan import DpWgan, DpWganParams

PATIENTS, PATCHES, SIZE = 60, 100, 32
ROUNDS, LOCAL_STEPS = 5, 4
MEASURED = 5
PARAMS = DpWganParams(generator_steps=ROUNDS)
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


def job_of() -> Job:
    generator = DpWgan(PARAMS)
    return Job.of(
        generator=generator.name,
        version=generator.version,
        settings=PARAMS.as_dict(),
        patch_size=SIZE,
        patches_per_patient=PATCHES,
        epsilon=5.0,
        delta=1e-5,
        unit="patch",
        seed=0,
        noise="seeded",
        schedule=generator.schedule(
            design="averaged-critics", rounds=ROUNDS, local_steps=LOCAL_STEPS
        ),
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


def test_pooled(benchmark) -> None:
    patches, generator = patches_of(PATIENTS), DpWgan(PARAMS)
    job = job_of()
    planned = generator.plan_at_site(job.public(PATIENTS), job.budget(), job.schedule)

    def fit() -> None:
        noise = SeededNoise(0, "bench")
        generator.fit(
            patches, planned, FitContext(seed=0, noise=noise, charge=lambda charged: None)
        )

    benchmark.group = GROUP
    benchmark.pedantic(fit, rounds=MEASURED, warmup_rounds=1)


@pytest.mark.parametrize("number", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_sites(benchmark, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sites, "patches_of", lambda post, job: patches_of(len(post.patients)))
    posts, job = posts_in(tmp_path, number), job_of()
    kept, moved = tmp_path / "rounds.safetensors", []
    rules = Rules(
        sites=number,
        timeout_s=600,
        checkpoint=lambda members: Checkpoint(kept, members[0].guarantee),
        done=lambda turn: moved.append(turn.sent + turn.received),
    )

    def fit() -> None:
        kept.unlink(missing_ok=True)
        simulate("in-process", job, posts, rules)

    benchmark.group = GROUP
    benchmark.pedantic(fit, rounds=MEASURED, warmup_rounds=1)
    benchmark.extra_info["bytes a site and round"] = moved[-1] // number
    assert len(set(moved)) == 1


def test_a_message_to_a_site_and_back(benchmark) -> None:
    job = job_of()
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
