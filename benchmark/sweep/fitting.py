"""The fit of one cell on its patients, at one place or across sites, from charge to canaries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from benchmark.audit.planting import Planted
from benchmark.core.budget import Guarantee
from benchmark.core.directory import kept_directory
from benchmark.core.errors import PlugInError
from benchmark.core.federation import worst
from benchmark.core.files import write_json
from benchmark.core.generator import FitContext, Generator, Noise
from benchmark.core.segmenter import PrivateSegmenter
from benchmark.privacy.randomness import SeededNoise, SystemNoise
from benchmark.results.disclosure import synthetic_may_leave
from benchmark.results.result import SiteResult
from benchmark.results.spec import RunSpec
from benchmark.results.store import CANARIES
from benchmark.sweep.inputs import Inputs
from benchmark.sweep.machine import Bench
from benchmark.sweep.payment import begun, check_charged, pay, places_of
from benchmark.sweep.site_fit import fit_across_sites
from benchmark.sweep.sites import inputs_of
from benchmark.sweep.training_patches import training_patches
from benchmark.sweep.watching.kept import SeenCheckpoint
from benchmark.sweep.watching.rounds import RoundWatch
from benchmark.sweep.watching.stages import Watch


class Made(NamedTuple):
    """A fit that was made just now.

    Attributes:
        fitted: The generator, or the private segmenter.
        guarantee: The guarantee of the fit; across sites, the worst.
        sites: The guarantee of each site of a federated fit.
        rounds: How many rounds a federated fit took, their bytes and seconds.
    """

    fitted: Any
    guarantee: Guarantee
    sites: tuple[SiteResult, ...] = ()
    rounds: Mapping[str, float] = {}


def make_fit(spec: RunSpec, planned: Guarantee, inputs: Inputs, bench: Bench, watch: Watch) -> Made:
    """Fit a cell's generator, or its private segmenter, on patients.

    Args:
        spec: The cell.
        planned: Its plan.
        inputs: The sweep's data.
        bench: The machine, and the folder in which the fit keeps what it goes on from.
        watch: Hears of the fit.

    Raises:
        OverCapError: If the ledger's cap does not allow it.
        PlugInError: If the plug-in uses patients without charging enough for it.
    """
    if spec.is_federated:
        return _fit_across_sites(spec, inputs, bench, watch)
    return _fit(spec, planned, inputs_of(spec, inputs), bench, watch)


def _fit(spec: RunSpec, planned: Guarantee, inputs: Inputs, bench: Bench, watch: Watch) -> Made:
    """What is fitted on patients, and what it cost them."""
    kind = spec.registry.get(spec.generator.name)
    fitted: Generator | PrivateSegmenter = kind(kind.Params(**spec.generator.settings))
    with watch.stage("patches"):
        watch.listener("patches", 0, 1)
        training = training_patches(spec, inputs, bench.machine.cache)
    charged: list[Guarantee] = []
    places = {"folder": bench.folder, "state": bench.machine.state}

    def charge(guarantee: Guarantee) -> None:
        if charged:
            raise PlugInError(
                f"{fitted.name} called context.charge twice; one charge must cover the whole fit."
            )
        pay(spec, guarantee, inputs, planned=planned, **places)
        charged.append(guarantee)

    planted = Planted(fitted, training, spec) if spec.canaries else None
    with begun(spec, planned, inputs, **places):
        context = FitContext(
            seed=spec.seed,
            noise=_noise(spec),
            charge=charge,
            progress=watch.hears("fit"),
            checkpoint=SeenCheckpoint(*places_of(spec, planned, **places), by=watch),
            device=bench.machine.device,
        )
        patches = training
        if planted:
            patches, context = planted.patches, replace(context, inspect=planted.watch)
        with watch.stage("fit"), kept_directory():
            if isinstance(fitted, PrivateSegmenter):
                spent = fitted.fit_privately(patches, planned, context)
            else:
                spent = fitted.fit(patches, planned, context)
        check_charged(fitted, charged, spent, charge)
        if planted and (counts := planted.counts(planned)):
            write_json(bench.folder / CANARIES, counts.as_dict())
    return Made(fitted, spent)


def _fit_across_sites(spec: RunSpec, inputs: Inputs, bench: Bench, watch: Watch) -> Made:
    """The federated fit; what the result says of its sites and rounds."""
    may_be_seen = not inputs.private or synthetic_may_leave(
        spec.epsilon, seeded=spec.noise != "system"
    )
    hears = RoundWatch(
        bench.folder,
        watch,
        seed=spec.seed,
        private=inputs.private,
        may_be_seen=may_be_seen,
    )
    with watch.stage("fit"):
        generator, guarantees = fit_across_sites(spec, inputs, bench, hears)
    sites = tuple(SiteResult(site=n, guarantee=g) for n, g in guarantees.items())
    return Made(generator, worst(list(guarantees.values())), sites, hears.totals())


def _noise(spec: RunSpec) -> Noise:
    return SeededNoise(spec.seed, spec.key) if spec.noise == "seeded" else SystemNoise()
