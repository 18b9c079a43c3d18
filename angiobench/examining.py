"""Functions to use before a sweep (plan, inspect), an audit, and the check of a release."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.core.budget import Unit
from benchmark.core.editions import DEFAULT
from benchmark.core.editions import found as edition
from benchmark.core.folders import cache_folder, state_folder
from benchmark.data.inspection import InspectionReport as Inspection
from benchmark.data.inspection import inspect as inspected
from benchmark.sweep.consortium import Consortium, consortia, recommendations
from benchmark.sweep.feasibility import Prospect, prospects, with_preset
from benchmark.sweep.site_sizes import site_sizes

if TYPE_CHECKING:
    from benchmark.audit.report import AuditReport as Audited


class Plans(list[Prospect]):
    """The plans of generators, one for each level.

    Attributes:
        across_sites: For each private generator that sites can train together, and each level: the
            noise of every way of adding up, and what each observer could see. Empty without sites.
    """

    across_sites: list[Consortium]

    def __init__(self, plans: Iterable[Prospect] = ()) -> None:
        super().__init__(plans)
        self.across_sites = []

    @property
    def recommendations(self) -> list[str]:
        """A sentence for each ε that recommends a generator and a way across the sites."""
        return recommendations(self.across_sites)


def plan(
    generators: str | Sequence[str] = (),
    *,
    patients: int,
    epsilon: float | Sequence[float],
    sites: int | None = None,
    partition: str | None = None,
    **options: Any,
) -> Plans:
    """Plan each generator from public numbers alone; no data are read.

    Args:
        generators: A name, or several; none for all that have the preset.
        patients: How many patients a fit would have.
        epsilon: Privacy levels.
        sites: Also plan fits across so many sites; ``None`` for none.
        partition: With ``sites``, how many patients each has: ``equal``, ``size-skew:A,B[,…]`` or
            ``dirichlet:ALPHA``; ``None`` for equal.
        options: ``unit``, ``delta``, ``preset``, ``protocol``, ``settings`` as in ``Sweep``.

    Returns:
        A plan with a verdict for each generator and level; ``across_sites`` has the ways of adding
        up across the sites.

    Raises:
        BenchError: For wrong usage.
    """
    from angiobench.running import sweep_of

    names = [generators] if isinstance(generators, str) else [*generators]
    names = names or with_preset(options.get("preset", "quick"))
    sizes = site_sizes(patients, sites, partition)
    sweep = sweep_of(names, epsilon=epsilon, segmenters=(), bookends=False, **options)
    request, cache = sweep.request(), cache_folder()
    made = Plans(prospects(request, patients, cache, _unheard))
    if sizes:
        made.across_sites = consortia(request, made, sizes, cache, _unheard)
    return made


def _unheard(stage: str, done: int, total: int) -> None:
    """Hears of progress that nobody asked for."""


def inspect(
    cohort: str | Path, *, layout: str | None = None, acquisition: str | None = None, jobs: int = 1
) -> Inspection:
    """Read every patient of a folder, without stopping at any fault.

    Args:
        cohort: The folder.
        layout: The layout of its files; ``None`` to find it from their names.
        acquisition: Which of a patient's several; ``None`` for the first labelled.
        jobs: How many patients are read at a time.

    Returns:
        The findings by patient, with faults and notes.

    Raises:
        DataError: For a folder that is missing or in no known layout.
    """
    return inspected(Path(cohort), layout=layout, acquisition=acquisition, jobs=jobs)


def audit(
    generator: str,
    *,
    epsilon: float,
    unit: Unit = "patch",
    preset: str = "quick",
    protocol: str = DEFAULT,
    settings: dict[str, Any] | None = None,
    canaries: int = 200,
    seed: int = 0,
) -> Audited:
    """Fit once on the embedded phantoms with canaries among them, and attack the result.

    Args:
        generator: The name of a private generator, or segmenter.
        epsilon: The claim.
        unit: What it is said to protect.
        preset: Settings to start from.
        protocol: The edition of the protocol.
        settings: Values that override the preset's, by their names.
        canaries: How many canaries; with more, a larger ε can be proven.
        seed: Draws canaries, coins and noise.

    Returns:
        What the attack proves, and which laws are broken.

    Raises:
        BenchError: For wrong usage, or a plug-in that breaks its contract.
    """
    from benchmark.audit.report import run_audit
    from benchmark.audit.request import Audit, made
    from benchmark.data.phantom import PhantomCohort
    from benchmark.sweep.executors.task import one_thread
    from benchmark.sweep.inputs import gather

    asked = Audit(
        generator=generator,
        epsilon=epsilon,
        unit=unit,
        preset=preset,
        protocol=protocol,
        settings={name: str(value) for name, value in (settings or {}).items()},
        canaries=canaries,
        seed=seed,
    )
    subject, cache, state = made(asked), cache_folder(), state_folder()
    inputs = gather(
        None,
        [],
        cache=cache,
        state=state,
        jobs=os.cpu_count() or 1,
        progress=lambda stage, done, total: None,
        phantoms=PhantomCohort(edition(protocol).phantoms),
    )
    with one_thread():
        return run_audit(asked, subject, inputs, cache=cache, state=state, progress=lambda *_: None)
