"""A fit across simulated sites: where each of them works, and the rounds of the server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from benchmark.core.addresses import folder_name
from benchmark.core.budget import Guarantee
from benchmark.core.federation import worst
from benchmark.core.generator import Generator
from benchmark.results.spec import RunSpec
from benchmark.results.store import CHECKPOINT
from benchmark.sweep.inputs import Inputs
from benchmark.sweep.machine import Bench
from benchmark.sweep.site_plans import job_of, site_plans
from benchmark.sweep.sites import partition_of, split

if TYPE_CHECKING:
    from benchmark.sweep.watching.rounds import RoundWatch
    from federation.post import Post

FOLDER = "sites"


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
