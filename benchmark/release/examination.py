"""A site's own examination of what is to leave a deployment, at the place of its patients.

The server has no patients. So each site searches the patches for copies of its own patients,
attacks the fit by what the generator draws, and looks into its own ledger. What it found leaves the
site as pass or fail alone.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from benchmark.core.errors import DataError, UsageError
from benchmark.core.folders import machine_secret
from benchmark.core.memory import memory_limit
from benchmark.core.names import unknown
from benchmark.data.digest import Digests
from benchmark.data.layouts import read_cohort
from benchmark.data.notes import Note, together
from benchmark.data.notes import refuse as refuse_notes
from benchmark.data.reading import Reading
from benchmark.data.twins import FITTED
from benchmark.privacy.ledger.chain import Entry
from benchmark.privacy.ledger.ledger import ledger_in
from benchmark.release.candidate import Candidate, candidate_of
from benchmark.release.cohort import Cohort, Group
from benchmark.release.consent import LIBRARIES, Examined
from benchmark.release.findings import attacked, audit_record, nearest_record, record_of
from benchmark.release.records import AuditRecord, Evidence, NearestRecord
from benchmark.release.refusals import not_private, of_the_evidence, of_the_run, refuse
from benchmark.release.source import Source
from benchmark.results.spec import MAIN_TEST, VALIDATION
from benchmark.sweep.inputs import Progress, compared
from benchmark.sweep.site_plans import job_of
from federation.deployment import post_at
from federation.past import Past
from federation.post import Post

HELD_OUT = (MAIN_TEST, VALIDATION)
MEMORY_GIB = 8.0
"""What the server's generator may take at a site."""


class Examination(NamedTuple):
    """What a site found, and what is to be said of its cohort to the site alone."""

    found: Examined
    notes: list[str]


def examine(
    source: Source,
    site: str,
    data: Path,
    *,
    reading: Reading,
    cache: Path,
    state: Path,
    progress: Progress,
) -> Examination:
    """Examine the patches that may leave, and enter into the site's ledger that they do.

    Args:
        source: The deployment's run, as the server sent it.
        site: The site's name in that run.
        data: Its cohort's folder, as the fit read it.
        reading: Which notes on the cohort are accepted.
        cache: The cache folder.
        state: The folder with the site's ledger.
        progress: Called for every stage.

    Raises:
        UsageError: With every reason why these patches may not leave, or for wrong usage.
        DataError: If the folder or the cohort cannot be used, or the site planned another fit.
        LedgerError: If the ledger was changed, or cannot be read.
    """
    if site not in source.result.guarantees:
        raise UsageError(unknown("site of this run", site, list(source.result.guarantees)))
    refuse([*not_private(source), *of_the_run(source)])
    candidate = candidate_of(source)
    post = post_at(site, data, source.result.run_key, state=state, cache=cache)
    past = _past(source, post)
    entries = _paid(past, source, post)
    strangers, notes = _strangers(data, post, state, reading)
    spec = source.result.spec
    groups = [Group(post.patients, post.data)]
    cohort = Cohort(spec=spec, groups=groups, strangers=strangers, cache=cache, skip_bad=True)
    ledger = ledger_in(state)
    audit, nearest = _measured(source, cohort, candidate, site, progress)
    record = record_of(ledger, entries)
    ledger.enter_release(
        source.result.run_key,
        sums=candidate.voxels,
        patches=len(candidate.patches),
        licence="",
    )
    found = Examined(
        n=len(candidate.patches),
        seed=candidate.seed,
        voxels=candidate.voxels,
        job=job_of(spec).digest,
        evidence=Evidence(ledger=record, audit=audit, nearest_real=nearest),
        versions={name: version(name) for name in LIBRARIES},
    )
    if (own := source.people_at(site)) is not None:
        found = found.but(patients=own, session=past.session)
    return Examination(found, notes)


def _past(source: Source, post: Post) -> Past:
    """The fit as the site itself plans it, if the server's folder says the same of it."""
    everywhere, here = source.patients, len(post.patients)
    if here != everywhere[post.name]:
        raise DataError(
            f"{source.folder}: {post.name} is said to have {everywhere[post.name]} patients, and "
            f"its cohort lists {here}; give the cohort of the fit, and ask the server for its "
            "folder."
        )
    past = Past(post, job_of(source.result.spec), everywhere)
    if past.was_told_another_share:
        raise DataError(
            f"{source.folder}: its sites have {sum(everywhere.values())} patients together, and "
            f"{post.name} was told another number in the run, so a site is missing or was added; "
            "ask the server for its folder."
        )
    if past.guarantee != source.result.guarantees[post.name]:
        raise DataError(
            f"{source.folder}: what it says of {post.name} is not what this site plans for the "
            "job, so it is of another fit or was changed; ask the server for its folder."
        )
    return past


def _paid(past: Past, source: Source, post: Post) -> list[Entry]:
    """The entries of the fit, with the site's own patients.

    The ledger is asked for the job's key, the guarantee and the patients together, and the record
    of answers for the whole job. So none of them can be another than at the time of the fit. With
    secure sums the guarantee is that of the whole fit, so this holds for the numbers of all
    patients and of all sites, too.
    """
    entries = past.paid_by()
    if not entries:
        raise UsageError(
            f"{post.name}: this machine's ledger has no entry for run {source.result.run_key} with "
            "these patients and this guarantee, so nothing of it may leave; name the cohort of the "
            "fit, and the state folder of the SuperNode (ANGIOBENCH_STATE)."
        )
    if not past.has_answered:
        raise DataError(
            f"{source.folder}: {post.name} keeps no answer to this very job in its state folder, "
            "so the job was changed, or the site had another name in the run; ask the server for "
            "its folder, and name the state folder of the SuperNode (ANGIOBENCH_STATE)."
        )
    return entries


def _strangers(data: Path, post: Post, state: Path, reading: Reading) -> tuple[Group, list[str]]:
    """The site's held-out patients, none of whom is a fitted one, and notes on all."""
    cohort, digests = read_cohort(data), Digests(state, machine_secret(state))
    listed = tuple(one for one in cohort.patients if one.split in HELD_OUT)
    if not listed:
        cohort.split(MAIN_TEST)  # says what is missing
    held_out = digests.admit(listed)
    fitted = tuple(one for one in post.patients if one is not None)
    notes = [*map(Note, cohort.notes), *compared({FITTED: fitted, MAIN_TEST: held_out}, digests)]
    refuse_notes(notes, reading.accepted)
    return Group(held_out, digests.of(held_out, private=True)[0]), together(notes)


def _measured(
    source: Source, cohort: Cohort, candidate: Candidate, site: str, progress: Progress
) -> tuple[AuditRecord, NearestRecord]:
    """The search and the attack, each with its fixed limits; either can stop the consent."""
    guarantee = source.result.guarantees[site]
    try:
        with memory_limit(MEMORY_GIB):
            progress("Searching for copies", 0, 1)
            nearest = nearest_record(cohort, source.generator, candidate.patches, disclose=False)
            progress("Attacking the fit", 0, 1)
            found = attacked(source, cohort, guarantee)
    except MemoryError as error:
        raise DataError(
            f"{source.folder}: its generator wants more than {MEMORY_GIB:g} GiB here; ask the "
            "server for its folder anew."
        ) from error
    if found is None:
        raise UsageError(
            f"{site}: there is nobody to guess on, so the fit cannot be attacked; give some "
            "patients of the cohort the split test."
        )
    audit = audit_record([found], guarantee, disclose=False)
    refuse([*of_the_evidence(audit, nearest, None)])
    return audit, nearest
