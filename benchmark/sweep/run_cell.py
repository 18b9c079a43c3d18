"""One cell: fit a generator, sample from it, train a segmenter, score it.

If the segmenter itself is fitted on patients under the budget, the steps are: fit, score.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.audit.planting import Planted
from benchmark.core.budget import Guarantee
from benchmark.core.coarse import coarse
from benchmark.core.directory import kept_directory
from benchmark.core.errors import DataError, PlugInError
from benchmark.core.federation import worst
from benchmark.core.files import write_json
from benchmark.core.generator import FitContext, Generator, Noise, drawn
from benchmark.core.patches import Patches
from benchmark.core.protocol import Recipe, protocol_recipe, spacing_of
from benchmark.core.registry import segmenters
from benchmark.core.seeds import stream
from benchmark.core.segmenter import FreeSegmenter, PrivateSegmenter, Segmenter, TrainContext
from benchmark.data.patching import cached
from benchmark.privacy.randomness import SeededNoise, SystemNoise
from benchmark.results.disclosure import synthetic_may_leave
from benchmark.results.provenance import peak_mib, suite
from benchmark.results.result import PlugInOrigin, Result, SiteResult, Suite
from benchmark.results.scored import Distances, TestSet
from benchmark.results.spec import VALIDATION, RunSpec
from benchmark.results.store import CANARIES, CURVES, GENERATOR, NEIGHBOURS, SAMPLES
from benchmark.sweep.inputs import Inputs
from benchmark.sweep.judging.distances import distances, no_distances
from benchmark.sweep.judging.own_patients import Judge
from benchmark.sweep.judging.testing import Listener, tested, train_segmenter
from benchmark.sweep.machine import Bench
from benchmark.sweep.payment import begun, check_charged, pay, places_of
from benchmark.sweep.sites import (
    fit_across_sites,
    inputs_of,
)
from benchmark.sweep.watching.kept import SeenCheckpoint
from benchmark.sweep.watching.pictures import neighbours, save_picture, strip
from benchmark.sweep.watching.rounds import RoundWatch
from benchmark.sweep.watching.stages import Watch


def run_cell(
    spec: RunSpec, planned: Guarantee, inputs: Inputs, bench: Bench, listener: Listener
) -> Result:
    """Run one cell. Every intermediate file is written to its folder.

    Args:
        spec: The cell.
        planned: Its plan.
        inputs: The sweep's data.
        bench: The cell's folder and machine.
        listener: Called for every stage.

    Returns:
        The result, which the caller writes.
    """
    watch = Watch(listener)
    learn = _learn_from_patients if spec.is_direct else _learn_from_synthetic
    learnt = learn(spec, planned, inputs, bench, watch)
    with watch.stage("score"):
        tests = [
            tested(learnt.segmenter, name, group, listener, spacing_mm=spacing_of(spec.protocol))
            for name, group in inputs.tests.items()
        ]
        validation = _validation(spec, learnt.segmenter, inputs, listener)
    write_json(bench.folder / CURVES, watch.curves)
    said = {
        **validation,
        **learnt.more,
        **({"notes": inputs.notes} if inputs.notes else {}),
        **({"cost_of_skipping": cost} if (cost := inputs.cost_of_skipping) else {}),
        **_origins(spec),
    }
    return Result(
        run_key=spec.key,
        status="done",
        spec=spec,
        guarantee=learnt.guarantee,
        test_sets=_with_distances(tests, learnt.distances),
        private_data=inputs.private,
        skipped=inputs.skipped,
        suite=Suite(**suite()),
        peak_mib=coarse(peak_mib()) if inputs.private else peak_mib(),
        seconds=watch.taken(private=inputs.private),
        **said,
    )


def _with_distances(tests: Sequence[TestSet], far: Distances) -> tuple[TestSet, ...]:
    """The tests, with distances to the patients of the main one."""
    main, *others = tests
    return main.but(offline_distance=far.offline, mask_distance=far.mask, fid=far.fid), *others


def _origins(spec: RunSpec) -> dict[str, Any]:
    """The distributions of plug-ins that are not the suite's."""
    used = {spec.generator.name: spec.registry, spec.segmenter.name: segmenters}
    found = {name: registry.origin(name) for name, registry in used.items()}
    told = {name: PlugInOrigin(**origin._asdict()) for name, origin in found.items() if origin}
    return {"plug_ins": told} if told else {}


def _validation(
    spec: RunSpec, segmenter: Segmenter, inputs: Inputs, listener: Listener
) -> dict[str, TestSet]:
    """A free row's scores on validation patients, by which the best of them is chosen."""
    if not spec.validation:
        return {}
    spacing_mm, patients = spacing_of(spec.protocol), inputs.validation
    found = tested(segmenter, VALIDATION, patients, listener, spacing_mm=spacing_mm)
    return {"validation": found}


class Learnt(NamedTuple):
    """What a cell has before it is tested.

    Attributes:
        segmenter: The fitted segmenter.
        guarantee: The guarantee of the fit.
        distances: The distances of its synthetic patches from the main test set.
        more: Further fields of the result: sites and rounds of a federated cell, scores with own
            patients.
    """

    segmenter: Segmenter
    guarantee: Guarantee
    distances: Distances
    more: dict[str, Any]


def _learn_from_patients(
    spec: RunSpec, planned: Guarantee, inputs: Inputs, bench: Bench, watch: Watch
) -> Learnt:
    """The segmenter is fitted on patients itself; there is nothing synthetic to look at.

    One that rests on constants is given nothing at all.
    """
    made = spec.registry.get(spec.generator.name)
    if issubclass(made, FreeSegmenter):
        free = made(made.Params(**spec.generator.settings))
        free.rest_on_constants()
        return Learnt(free, planned, no_distances(), {})
    segmenter, guarantee = _fit(spec, planned, inputs_of(spec, inputs), bench, watch)
    return Learnt(segmenter, guarantee, no_distances(), {})


def _learn_from_synthetic(
    spec: RunSpec, planned: Guarantee, inputs: Inputs, bench: Bench, watch: Watch
) -> Learnt:
    """The generator is fitted on patients, and the segmenter learns from its samples alone."""
    generator, guarantee, more = _generator(spec, planned, inputs, bench, watch)
    with watch.stage("sample"), kept_directory():
        many, size = int(spec.protocol["samples"]), int(spec.protocol["patch_size"])
        synthetic = drawn(generator, many, size=size, seed=spec.seed)
    may_be_seen = not inputs.private or synthetic_may_leave(
        guarantee.epsilon, seeded=guarantee.seeded
    )
    if may_be_seen:
        save_picture(bench.folder / SAMPLES, strip(synthetic))
    context = TrainContext(
        seed=spec.seed, progress=watch.hears("segmenter"), device=bench.machine.device
    )
    with watch.stage("train"), kept_directory():
        segmenter = train_segmenter(spec.segmenter, synthetic, context)
    more |= _beside_own(spec, inputs, synthetic, bench, watch)
    with watch.stage("distances"):
        far = distances(spec, inputs, synthetic, bench.machine.fid_weights, bench.machine.cache)
    if not inputs.private:
        real = training_patches(spec, inputs_of(spec, inputs), bench.machine.cache)
        save_picture(bench.folder / NEIGHBOURS, neighbours(synthetic, real))
    if may_be_seen and not generator.holds_patients:
        (bench.folder / GENERATOR).mkdir(exist_ok=True)
        generator.save(bench.folder / GENERATOR)
    return Learnt(segmenter, guarantee, far, more)


def _generator(
    spec: RunSpec, planned: Guarantee, inputs: Inputs, bench: Bench, watch: Watch
) -> tuple[Generator, Guarantee, dict[str, Any]]:
    """The fitted generator, and what the result says of its sites and rounds, if there are any."""
    if spec.is_federated:
        return _fit_across_sites(spec, inputs, bench, watch)
    return *_fit(spec, planned, inputs_of(spec, inputs), bench, watch), {}


def _beside_own(
    spec: RunSpec, inputs: Inputs, synthetic: Patches, bench: Bench, watch: Watch
) -> dict[str, Any]:
    """What the synthetic patches are worth beside own patients, if that is asked."""
    if spec.own is None:
        return {}
    judge = Judge(spec, inputs, bench.machine.cache, bench.machine.device, watch.listener)
    with watch.stage("own patients"):
        return {"own": judge.beside(synthetic)}


def _fit(
    spec: RunSpec, planned: Guarantee, inputs: Inputs, bench: Bench, watch: Watch
) -> tuple[Any, Guarantee]:
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
    return fitted, spent


def _fit_across_sites(
    spec: RunSpec, inputs: Inputs, bench: Bench, watch: Watch
) -> tuple[Generator, Guarantee, dict[str, Any]]:
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
    return generator, worst(list(guarantees.values())), {"sites": sites, "rounds": hears.totals()}


def _noise(spec: RunSpec) -> Noise:
    return SeededNoise(spec.seed, spec.key) if spec.noise == "seeded" else SystemNoise()


def training_patches(
    spec: RunSpec,
    inputs: Inputs,
    cache: Path,
    *,
    faults: list[DataError] | None = None,
    jobs: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Patches:
    """Cut the patches that a cell's generator is fitted on.

    They are cached for cells that share them.

    Args:
        spec: The cell.
        inputs: The data that it is fitted on.
        cache: The cache folder.
        faults: With ``inputs.skip_bad``, collects the faults of patients without a patch.
        jobs: How many patients are read at a time.
        progress: Called with how many patients are done, and how many there are.

    Raises:
        DataError: For a patient without a patch, unless ``inputs.skip_bad`` is true.
    """
    collected = [] if faults is None else faults
    return cached(
        inputs.train,
        recipe_of(spec),
        seed=stream(spec.seed, "patches"),
        cache=cache,
        data=inputs.data,
        faults=collected if inputs.skip_bad else None,
        jobs=jobs,
        progress=progress,
    )


def recipe_of(spec: RunSpec) -> Recipe:
    """Return how a cell's training patches are taken."""
    return protocol_recipe(spec.protocol)
