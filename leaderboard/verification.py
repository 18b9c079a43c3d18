"""Checks of whether a published result adds up: what can be recomputed from its own numbers is.

The key is recomputed from the spec. The guarantees follow from the phantoms and from the plan of
the spec's settings, and every ε from its mechanism's numbers (``guarantees``). Means and intervals
follow from the patients' scores, and the digests of the embedded phantoms from the phantoms.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from benchmark.core.editions import edition_of
from benchmark.core.editions import found as edition
from benchmark.core.errors import BenchError, DataError, UsageError
from benchmark.data.phantom import PhantomCohort
from benchmark.data.phantom.cohorts import behind
from benchmark.metrics.bootstrap import Interval, interval, intervals
from benchmark.metrics.scores import NAMES
from benchmark.metrics.weights import missing_reason
from benchmark.results.bookends import METHODS, is_free
from benchmark.results.disclosure import coarse, is_small
from benchmark.results.result import tests_in
from benchmark.results.scored import NOTHING_SYNTHETIC, Fid, Mean, PatientScores, TestSet
from benchmark.results.spec import VALIDATION, RunSpec
from benchmark.results.spec_parts import AcrossSites
from benchmark.results.tuned_settings import NOT_ACCOUNTED, PRIVATE
from benchmark.sweep.inputs import COST_OF_SKIPPING, Inputs, Progress, gather
from benchmark.sweep.plan_cache import same
from leaderboard.guarantees import (
    claimed_in,
    of_guarantees,
    of_mechanisms,
    of_plan,
    unknown_patients,
)
from leaderboard.published import Published, Verdict
from leaderboard.sharing import samples_may_leave
from leaderboard.versions import class_of

ROUNDS = {"rounds", "bytes"}
"""What may leave about a federated fit's rounds."""


def phantoms_of(
    *, cache: Path, state: Path, progress: Progress
) -> Callable[[PhantomCohort], Inputs]:
    """Return a function that makes an embedded cohort, once for each."""

    @lru_cache
    def made(phantoms: PhantomCohort) -> Inputs:
        return gather(
            None, (), cache=cache, state=state, jobs=1, progress=progress, phantoms=phantoms
        )

    return made


def verifier(
    phantoms: Callable[[PhantomCohort], Inputs], *, cache: Path
) -> Callable[[Published], Verdict]:
    """Return a function that judges published results.

    Args:
        phantoms: Returns an embedded cohort.
        cache: The cache folder, where plans are kept.
    """

    def judged(one: Published) -> Verdict:
        try:
            of_its_time = edition(edition_of(one.spec.protocol))
        except UsageError as error:
            return Verdict([str(error).rstrip(".")], [])
        return verified(one, phantoms(behind(one.spec.data, of_its_time.phantoms)), cache)

    return judged


def verified_files(
    paths: Sequence[Path], check: Callable[[Published], Verdict], progress: Progress
) -> dict[Path, Verdict]:
    """Judge every published file, also in folders.

    A file that breaks the schema gets a verdict too.

    Args:
        paths: Files, or folders of files.
        check: Judges a published result.
        progress: Called for every file.

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
    """Recompute everything that can be recomputed of a published result.

    Args:
        one: The result.
        phantoms: The embedded phantoms.
        cache: The cache folder, where plans are kept.
    """
    faults = [*_of_spec(one), *_of_data(one, phantoms), *_of_free_rows(one)]
    unchecked = [*unknown_patients(one.result)]
    if one.result.private_data:
        faults += _of_privacy(one)
        unchecked += [
            f"over how many patients its means on {test.name} are, as it does not say"
            for test in one.result.test_sets
            if test.many is None
        ]
        unchecked.append("the intervals, as scores of single patients do not leave a hospital")
    else:
        faults += _of_scores(one, phantoms)
    faults += [*of_guarantees(one.result, lambda: phantoms), *_of_distances(one)]
    try:
        other = [*of_plan(one.result, lambda: phantoms, cache)]
    except BenchError as error:
        unchecked.append(f"the plan, as {error}".rstrip("."))
        other = [*of_mechanisms(claimed_in(one.result))]
    return Verdict([*faults, *other], unchecked)


def _of_spec(one: Published) -> Iterator[str]:
    if one.result.run_key != one.spec.key:
        yield f"its key is {one.result.run_key}, and its spec's is {one.spec.key}"
    said, how = one.result.rounds.get("rounds"), one.spec.federation
    due = how.rounds if isinstance(how, AcrossSites) else None
    if said is not None and said != due:
        yield f"it took {said:g} rounds, and its spec has {'none' if due is None else due}"


def _of_free_rows(one: Published) -> Iterator[str]:
    """A free row rests on the published constants; it alone is scored on validation patients."""
    spec, told = one.spec, one.result.validation
    if (spec.validation or told) and not is_free(spec):
        yield "it is no free row, and says something of validation patients"
    elif told and not (spec.validation and told.name == VALIDATION):
        yield "its spec names no validation patients, and its result does"
    if spec.generator.name in METHODS and spec.generator.version == _version_of(spec):
        constants = class_of(spec.registry, spec.generator.name).constants.as_dict()
        if dict(spec.generator.settings) != constants:
            yield "its constants are not the published ones"


def _version_of(spec: RunSpec) -> int:
    try:
        return int(class_of(spec.registry, spec.generator.name).version) if spec.is_direct else 0
    except BenchError:
        return 0


def _of_data(one: Published, phantoms: Inputs) -> Iterator[str]:
    """Only phantoms may call themselves so, and they must: their scores can be recomputed."""
    spec, private = one.spec, one.result.private_data
    if not private and (spec.data, spec.test_data) != (phantoms.data, phantoms.test_data):
        yield "it says that its data are the embedded phantoms, and their digests are others"
    if not private and spec.validation not in ("", phantoms.validation_data):
        yield "its validation patients are not the embedded phantoms"
    if private and {spec.data, *spec.test_data.values()} & {
        phantoms.data,
        *phantoms.test_data.values(),
    }:
        yield "it says that its data are private, and they are the embedded phantoms"


def _of_privacy(one: Published) -> Iterator[str]:
    """Of patients nothing leaves that tells of single ones."""
    groups = [*tests_in(one.result)]
    if any(tested.patients for tested in groups):
        yield "it has scores of single patients, which do not leave a hospital"
    if one.curves:
        yield "it has training curves, which no noise protects"
    if one.result.skipped:
        yield "it says who was left out"
    if one.result.notes:
        yield "it has notes of files, which may name somebody"
    if "seconds" in (rounds := one.result.rounds) or not {*rounds} <= ROUNDS:
        yield "it says of its rounds more than how many there were, and their bytes"
    if {*(one.result.fraction_of_real or ())} - {test.name for test in one.result.test_sets}:
        yield "it has a share of real on a test set that it does not tell of"
    tuned = one.spec.tuned
    if tuned and tuned.on == PRIVATE and tuned.selection != NOT_ACCOUNTED:
        yield f"its settings were tuned on patients, and its selection is not {NOT_ACCOUNTED!r}"
    yield from _of_sentences(one)
    if "neighbours" in one.pictures:
        yield "it has neighbours of its synthetic patches, which are patients' own"
    if "samples" in one.pictures and not samples_may_leave(one.spec, one.result):
        yield "it has synthetic patches, which leave only under a finite ε with the system's noise"
    if one.result.seconds != coarse(one.result.seconds) or one.result.has("peak_mib"):
        yield "it says how long which stage took, or how much memory, which depend on patients"
    for tested in groups:
        if is_small(tested):
            yield f"its means on {tested.name} are over {tested.many} patients, and tell of them"
        for name in NAMES:
            told = tested.mean(name)
            if told and not told.low <= told.mean <= told.high:
                yield f"{name} on {tested.name} lies outside of its own interval"


def _of_sentences(one: Published) -> Iterator[str]:
    """Free text could name somebody: only the suite's own sentences leave."""
    cost = one.result.cost_of_skipping
    numbers = re.escape(COST_OF_SKIPPING).replace(re.escape("{}"), r"\d{1,9}")
    if cost is not None and not re.fullmatch(numbers, cost):
        yield "what it says of patients who were left out is no sentence of this suite"
    reasons = [test.fid.reason for test in one.result.test_sets if test.fid]
    if {*reasons} - {None, NOTHING_SYNTHETIC, missing_reason()}:
        yield "why it has no FID is no sentence of this suite"


def _of_distances(one: Published) -> Iterator[str]:
    """A distance needs something synthetic, and FID its weights; both rest on the protocol."""
    spec, fid, distance = one.spec, one.result.fid, one.result.offline_distance
    value = fid.value if fid else None
    if spec.is_direct and (value, distance) != (None, None):
        yield "it has distances of synthetic patches, and its segmenter saw none"
    if value is not None and not spec.fid_weights:
        yield "it has an FID, and its spec no weights to compute one with"
    protocol = spec.protocol
    if fid and value is not None and not _fits(fid, protocol):
        yield "its FID is not the one of its protocol"


def _fits(fid: Fid, protocol: Mapping[str, Any]) -> bool:
    return fid.dims == int(protocol["fid_dims"]) and (fid.n or 0) <= int(protocol["fid_n"])


def _of_scores(one: Published, phantoms: Inputs) -> Iterator[str]:
    """Every phantom of a test set must be told of, and their means must be what is claimed."""
    tests = {tested.name: tested for tested in tests_in(one.result)}
    groups = dict(phantoms.tests)
    if one.spec.validation:
        groups[VALIDATION] = phantoms.validation
    for name, patients in groups.items():
        rows = tests[name].patients if name in tests else ()
        due = [(patient.id, patient.site) for patient in patients]
        if [(row.patient, row.site) for row in rows] != due:
            yield f"the patients on {name} are not the phantoms of that test set"
        elif tests[name].n not in (None, len(due)):
            yield f"n on {name} is {tests[name].n}, and there are {len(due)} phantoms"
        else:
            yield from _of_means(name, tests[name], rows)


def _of_means(name: str, claimed: TestSet, rows: Sequence[PatientScores]) -> Iterator[str]:
    columns = {score: [row.score(score) for row in rows] for score in NAMES}
    told = {score: [v for v in column if v is not None] for score, column in columns.items()}
    full = [score for score, some in told.items() if len(some) == len(rows)]
    again = dict(zip(full, intervals([told[score] for score in full]), strict=True))
    for score, some in told.items():
        found = again.get(score) or (interval(some) if some else None)
        if not _same_interval(claimed.mean(score), found):
            yield f"{score} on {name} is not that of its patients"


def _same_interval(claimed: Mean | None, found: Interval | None) -> bool:
    if claimed is None or found is None:
        return claimed is None and found is None
    return all(same(getattr(claimed, part), value) for part, value in found._asdict().items())
