"""One cell: fit a generator, sample from it, train a segmenter, score it.

If the segmenter itself is fitted on patients under the budget, the steps are: fit, score.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from benchmark.core.budget import Guarantee
from benchmark.core.coarse import coarse
from benchmark.core.directory import kept_directory
from benchmark.core.files import write_json
from benchmark.core.generator import drawn
from benchmark.core.patches import Patches
from benchmark.core.protocol import spacing_of
from benchmark.core.registry import segmenters
from benchmark.core.segmenter import FreeSegmenter, Segmenter, TrainContext
from benchmark.results.provenance import peak_mib, suite
from benchmark.results.result import PlugInOrigin, Result, Suite
from benchmark.results.scored import Distances, TestSet
from benchmark.results.spec import VALIDATION, RunSpec
from benchmark.results.store import CURVES, NEIGHBOURS, SAMPLES
from benchmark.sweep.fitting import make_fit
from benchmark.sweep.inputs import Inputs
from benchmark.sweep.judging.distances import distances, no_distances
from benchmark.sweep.judging.own_patients import Judge
from benchmark.sweep.judging.testing import Listener, tested, train_segmenter
from benchmark.sweep.machine import Bench
from benchmark.sweep.shared_fit import CellFit, fitted_generator
from benchmark.sweep.sites import inputs_of
from benchmark.sweep.training_patches import training_patches
from benchmark.sweep.watching.pictures import neighbours, save_picture, strip
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
    fit = make_fit(spec, planned, inputs, bench, watch)
    return Learnt(fit.fitted, fit.guarantee, no_distances(), {})


def _learn_from_synthetic(
    spec: RunSpec, planned: Guarantee, inputs: Inputs, bench: Bench, watch: Watch
) -> Learnt:
    """The generator is fitted on patients, and the segmenter learns from its samples alone."""
    asked = CellFit(spec=spec, planned=planned, inputs=inputs, bench=bench)
    fit = fitted_generator(asked, watch)
    with watch.stage("sample"), kept_directory():
        many, size = int(spec.protocol["samples"]), int(spec.protocol["patch_size"])
        synthetic = drawn(fit.generator, many, size=size, seed=spec.seed)
    if asked.may_be_seen(fit.guarantee.epsilon, seeded=fit.guarantee.seeded):
        save_picture(bench.folder / SAMPLES, strip(synthetic))
    context = TrainContext(
        seed=spec.seed, progress=watch.hears("segmenter"), device=bench.machine.device
    )
    with watch.stage("train"), kept_directory():
        segmenter = train_segmenter(spec.segmenter, synthetic, context)
    more = {**fit.more, **_beside_own(spec, inputs, synthetic, bench, watch)}
    with watch.stage("distances"):
        far = distances(spec, inputs, synthetic, bench.machine)
    if not inputs.private:
        real = training_patches(spec, inputs_of(spec, inputs), bench.machine.cache)
        save_picture(bench.folder / NEIGHBOURS, neighbours(synthetic, real))
    fit.keep()
    return Learnt(segmenter, fit.guarantee, far, more)


def _beside_own(
    spec: RunSpec, inputs: Inputs, synthetic: Patches, bench: Bench, watch: Watch
) -> dict[str, Any]:
    """What the synthetic patches are worth beside own patients, if that is asked."""
    if spec.own is None:
        return {}
    judge = Judge(spec, inputs, bench.machine.cache, bench.machine.device, watch.listener)
    with watch.stage("own patients"):
        return {"own": judge.beside(synthetic)}
