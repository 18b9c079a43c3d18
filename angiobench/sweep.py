"""The options of a sweep, those of ``bench run``, and the request and workspace that they mean."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from benchmark.core.budget import Unit
from benchmark.core.editions import DEFAULT
from benchmark.core.errors import UsageError
from benchmark.core.folders import cache_folder, state_folder
from benchmark.data.phantom.cohorts import FIRST
from benchmark.data.reading import AS_FOUND, Reading
from benchmark.results.tuned_settings import FOLDER, SHIPPED
from benchmark.sweep.executors.cluster import cluster_of
from benchmark.sweep.forecast.forecast import Forecast
from benchmark.sweep.machine import Machine
from benchmark.sweep.request import FIRST_SEEDS, Precision, Request
from benchmark.sweep.sites import Federation, check_needs_sites
from benchmark.sweep.sweep import Finished, forecast_sweep, run_sweep
from benchmark.sweep.workspace import Listener, Workspace

RAY = "ray"
"""The backend of sites, and a kind of cluster."""

AUTO: Literal["auto"] = "auto"
DP_SEGMENTER = "dp-segmenter"


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """The options of ``bench run``; ``bench run --help`` has a line on each.

    Attributes:
        generators: Names of generators, or of segmenters that are fitted on patients themselves.
        epsilon: Privacy levels; ``math.inf`` for none.
        unit: What ε protects: a ``patch`` or a ``patient``.
        delta: δ; ``None`` for 1e-5 or a tenth of one over the number of units, whichever is less.
        segmenters: Names of those that learn from the synthetic patches.
        preset: ``quick``, ``standard`` or ``paper``.
        protocol: The edition of the protocol: the rules of comparison.
        settings: Values by ``plug-in.setting``, as ``{"dp-wgan.clip_norm": 1.0}``.
        tuned: Whether to use the settings that ``bench tune`` found.
        data: A cohort's folder; ``None`` for embedded phantoms.
        phantoms: Which of them: ``first``, ``broad`` or ``narrow``.
        test_data: Folders of further test sets.
        reading: How folders are read.
        seeds: How many, or ``"auto"``.
        precision: With ``"auto"``: the largest half width of a row's interval; ``None`` for 0.03.
        max_seeds: With ``"auto"``: the most seeds; ``None`` for 20.
        first_seed: The first of them.
        bookends: Whether ``real`` and the free rows run too.
        dp_segmenter: Whether a U-Net itself is fitted privately, for comparison.
        own_patients: The numbers of own patients with which synthetic patches are also judged.
        canaries: How many made-up units are planted in every private fit, to audit that very fit.
        noise: ``seeded`` or ``system``; ``None`` for seeded on phantoms, the system's on patients.
        sites: How many sites train a generator together; 1 for none.
        partition: How patients are assigned to sites.
        rounds: Of a federated fit; ``None`` for the settings' number.
        local_steps: Private steps of a site in a round; ``None`` for the settings' number.
        design: How sites train together, as ``mixture``; empty for the generator's first design.
        secure_sum: t, how many curious sites the noise of secure sums is sized for; ``None`` for
            local noise.
        baselines: Whether each site alone, and all patients pooled, run too.
        backend: Where sites run: ``in-process`` or ``ray``.
        ray: The address of a Ray cluster on whose nodes the cells run, or ``auto``; ``None`` for
            this machine. With ``backend="ray"`` it is the cluster of the sites instead.
        site_timeout: How long a site may take for a round, in seconds.
        slurm: Where SLURM runs the cells, as ``partition=NAME,time=MINUTES``; ``None`` for not.
        cpus_per_cell: On a cluster: cores of a cell; ``None`` for one.
        gpus_per_cell: On a cluster: GPUs of a cell; ``None`` for none.
        ship_data: On a cluster: whether patients' files are copied into the store for the nodes.
        jobs: Cells at a time; 0 for this very process, ``None`` for the number of cores, or for
            what a cluster takes.
        cell_timeout: Seconds after which a cell's process is ended, and the cell has failed.
        cell_memory: GiB of memory beyond which it is.
        device: A torch device's name.
        arithmetic: ``exact``, or ``fast`` for segmenters in bf16 where the machine has it.
        fid_weights: The Inception weights; ``None`` to look in the caches.
        out: The folder of results.
        tracking_uri: MLflow's store; ``None`` for the one in ``out``, ``none`` for none.
    """

    generators: Sequence[str]
    epsilon: Sequence[float] = (math.inf,)
    unit: Unit = "patch"
    delta: float | None = None
    segmenters: Sequence[str] = ("unet",)
    preset: str = "quick"
    protocol: str = DEFAULT
    settings: Mapping[str, Any] = field(default_factory=dict)
    tuned: bool = False
    data: Path | None = None
    phantoms: str = FIRST
    test_data: Sequence[Path] = ()
    reading: Reading = AS_FOUND
    seeds: int | Literal["auto"] = 1
    precision: float | None = None
    max_seeds: int | None = None
    first_seed: int = 0
    bookends: bool = True
    dp_segmenter: bool = False
    own_patients: Sequence[int] = ()
    canaries: int = 0
    noise: str | None = None
    sites: int = 1
    partition: str = "site"
    rounds: int | None = None
    local_steps: int | None = None
    design: str = ""
    secure_sum: int | None = None
    baselines: bool = False
    backend: str = "in-process"
    ray: str | None = None
    site_timeout: float = 600.0
    slurm: str | None = None
    cpus_per_cell: int | None = None
    gpus_per_cell: float | None = None
    ship_data: bool = False
    jobs: int | None = None
    cell_timeout: float | None = None
    cell_memory: float | None = None
    device: str = "cpu"
    arithmetic: str = "exact"
    fid_weights: Path | None = None
    out: Path = Path("runs")
    tracking_uri: str | None = None

    def run(self, listener: Listener) -> Finished:
        """Run the cells that are not done.

        Args:
            listener: Called for everything that happens.

        Raises:
            BenchError: For wrong usage or unusable data, before anything is computed.
        """
        return run_sweep(self.request(), self.workspace(), listener)

    def forecast(self, listener: Listener) -> Forecast:
        """Foretell what ``run`` would take and cost; nothing is fitted, written or charged.

        Args:
            listener: Called while data are gathered and noise is calibrated.

        Raises:
            BenchError: For wrong usage or unusable data, as ``run`` does.
        """
        return forecast_sweep(self.request(), self.workspace(), listener)

    def workspace(self) -> Workspace:
        """Return the folders, the machine and the jobs."""
        return Workspace(
            out=self.out,
            machine=Machine(
                cache=cache_folder(),
                state=state_folder(),
                fid_weights=self.fid_weights,
                device=self.device,
                backend=self.backend,
                ray=self.ray if self.backend == RAY else None,
                site_timeout_s=self.site_timeout,
                cell_timeout_s=self.cell_timeout,
                cell_memory_gib=self.cell_memory,
            ),
            data=self.data,
            phantoms=self.phantoms,
            test_data=self.test_data,
            reading=self.reading,
            jobs=(os.cpu_count() or 1) if self.jobs is None else self.jobs,
            cluster=cluster_of(
                ray=None if self.backend == RAY else self.ray,
                slurm=self.slurm,
                jobs=self.jobs,
                cpus_per_cell=self.cpus_per_cell,
                gpus_per_cell=self.gpus_per_cell,
                ships_data=self.ship_data,
            ),
            tracking_uri=self.tracking_uri,
        )

    def request(self) -> Request:
        """Return what decides the results, apart from the data.

        Raises:
            UsageError: For options that cannot be combined.
        """
        precision, direct = self._precision(), [DP_SEGMENTER] if self.dp_segmenter else []
        usual = "seeded" if self.data is None else "system"
        return Request(
            generators=list(dict.fromkeys([*self.generators, *direct])),
            epsilons=[float(level) for level in self.epsilon],
            unit=self.unit,
            delta=self.delta,
            segmenters=tuple(self.segmenters),
            preset=self.preset,
            protocol=self.protocol,
            settings=_by_plug_in(self.settings),
            seeds=self.seeds if isinstance(self.seeds, int) else FIRST_SEEDS,
            precision=precision,
            first_seed=self.first_seed,
            bookends=self.bookends,
            own_patients=tuple(self.own_patients),
            canaries=self.canaries,
            arithmetic=self.arithmetic,
            noise=self.noise or usual,
            federation=self._federation(),
            tuned=(self.out / FOLDER, SHIPPED) if self.tuned else (),
        )

    def _precision(self) -> Precision | None:
        named = {"reach": self.precision, "most_seeds": self.max_seeds}
        given: dict[str, Any] = {n: value for n, value in named.items() if value is not None}
        if self.seeds == AUTO:
            return Precision(**given)
        if given:
            raise UsageError("--precision and --max-seeds need --seeds auto.")
        return None

    def _federation(self) -> Federation:
        asked = Federation(
            sites=self.sites,
            partition=self.partition,
            rounds=self.rounds,
            local_steps=self.local_steps,
            design=self.design,
            baselines=self.baselines,
            curious=self.secure_sum,
        )
        others = {
            f"--backend {self.backend}": self.backend != Machine.backend,
            f"--site-timeout {self.site_timeout:g}": self.site_timeout != Machine.site_timeout_s,
        }
        check_needs_sites(asked, [typed for typed, differs in others.items() if differs])
        return asked


def _by_plug_in(settings: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Texts by setting, by plug-in.

    Raises:
        UsageError: For a name without its plug-in.
    """
    read: dict[str, dict[str, str]] = {}
    for name, value in settings.items():
        plug_in, dot, setting = name.partition(".")
        if not (dot and plug_in and setting):
            raise UsageError(f"Expected a setting as PLUGIN.NAME, got {name!r}.")
        text = str(value).lower() if isinstance(value, bool) else str(value)
        read.setdefault(plug_in, {})[setting] = text
    return read
