"""A job for two tiny sites, and the sites."""

import dataclasses
from pathlib import Path

import torch

from benchmark.core.budget import Unit
from benchmark.core.registry import generators
from benchmark.data.cohort import Patient
from benchmark.data.layouts import read_cohort
from federation.job import Job
from federation.partition import Partition
from federation.post import Post

torch.set_num_threads(1)


def job_of(
    *,
    generator: str = "dp-wgan",
    epsilon: float = 5.0,
    unit: Unit = "patch",
    noise: str = "seeded",
    design: str = "averaged-critics",
    rounds: int = 3,
    run: str = "0123456789ab",
    seed: int = 0,
) -> Job:
    kind = generators.get(generator)
    params = dataclasses.replace(kind.smoke, patients_per_step=1)
    steps = 1 if design == "gradient-sums" else 2
    schedule = kind(params).schedule(design=design, rounds=rounds, local_steps=steps)
    return Job(
        run=run,
        generator=generator,
        version=kind.version,
        settings=params.as_dict(),
        patch_size=16,
        patches_per_patient=20,
        epsilon=epsilon,
        delta=1e-5,
        unit=unit,
        seed=seed,
        noise=noise,
        schedule=schedule,
    )


def posts_in(cohort: Path, root: Path) -> list[Post]:
    patients = read_cohort(cohort).split("train")
    groups = Partition(text="site", sites=2).split(patients)
    return [
        Post(
            index=index,
            name=name,
            patients=mine,
            voxels=tuple(f"digest of {patient.id}" for patient in mine),
            data=f"digest of {name}",
            private=True,
            folder=root / "sites" / name,
            cache=root / "cache",
            state=root / "state" / name,
            seeded_allowed=True,
        )
        for index, (name, mine) in enumerate(groups.items())
    ]


def post_at(index: int) -> Post:
    """A site that is planned and never opened."""
    nowhere = Path("nowhere")
    return Post(
        index=index,
        name=f"site-{index}",
        patients=(Patient(id="sub-01", image=nowhere, vessels=nowhere),) * 4,
        voxels=("digest",) * 4,
        data="digest",
        private=False,
        folder=nowhere,
        cache=nowhere,
        state=nowhere,
        seeded_allowed=True,
    )
