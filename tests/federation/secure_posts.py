"""Sites that have agreed on secure sums, and jobs for them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmark.core.budget import Unit
from benchmark.core.registry import generators
from benchmark.data.cohort import Patient
from benchmark.data.layouts import read_cohort
from federation.job import Job
from federation.post import Post
from federation.secure_site import simulated


def secure_job(
    generator: str = "dp-merf",
    *,
    curious: int | None = 1,
    rounds: int | None = None,
    epsilon: float = 2.0,
    unit: Unit = "patient",
    noise: str = "seeded",
    run: str = "0123456789ab",
    seed: int = 0,
) -> Job:
    kind = generators.get(generator)
    made = kind(kind.smoke)
    return Job(
        run=run,
        generator=generator,
        version=kind.version,
        settings=made.params.as_dict(),
        patch_size=16,
        patches_per_patient=20,
        epsilon=epsilon,
        delta=1e-5,
        unit=unit,
        seed=seed,
        noise=noise,
        schedule=made.schedule(design=next(iter(made.designs)), rounds=rounds),
        curious=curious,
    )


def post_of(index: int, patients: Sequence[Patient], root: Path) -> Post:
    name = f"site-{index}"
    return Post(
        index=index,
        name=name,
        patients=tuple(patients),
        voxels=tuple(f"digest of {patient.id}" for patient in patients),
        data=f"digest of {' '.join(patient.id for patient in patients)}",
        private=True,
        folder=root / "sites" / name,
        cache=root / "cache",
        state=root / "state" / name,
        seeded_allowed=True,
    )


def secure_posts(
    cohort: Path, root: Path, sizes: Sequence[int] = (2, 1), curious: int | None = 1
) -> list[Post]:
    """Sites with these numbers of the cohort's training patients, who exchanged fingerprints."""
    train = sorted(read_cohort(cohort).split("train"), key=lambda one: one.id)
    ends = [sum(sizes[:k]) for k in range(len(sizes) + 1)]
    posts = [post_of(k, train[ends[k] : ends[k + 1]], root) for k in range(len(sizes))]
    agreed = simulated([post.state for post in posts], curious)
    return [replace(post, agreed=one) for post, one in zip(posts, agreed, strict=True)]
