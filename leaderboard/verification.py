"""Whether a published result adds up: what can be recomputed is, from its own numbers.

The key from the spec; the guarantee from the plan that the spec's settings give, and every ε from
its mechanism's numbers; means and intervals from the patients' scores; the digests of the embedded
phantoms from the phantoms.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from benchmark.core.budget import Guarantee, PublicNumbers
from benchmark.core.errors import BenchError, DataError, UsageError
from benchmark.core.files import plain
from benchmark.core.registry import Registry
from benchmark.metrics.bootstrap import Interval, interval, intervals
from benchmark.metrics.scores import Scores
from benchmark.privacy.planning import recomputed
from benchmark.sweep.inputs import Inputs, Progress, gather
from benchmark.sweep.plans import planned
from benchmark.sweep.sites import is_federated, plan_at_site, worst
from benchmark.sweep.spec import RunSpec
from leaderboard.published import Published, Verdict
from leaderboard.sharing import samples_may_leave

TOLERANCE = 1e-6
EPSILONS = ("epsilon", "epsilon_patch", "epsilon_patient")


def verifier(*, cache: Path, state: Path, progress: Progress) -> Callable[[Published], Verdict]:
    """What judges published results; the embedded phantoms are made when the first one comes."""

    @lru_cache
    def phantoms() -> Inputs:
        return gather(None, (), cache=cache, state=state, jobs=1, progress=progress)

    return lambda one: verified(one, phantoms(), cache)


def verified_files(
    paths: Sequence[Path], check: Callable[[Published], Verdict], progress: Progress
) -> dict[Path, Verdict]:
    """The verdict on every published file, also below folders; a file that breaks the schema too.

    Raises:
        UsageError: If there is none.
    """
    files = [file for path in paths for file in (sorted(path.glob("*.json")) or [path])]
    files = [file for file in files if file.is_file()]
    if not files:
        raise UsageError(f"{', '.join(map(str, paths))}: there is no published result here.")
    verdicts = {}
    for done, file in enumerate(files, 1):
        try:
            verdicts[file] = check(Published.read(file))
        except DataError as error:
            verdicts[file] = Verdict([str(error).removeprefix(f"{file}: ").rstrip(".")], [])
        progress("Verifying results", done, len(files))
    return verdicts


def verified(one: Published, phantoms: Inputs, cache: Path) -> Verdict:
    """Recomputes what can be.

    Args:
        one: The result.
        phantoms: The embedded ones.
        cache: Where plans are kept.
    """
    faults, unchecked = [*_of_spec(one), *_of_data(one, phantoms)], []
    if one.result["private_data"]:
        faults += _of_privacy(one)
        unchecked.append("the intervals, as scores of single patients do not leave a hospital")
    else:
        faults += _of_scores(one, phantoms)
    faults += _of_guarantees(one)
    try:
        other = [*_of_plan(one, cache)]
    except BenchError as error:
        unchecked.append(f"the plan, as {error}".rstrip("."))
        other = [*_of_mechanisms(one)]
    return Verdict([*faults, *other], unchecked)


def _of_spec(one: Published) -> Iterator[str]:
    said = one.result
    if said["run_key"] != one.spec.key:
        yield f"its key is {said['run_key']}, and its spec's is {one.spec.key}"
    if plain(one.spec.as_dict()) != said["spec"]:
        yield "its spec is not written as the suite writes it"


def _of_data(one: Published, phantoms: Inputs) -> Iterator[str]:
    """Only phantoms may call themselves so, and they must: their scores can be recomputed."""
    spec, private = one.spec, one.result["private_data"]
    if not private and (spec.data, spec.test_data) != (phantoms.data, phantoms.test_data):
        yield "it says that its data are the embedded phantoms, and their digests are others"
    if private and {spec.data, *spec.test_data.values()} & {
        phantoms.data,
        *phantoms.test_data.values(),
    }:
        yield "it says that its data are private, and they are the embedded phantoms"


def _of_privacy(one: Published) -> Iterator[str]:
    """Of patients nothing leaves that tells of single ones."""
    if any("patients" in tested for tested in one.result["test_sets"]):
        yield "it has scores of single patients, which do not leave a hospital"
    if one.curves:
        yield "it has training curves, which no noise protects"
    if one.result.get("skipped"):
        yield "it says who was left out"
    if "neighbours" in one.pictures:
        yield "it has neighbours of its synthetic patches, which are patients' own"
    if "samples" in one.pictures and not samples_may_leave(one.spec, one.result):
        yield "it has synthetic patches, which leave only under a finite ε with the system's noise"
    for tested in one.result["test_sets"]:
        for name in Scores._fields:
            told = tested[name]
            if told and not told["low"] <= told["mean"] <= told["high"]:
                yield f"{name} on {tested['name']} lies outside of its own interval"


def _of_guarantees(one: Published) -> Iterator[str]:
    spec = one.spec
    for at, guarantee in _guarantees(one.result).items():
        if (guarantee.unit, guarantee.delta) != (spec.unit, spec.delta):
            yield f"the guarantee{at} is for another unit or δ than the spec"
        if guarantee.target_epsilon != spec.epsilon or guarantee.epsilon > spec.epsilon:
            yield f"ε{at} is {guarantee.epsilon:g}, and the spec asks for {spec.epsilon:g}"
        if 0 < guarantee.epsilon < math.inf and guarantee.seeded is not (spec.noise == "seeded"):
            yield f"the guarantee{at} and the spec differ in whether the noise was seeded"
    if "sites" in one.result:
        at_sites = [Guarantee.from_dict(site["guarantee"]) for site in one.result["sites"]]
        if not _same_guarantee(worst(at_sites), Guarantee.from_dict(one.result["guarantee"])):
            yield "its guarantee is not that of the site with the largest ε"


def _of_mechanisms(one: Published) -> Iterator[str]:
    for at, guarantee in _guarantees(one.result).items():
        yield from _of_mechanism(guarantee, at)


def _of_mechanism(guarantee: Guarantee, at: str) -> Iterator[str]:
    try:
        again = _recomputed(replace(guarantee, target_epsilon=0.0, seeded=False))
    except (ValueError, ArithmeticError) as error:
        yield f"ε{at} cannot be recomputed: {error}"
        return
    yield from _of_spent(guarantee, again, at)


def _of_spent(claimed: Guarantee, again: Guarantee, at: str) -> Iterator[str]:
    for name in EPSILONS:
        said, found = getattr(claimed, name), getattr(again, name)
        if not _same(said, found):
            yield f"{name}{at} is {said}, and its mechanism's numbers give {found}"


@lru_cache(maxsize=4096)
def _recomputed(guarantee: Guarantee) -> Guarantee:
    """Remembered, as seeds and settings share mechanisms, and an accountant takes seconds."""
    return recomputed(guarantee)


def _of_plan(one: Published, cache: Path) -> Iterator[str]:
    """The claimed mechanism must be the one that these settings make.

    Raises:
        BenchError: If no such generator is installed.
    """
    spec = one.spec
    version = _class(spec.registry, spec.generator.name).version
    if version != spec.generator.version:
        raise BenchError(f"{spec.generator.name} is of version {version} here")
    try:
        yield from _of_planned(one, cache)
    except Exception as error:  # settings are a stranger's, and a plug-in may raise anything
        yield f"its settings give no plan ({str(error).rstrip('.') or type(error).__name__})"


def _of_planned(one: Published, cache: Path) -> Iterator[str]:
    spec, claimed = one.spec, _guarantees(one.result)
    whole = sum(said.patients for at, said in claimed.items() if at)
    for at, said in claimed.items():
        if at or not whole:
            again = _planned(spec, said, whole, cache)
            spent = {name: getattr(said, name) for name in EPSILONS}
            if not _same_guarantee(replace(again, **spent), said):
                yield f"the guarantee{at} is not the one that its settings give"
            else:
                yield from _of_spent(said, again, at)


def _planned(spec: RunSpec, said: Guarantee, whole: int, cache: Path) -> Guarantee:
    public = PublicNumbers(
        patients=said.patients,
        patches_per_patient=int(spec.protocol["patches_per_patient"]),
        patch_size=int(spec.protocol["patch_size"]),
    )
    if is_federated(spec):
        return plan_at_site(spec, said.patients, whole, cache)
    kind = _class(spec.registry, spec.generator.name)
    made = kind(kind.Params(**spec.generator.settings))
    return planned(spec.generator, made, public, spec.budget, cache)


@lru_cache
def _class(registry: Registry, name: str) -> Any:
    """Remembered, as the registry looks through all that is installed."""
    return registry.get(name)


def _same_guarantee(one: Guarantee, other: Guarantee) -> bool:
    """Whether they are the same but for what only the fit could say."""
    left, right = (
        replace(said, seeded=False, interruptions=0, lost_steps=0).as_dict()
        for said in (one, other)
    )
    return all(
        _same(left[name], right[name])
        if isinstance(left[name], float)
        else left[name] == right[name]
        for name in left
    )


def _of_scores(one: Published, phantoms: Inputs) -> Iterator[str]:
    """Every phantom of a test set must be told of, and their means must be what is claimed."""
    tests = {tested["name"]: tested for tested in one.result["test_sets"]}
    for name, patients in phantoms.tests.items():
        rows = tests[name].get("patients", ()) if name in tests else ()
        due = [(patient.id, patient.site) for patient in patients]
        if [(row["patient"], row["site"]) for row in rows] != due:
            yield f"the patients on {name} are not the phantoms of that test set"
        else:
            yield from _of_means(name, tests[name], rows)


def _of_means(
    name: str, claimed: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    columns = {score: [row[score] for row in rows] for score in Scores._fields}
    full = [score for score, column in columns.items() if None not in column]
    again = dict(zip(full, intervals([columns[score] for score in full]), strict=True))
    for score, column in columns.items():
        some = [value for value in column if value is not None]
        found = again.get(score) or (interval(some) if some else None)
        if not _same_interval(claimed[score], found):
            yield f"{score} on {name} is not that of its patients"


def _same_interval(claimed: Mapping[str, float] | None, found: Interval | None) -> bool:
    if claimed is None or found is None:
        return claimed is None and found is None
    return all(_same(claimed[part], value) for part, value in found._asdict().items())


def _same(claimed: float | None, found: float | None) -> bool:
    if claimed is None or found is None:
        return claimed is found
    return claimed == found or math.isclose(claimed, found, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def _guarantees(result: Mapping[str, Any]) -> dict[str, Guarantee]:
    """By where they hold: everywhere (``""``), and at each site."""
    sites = {f" at {site['site']}": site["guarantee"] for site in result.get("sites", ())}
    found = {"": result["guarantee"], **sites}
    return {at: Guarantee.from_dict(words) for at, words in found.items()}
