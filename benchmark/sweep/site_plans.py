"""Plans of fits across sites: the job on which sites agree, and what each of them may claim."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmark.core.budget import Budget, Guarantee, PublicNumbers
from benchmark.core.federation import FederatedGenerator, Schedule
from benchmark.core.protocol import spacing_of
from benchmark.results.spec import FitSpec, RunSpec
from benchmark.results.spec_parts import AcrossSites, PlugIn
from benchmark.sweep.inputs import Inputs
from benchmark.sweep.plan_cache import planned
from benchmark.sweep.sites import partition_of, split
from federation.job import Job


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
