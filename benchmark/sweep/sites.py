"""Cells across sites: the split of patients, each site's plan, and the federated fit."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.core.addresses import folder_name
from benchmark.core.budget import Budget, Guarantee, PublicNumbers
from benchmark.core.designs import check_shares_noise, federated
from benchmark.core.federation import FederatedGenerator, Schedule, worst
from benchmark.core.generator import Generator
from benchmark.core.protocol import spacing_of
from benchmark.results.spec import (
    MAIN_TEST,
    AcrossSites,
    FitSpec,
    OneSite,
    PlugIn,
    RunSpec,
    canonical,
)
from benchmark.results.store import CHECKPOINT
from benchmark.sweep.inputs import Inputs
from benchmark.sweep.machine import Bench
from benchmark.sweep.plan_cache import planned
from federation.job import Job
from federation.partition import Partition, check_disjoint

if TYPE_CHECKING:
    from benchmark.sweep.watching.rounds import RoundWatch
    from federation.post import Post

FOLDER = "sites"


@dataclass(frozen=True, kw_only=True)
class Federation:
    """How a sweep's federated cells are run.

    Attributes:
        sites: How many sites; 1 for no federation.
        partition: How patients are assigned to sites.
        design: A name among the generator's designs; each generator's first if empty.
        rounds: How many; by the settings if ``None``.
        local_steps: Private steps of a site in a round; by the settings if ``None``.
        baselines: Whether each site alone, and all patients pooled, are run too.
        curious: t, how many curious sites secure sums are sized for; ``None`` for local noise.
    """

    sites: int = 1
    partition: str = "site"
    design: str = ""
    rounds: int | None = None
    local_steps: int | None = None
    baselines: bool = False
    curious: int | None = None

    @property
    def asked(self) -> bool:
        """Whether there are several sites."""
        return self.sites > 1

    def of(self, kind: type[Generator], settings: Mapping[str, Any]) -> AcrossSites:
        """Return the part of a federated cell's spec for a generator.

        Args:
            kind: The generator's class.
            settings: Its settings.

        Raises:
            UsageError: If sites cannot train it, or for an unknown design, or steps that the
                design cannot take, or secure sums that it cannot have.
        """
        trained = federated(kind, self.design)
        generator = trained(kind.Params(**settings))
        design = self.design or next(iter(generator.designs))
        schedule = generator.schedule(
            design=design, rounds=self.rounds, local_steps=self.local_steps
        )
        if self.curious is not None:
            check_shares_noise(trained, design)
        return AcrossSites(partition=self.partition, **asdict(schedule), curious=self.curious)

    def alone(self, site: str) -> OneSite:
        """Return the part of a cell's spec for one site alone."""
        return OneSite(partition=self.partition, of=self.sites, alone=site)


def split(partition: Partition, inputs: Inputs) -> Mapping[str, Inputs]:
    """Split the training patients among the sites, once for all cells.

    Returns:
        By site, its own patients with digests of their own.

    Raises:
        UsageError: If the cohort cannot be split so, or a patient is at two sites.
    """
    asked = partition.text, partition.sites
    if asked not in inputs.splits:
        inputs.splits[asked] = _split(partition, inputs)
    return inputs.splits[asked]


def _split(partition: Partition, inputs: Inputs) -> Mapping[str, Inputs]:
    identities = dict(zip((p.id for p in inputs.train), inputs.patients, strict=True))
    made = {}
    for name, patients in partition.split(inputs.train).items():
        members = " ".join(sorted(patient.id for patient in patients))  # a table may change them
        said = f"{inputs.data} {partition.text} {partition.sites} {name} {members}"
        made[name] = replace(
            inputs,
            train=patients,
            patients=tuple(identities[patient.id] for patient in patients),
            data=hashlib.sha256(said.encode()).hexdigest()[:16],
        )
    check_disjoint({name: mine.patients for name, mine in made.items()})
    return made


def assignment_of(spec: FitSpec, inputs: Inputs) -> str:
    """Return a digest of which patients are at which site; empty where all are at one place.

    Args:
        spec: A cell's.
        inputs: The sweep's data.
    """
    if spec.federation is None:
        return ""
    said = {name: mine.data for name, mine in split(partition_of(spec), inputs).items()}
    return hashlib.sha256(canonical(said).encode()).hexdigest()[:16]


def partition_of(spec: FitSpec) -> Partition:
    """Return the partition of a cell that has one.

    Raises:
        LookupError: If it has none.
    """
    if spec.federation is None:
        raise LookupError("This fit is of no federation.")
    sites = spec.federation.of if isinstance(spec.federation, OneSite) else spec.sites
    return Partition(text=spec.federation.partition, sites=sites)


def inputs_of(spec: FitSpec, inputs: Inputs) -> Inputs:
    """Return the data that a cell is fitted on: all, or those of one site alone."""
    site = spec.alone_at
    return inputs if site is None else split(partition_of(spec), inputs)[site]


def fitted_on(spec: RunSpec, inputs: Inputs) -> list[Inputs]:
    """Return the data whose patches a cell needs: those of each site, or of all together."""
    if spec.is_federated:
        return list(split(partition_of(spec), inputs).values())
    return [inputs_of(spec, inputs)]


def held_out_sites(specs: Sequence[RunSpec], inputs: Inputs) -> dict[str, tuple[str, ...]]:
    """Assign the held-out patients of the main test set to the sites, by the partition.

    Args:
        specs: The sweep's cells.
        inputs: Its data.

    Returns:
        The patients by site; empty if sites train no cell together.
    """
    across = next((spec for spec in specs if spec.is_federated), None)
    if across is None:
        return {}
    groups = partition_of(across).held_out(inputs.train, inputs.tests[MAIN_TEST])
    return {name: tuple(patient.id for patient in mine) for name, mine in groups.items()}


def schedule_of(spec: FitSpec) -> Schedule:
    """Return the rounds of a federated cell.

    Raises:
        LookupError: If sites do not train it together.
    """
    if not isinstance(spec.federation, AcrossSites):
        raise LookupError("Sites do not train this generator together.")
    return spec.federation.schedule


def job_of(spec: FitSpec) -> Job:
    """Return the job of a federated fit, on which server and sites agree.

    Args:
        spec: Of a cell, whose key is the run's; or of a deployment, whose run's key is a digest of
            the job itself.
    """
    said: dict[str, Any] = {
        "generator": spec.generator.name,
        "version": spec.generator.version,
        "settings": spec.generator.settings,
        "patch_size": int(spec.protocol["patch_size"]),
        "patches_per_patient": int(spec.protocol["patches_per_patient"]),
        "spacing_mm": spacing_of(spec.protocol),
        "epsilon": spec.epsilon,
        "delta": spec.delta,
        "unit": spec.unit,
        "seed": spec.seed,
        "noise": spec.noise,
        "schedule": schedule_of(spec),
        "curious": spec.curious,
    }
    return Job(run=spec.key, **said) if isinstance(spec, RunSpec) else Job.of(**said)


def run_of(spec: FitSpec) -> str:
    """Return the key of the run that a spec is of."""
    return spec.key if isinstance(spec, RunSpec) else job_of(spec).run


def site_plans(spec: RunSpec, inputs: Inputs, cache: Path) -> dict[str, Guarantee]:
    """Plan each site's part of a fit, from its public numbers alone.

    Args:
        spec: A federated cell.
        inputs: The sweep's data, of which only the counts are used.
        cache: The cache folder, where plans are remembered.

    Returns:
        The guarantees by site. With secure sums all are that of the whole fit.

    Raises:
        UsageError: If a site cannot honour the budget.
    """
    mine = split(partition_of(spec), inputs)
    whole = sum(len(one.train) for one in mine.values())
    if spec.curious is not None:
        return dict.fromkeys(mine, plan_together(spec, whole, cache))
    return {name: plan_at_site(spec, len(one.train), whole, cache) for name, one in mine.items()}


def plan_together(spec: FitSpec, patients: int, cache: Path) -> Guarantee:
    """Plan a fit by secure sums, for the patients of all sites.

    Args:
        spec: The cell's, or the deployment's.
        patients: The number of patients of all sites.
        cache: The cache folder, where plans are remembered.

    Raises:
        UsageError: If the budget cannot be honoured.
    """
    job, made = job_of(spec), job_of(spec).made()
    sharing = {"sites": spec.sites, "curious": spec.curious}
    decides = {"schedule": asdict(job.schedule), "sharing": sharing}
    settings = {**made.params.as_dict(), **decides}
    plug_in = PlugIn(name=made.name, version=made.version, settings=settings)
    public = job.public(patients)

    def plan(asked: Budget) -> Guarantee:
        if math.isinf(asked.epsilon):  # the plan cache compares public numbers with it
            return made.plan_at_site(public, asked, job.schedule)
        return replace(job, epsilon=asked.epsilon).shared_plan(patients, spec.sites).guarantee

    return planned(plug_in, made, public, job.budget(), cache, plan)


def plan_at_site(spec: FitSpec, patients: int, whole: int, cache: Path) -> Guarantee:
    """Plan one site's part of a fit.

    Args:
        spec: The cell.
        patients: The site's number of patients.
        whole: The number of patients of all sites.
        cache: The cache folder, where plans are remembered.

    Raises:
        UsageError: If it cannot honour the budget.
    """
    job, share = job_of(spec), patients / whole
    public = job.public(patients)
    return planned_site(job.made(), job.schedule, public, share, job.budget(), cache)


def planned_site(
    generator: FederatedGenerator,
    schedule: Schedule,
    public: PublicNumbers,
    share: float,
    budget: Budget,
    cache: Path,
) -> Guarantee:
    """Plan one site's part of a fit of a generator, from public numbers.

    Args:
        generator: As it is for all patients.
        schedule: The rounds and steps.
        public: The site's own numbers.
        share: The site's share of all patients.
        budget: What may be spent.
        cache: The cache folder, where plans are remembered.

    Raises:
        UsageError: If it cannot honour the budget.
    """
    mine = generator.at_site(share)
    settings = {**mine.params.as_dict(), "schedule": asdict(schedule), "share": share}
    plug_in = PlugIn(name=generator.name, version=generator.version, settings=settings)

    def plan(asked: Budget) -> Guarantee:
        return mine.plan_at_site(public, asked, schedule)

    return planned(plug_in, mine, public, budget, cache, plan)


def posts(
    spec: RunSpec, inputs: Inputs, plans: Mapping[str, Guarantee], bench: Bench
) -> list[Post]:
    """Return the place of each site's work, for a simulation on this machine.

    Args:
        spec: The cell.
        inputs: The sweep's data.
        plans: Each site's guarantee.
        bench: The cell's folder and machine.
    """
    from federation.post import Post
    from federation.secure_site import simulated, simulated_states  # all of these load torch

    mine = split(partition_of(spec), inputs)
    states = simulated_states(bench.machine.state, spec.key, [*mine])
    agreed = simulated(states, spec.curious)
    return [
        Post(
            index=index,
            name=name,
            patients=one.train,
            voxels=one.patients,
            data=one.data,
            private=inputs.private,
            folder=bench.folder / FOLDER / folder_name(name),
            cache=bench.machine.cache,
            state=bench.machine.state,
            seeded_allowed=True,
            planned=plans[name],
            device=bench.machine.device,
            agreed=agreed[index],
        )
        for index, (name, one) in enumerate(mine.items())
    ]


def fit_across_sites(
    spec: RunSpec,
    inputs: Inputs,
    bench: Bench,
    watch: RoundWatch,
) -> tuple[Generator, dict[str, Guarantee]]:
    """Train a cell's generator across sites.

    Args:
        spec: The cell.
        inputs: All patients.
        bench: Bench it runs.
        watch: Hears of every ``federation.strategy.Round``, and may look at the generator then.

    Raises:
        FederationError: If a site fails; the last whole round is kept.
    """
    from benchmark.sweep.watching.kept import SeenCheckpoint  # all of these load torch
    from federation.backend import simulate
    from federation.strategy import Rules

    job = job_of(spec)
    generator = job.made()
    everyone = posts(spec, inputs, site_plans(spec, inputs, bench.machine.cache), bench)

    def finished(turn: Any) -> None:
        def now() -> Generator:
            generator.close(turn.state, job.patch_size)
            return generator

        watch(turn, now)

    rules = Rules(
        sites=len(everyone),
        timeout_s=bench.machine.site_timeout_s,
        checkpoint=lambda members: SeenCheckpoint(
            bench.folder / CHECKPOINT, worst([m.guarantee for m in members]), by=watch
        ),
        done=finished,
        device=bench.machine.device,
    )
    state, members = simulate(
        bench.machine.backend, job, everyone, rules, cluster=bench.machine.ray
    )
    generator.close(state, job.patch_size)
    return generator, {member.facts.site: member.guarantee for member in members}
